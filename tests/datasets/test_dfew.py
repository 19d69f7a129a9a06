from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfer.datasets import DFEW
from dfer.datasets.dfew import FOLDS, PUBLISHED_TEST, SINGLE_LABELLED, set_path
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
    data = DFEW(root, "test", media="video")
    assert [data.frame_count(row) for row in range(2)] == [4, 4]
    assert data[1].clip.shape == (16, 3, 112, 112)


def edit(root: Path, text: str, split: str = "train") -> Path:
    path = set_path(root, split, 1)
    path.write_bytes(text.encode())
    return path


def test_byte_order_mark_crlf_and_padding_are_taken(trees: Any) -> None:
    root = trees.dfew()
    edit(root, "\ufeffvideo_name,label\r\n00001,7\r\n2,1\r\n\r\n")
    data = DFEW(root, "train")
    assert data.clip_ids == ("00001", "00002")
    assert data.targets.tolist() == [6, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video_name,label\n", "lists no clip"),
        ("", "lists no clip"),
        ("2,6\n3,7\n", r"set_1.csv:1: '2,6' where the header 'video_name,label' belongs"),
        ("video_name,label\n1,7\n2,8\n", r"set_1.csv:3: label 8 of clip 00002 is not one of 1 to 7"),
        ("video_name,label\n1,7\n2,8\n3,9\n", r"1 more; `dfer data check DFEW"),
        ("video_name,label\n1,7\n2,sad\n", r"set_1.csv:3: label 'sad' of clip 00002 is no number"),
        ("video_name,label\n1,7\n2,-1\n", r"set_1.csv:3: label '-1'"),
        ("video_name,label\n1,7\nx,1\n", r"set_1.csv:3: 'x,1' is no clip number and label"),
        ("video_name,label\n1,7\n2\n", r"set_1.csv:3: '2' is no clip number and label"),
        ("video_name,label\n1,1\n2,0\n", r"set_1.csv:3: these labels are 0-based"),
        ("video_name,label\n1,7\n2,1\n01,7\n", r"set_1.csv:4: clip 00001 stands at .*set_1.csv:2 too"),
    ],
)
def test_wrong_annotations(trees: Any, text: str, message: str) -> None:
    root = trees.dfew()
    edit(root, text)
    with pytest.raises(InputError, match=message) as caught:
        DFEW(root, "train")
    assert "\n" not in str(caught.value)


def test_neither_zero_nor_seven(trees: Any) -> None:
    root = trees.dfew()
    edit(root, "video_name,label\n1,2\n2,3\n", "test")
    assert len(DFEW(root, "test")) == 2  # the training set of the fold holds a 7
    edit(root, "video_name,label\n3,2\n4,3\n", "train")
    with pytest.raises(InputError, match="neither a label 0 nor a 7"):
        DFEW(root, "test")


def test_wrong_places(trees: Any, tmp_path: Path) -> None:
    root = trees.dfew()
    with pytest.raises(InputError, match=r"nowhere does not exist"):
        DFEW(tmp_path / "nowhere", "train")
    with pytest.raises(InputError, match=r"set_1.csv not found; the root holds clip_224x224"):
        DFEW(root / "Clip", "train")
    for fold in (0, 6):
        with pytest.raises(InputError, match=f"no fold {fold}; choose 1 to 5"):
            DFEW(root, "train", fold)
    with pytest.raises(InputError, match="no split 'val'; choose train or test"):
        DFEW(root, "val")
    with pytest.raises(InputError, match=r"original not found; there is media='frames'"):
        DFEW(root, "train", media="video")


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
