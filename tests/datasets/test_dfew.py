from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfer.datasets import DFEW
from dfer.datasets.dfew import FOLDS, PUBLISHED_TEST, SINGLE_LABELLED, published, read_set, set_path
from dfer.datasets.listing import Listing
from dfer.errors import InputError, ItemError
from dfer.labels import BASIC


def test_constants_follow_the_fold_rule() -> None:
    assert sum(SINGLE_LABELLED) == 11_697
    for k, total in enumerate(SINGLE_LABELLED):
        blocks = [len(block) for block in np.array_split(np.arange(total), 5)]
        assert [PUBLISHED_TEST[fold][k] for fold in FOLDS] == blocks
    assert [sum(PUBLISHED_TEST[fold]) for fold in FOLDS] == [2341, 2341, 2340, 2339, 2336]


def test_folds_and_classes(trees: Any) -> None:
    root = trees.dfew()
    seen: list[str] = []
    for fold in FOLDS:
        test, train = DFEW(root, "test", fold), DFEW(root, "train", fold)
        assert test.labels == BASIC
        assert test.class_counts.tolist() == [2] * 7
        assert train.class_counts.tolist() == [8] * 7
        assert not set(test.clip_ids) & set(train.clip_ids)
        seen += test.clip_ids
    assert sorted(seen) == [f"{i:05d}" for i in range(1, 71)]
    row = list(DFEW(root, "train").clip_ids).index("00070")
    assert DFEW(root, "train").labels[DFEW(root, "train").targets[row]] == "happy"


def test_frames_in_order(trees: Any) -> None:
    root = trees.dfew(frames=12)
    sample = DFEW(root, "train")[0]
    assert sample.clip.shape == (16, 3, 112, 112)
    data = DFEW(root, "train")
    assert [int(frame.mean().round()) for frame in data.read(0, np.array([0, 11, 3, 3]))] == [8, 96, 32, 32]


def test_sixteen_frame_folder_is_sorted_naturally(trees: Any) -> None:
    root = trees.dfew()
    for folder in (root / "Clip/clip_224x224").iterdir():
        trees.clip(root / "Clip/clip_224x224_16f" / folder.name, [f"{i}.jpg" for i in range(1, 17)])
    data = DFEW(root, "test", 2, media="frames16")
    assert [int(frame.mean().round()) for frame in data.read(0, np.arange(16))] == [8 * i for i in range(1, 17)]


def test_videos_padded_or_not(trees: Any) -> None:
    root = trees.dfew(clips=10)
    for i in range(1, 11):
        name = f"{i}.mp4" if i % 2 else f"{i:05d}.mp4"
        trees.video(root / "Clip/original" / name, 4)
    (root / "EmoLabel_DataSplit/test(single-labeled)/set_1.csv").write_text("video_name,label\n1,7\n2,1\n")
    (root / "EmoLabel_DataSplit/train(single-labeled)/set_1.csv").write_text("video_name,label\n3,7\n")
    data = DFEW(root, "test", media="video")
    assert [data.frame_count(row) for row in range(2)] == [4, 4]
    assert data[1].clip.shape == (16, 3, 112, 112)


def edit(root: Path, text: str | bytes, split: str = "train", rest: str = "60,7\n") -> Path:
    """Write a set file of fold 1, and a rest that shares no clip with it into the other split."""
    set_path(root, "test" if split == "train" else "train", 1).write_text(f"video_name,label\n{rest}")
    path = set_path(root, split, 1)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


HEADER = "video_name,label\n"


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffvideo_name,label\r\n00001,7\r\n2,1\r\n\r\n",
        "video_name,label\r00001,7\r2,1",
        "video_name,label\r\r\n00001,7\r\r\n2,1\r\r\n",
        "video_name,label\n1,7\n2,1\n".encode("utf-16"),
        "\ufeffvideo_name\tlabel\n1\t7\n2\t1\n".encode("utf-16-be"),
        '"video_name","label"\n"1","7"\n"2", "1"\n',
        "video_name,label,\n1,7,\n2,1,,,\n",
        "Video_Name , LABEL\n1 , 7\n 2,1\n",
        "label,video_name\n7,1\n1,2\n",
        ",video_name,label,frames\n0,1,7,3\n1,2,1,\n",
        "video_name;label\n1;7\n2;1\n",
        "video_name\tlabel\n1\t7\n2\t1\n",
        "video_name,label\n1.0,7.0\n2.0,1.0\n",
        "video_name,label\nD:\\\\DFEW\\\\00001.mp4,7\nC:\\my data\\2.MP4,1\n",
        "video_name,label\nClip/clip_224x224/00001/,7\n00002.avi,1\n",
        "video_name,label\n1,Fear\n2,happiness\n",
        "video_name,label\n1,7\n2,Happy\n",
    ],
)
def test_forms_whose_meaning_is_certain(trees: Any, text: str | bytes) -> None:
    root = trees.dfew()
    edit(root, text)
    data = DFEW(root, "train")
    assert data.clip_ids == ("00001", "00002")
    assert data.targets.tolist() == [6, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER, "set_1.csv lists no clip; restore the file"),
        ("", r"set_1.csv:1: empty; the header 'video_name,label' belongs there"),
        ("  \n\n", r"set_1.csv:1: empty"),
        ("2,6\n3,7\n", r"set_1.csv:1: '2,6' where the header 'video_name,label' belongs"),
        ("\n\nvideo,label\n3,7\n", r"set_1.csv:3: 'video,label' where the header 'video_name,label' belongs"),
        ("video_name,label,label\n3,7,7\n", r"set_1.csv:1: the column 'label' stands there twice; delete one"),
        (HEADER + "1,7\n2,8\n", r"set_1.csv:3: label 8 of clip 00002 is not one of 1 to 7"),
        (HEADER + "1,7\n2,8\n3,9\n", r"1 more; `dfer data check DFEW"),
        (HEADER + "1,7\n2,bored\n", r"set_1.csv:3: label 'bored' of clip 00002 is not one of 1 to 7"),
        (HEADER + "1,7\n2,-1\n", r"set_1.csv:3: label '-1'"),
        (HEADER + "1,7\n2,1.5\n", r"set_1.csv:3: label '1.5'"),
        (HEADER + "1,7\n2,\n", r"set_1.csv:3: label ''"),
        (HEADER + "1,7\n6,2522\n", r"set_1.csv:3: label 2522 of clip 00006"),
        (HEADER + "1,7\nx,1\n", r"set_1.csv:3: 'x' is no clip number such as '2522'; restore the line"),
        (HEADER + "1,7\n" + "2" * 5000 + ",1\n", r"set_1.csv:3: '2{60}' is no clip number"),
        (HEADER + "1,7\n2," + "1" * 5000 + "\n", r"set_1.csv:3: label '1{30}' of clip 00002"),
        (HEADER + "1,7\n-2,1\n", r"set_1.csv:3: '-2' is no clip number"),
        (HEADER + "1,7\n00002/1.jpg,1\n", r"set_1.csv:3: '00002/1.jpg' is no clip number"),
        (HEADER + "1,7\n,1\n", r"set_1.csv:3: '' is no clip number"),
        (HEADER + "1,7\n2\n", r"set_1.csv:3: '2' has 1 fields where the header has 2; restore the line"),
        (HEADER + "1,7\n2;1\n", r"set_1.csv:3: '2;1' has 1 fields where the header has 2"),
        (HEADER + "1,7\n2,1,3\n", r"set_1.csv:3: '2,1,3' has 3 fields where the header has 2"),
        (HEADER + '1,7\n"2,1\n3,1\n', r"set_1.csv:3: '\"2,1' has 1 fields where the header has 2"),
        (HEADER + "1,7\n" + "2" * 200_000 + ",1\n", r"set_1.csv:3: '222.*' has 1 fields where the header has 2"),
        (HEADER + "1,1\n2,0\n", r"set_1.csv:3: these labels are 0-based"),
        (HEADER + "1,0\n2,7\n", r"set_1.csv:2: these labels are 0-based"),
        (HEADER + "1,7\n2,1\n01,7\n", r"set_1.csv:4: clip 00001 stands at .*set_1.csv:2 too; delete one"),
        (HEADER + "1,7\n2,1\n01,6\n", r"set_1.csv:4: clip 00001 stands at .*set_1.csv:2 too; delete one"),
        (
            HEADER + "1,7\n60,7\n",
            r"train.*set_1.csv:3: clip 00060 stands in the other split too \(.*test.*set_1.csv:2\)",
        ),
        (HEADER + "1,7\n\0,1\n", r"set_1.csv:3: a NUL byte, so the file is damaged"),
        (HEADER.encode("utf-16-le"), r"set_1.csv:1: a NUL byte, .*save it as UTF-8"),
        (HEADER.encode() + b"1,7\n2,\xe4\n", r"set_1.csv:3: this is no UTF-8 text \(byte 23\); save it as UTF-8"),
        (b"\xff\xfe\0", r"set_1.csv:1: this is no UTF-16 text \(byte 2\)"),
        (b"PK\x03\x04\x14\0\0", r"set_1.csv is a workbook or zip file, no text; save it as CSV"),
    ],
)
def test_wrong_annotations(trees: Any, text: str | bytes, message: str) -> None:
    root = trees.dfew()
    edit(root, text)
    with pytest.raises(InputError, match=message) as caught:
        DFEW(root, "train")
    assert "\n" not in str(caught.value)


def test_neither_zero_nor_seven(trees: Any) -> None:
    root = trees.dfew()
    edit(root, "video_name,label\n1,2\n2,3\n", "test")
    assert len(DFEW(root, "test")) == 2  # the training set of the fold holds a 7
    edit(root, "video_name,label\n1,2\n2,3\n", "test", rest="3,2\n")
    with pytest.raises(InputError, match="neither a label 0 nor a 7"):
        DFEW(root, "test")
    edit(root, "video_name,label\n1,sad\n2,angry\n", "test", rest="3,sad\n")
    assert DFEW(root, "test").targets.tolist() == [1, 3]  # names need no order


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_published_counts_of_other_classes_mean_another_order(tmp_path: Path, split: str) -> None:
    counts = published(split, 3)
    alphabetical = sorted(range(7), key=lambda k: BASIC[k])

    def listing(order: list[int], but: int = 0) -> Listing:
        numbers = [order.index(k) + 1 for k in range(7) for _ in range(counts[k])][but:]
        path = set_path(tmp_path, split, 3)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEADER + "".join(f"{i},{label}\n" for i, label in enumerate(numbers, 1)))
        return read_set(tmp_path, split, 3)

    assert not listing(list(range(7))).problems
    (problem,) = listing(alphabetical).problems
    assert "set_3.csv: as many clips as published, but the large classes are others" in str(problem)
    assert listing(alphabetical, but=3).problems == [problem]  # also where a few clips are not listed
    assert not listing(list(range(7)), but=20).problems
    assert not listing(alphabetical, but=200).problems  # a part of the data: nobody knows


def test_wrong_places(trees: Any, tmp_path: Path) -> None:
    root = trees.dfew()
    with pytest.raises(InputError, match=r"nowhere does not exist"):
        DFEW(tmp_path / "nowhere", "train")
    with pytest.raises(InputError, match=r"set_1.csv not found; the root holds clip_224x224"):
        DFEW(root / "Clip", "train")
    for fold in (0, 6, -1, "1", True, 1.0, None):
        with pytest.raises(InputError, match=rf"^DFEW has no fold {fold!r}; choose 1 to 5$"):
            DFEW(root, "train", fold)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no split 'val'; choose train or test"):
        DFEW(root, "val")
    with pytest.raises(InputError, match=r"original not found; there is media='frames'"):
        DFEW(root, "train", media="video")


def test_a_doubled_folder_of_clips(trees: Any) -> None:
    root = trees.dfew()
    (root / "Clip/clip_224x224").rename(root / "inner")
    (root / "Clip/clip_224x224").mkdir()
    (root / "inner").rename(root / "Clip/clip_224x224/clip_224x224")
    data = DFEW(root, "train")
    assert data.frame_count(0) == 3
    assert DFEW.media_in(root) == ("frames",)
    assert len(DFEW.survey(root).entries()) == 70


def test_clips_missing_on_disk_and_exclude(trees: Any) -> None:
    root = trees.dfew()
    (root / "Clip/clip_224x224/00001").rename(root / "gone")
    for file in (root / "Clip/clip_224x224/00002").iterdir():
        file.unlink()
    with pytest.raises(
        ItemError, match=r"1 not on disk, 1 without a frame in its folder.*set_5.csv:2.*dfer data check"
    ):
        DFEW(root, "train", 5)
    exclude = root / "leave.txt"
    exclude.write_text("# comment\n00001\tnot on disk\n00002\n")
    data = DFEW(root, "train", 5, exclude=exclude)
    assert "00001" not in data.clip_ids
    assert len(data) == 54
    assert data.description["args"]["exclude"] == str(exclude)


def test_unreadable_frames(trees: Any, caplog: pytest.LogCaptureFixture) -> None:
    root = trees.dfew(frames=10)
    data = DFEW(root, "train")
    folder = Path(data.source.index.path(int(data.source.entries[0])))
    frames = sorted(folder.iterdir())
    frames[4].write_bytes(b"")
    frames[5].write_bytes(frames[5].read_bytes()[:200])
    for _ in range(2):
        read = data.read(0, np.arange(10))
        assert [int(frame.mean().round()) for frame in read] == [8, 16, 24, 32, 32, 56, 56, 64, 72, 80]
    assert data.source.skipped.tolist()[:2] == [2, 0]
    assert [record.getMessage() for record in caplog.records].count(caplog.messages[0]) == 1
    assert "2 of 10 wanted frames" in caplog.text
    for frame in frames[:3]:
        frame.write_bytes(b"")
    with pytest.raises(ItemError, match=rf"clip {data.clip_id(0)}: 5 of 10 wanted frames.*--decode"):
        data.read(0, np.arange(10))
