import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfer.datasets import MAFW
from dfer.datasets.mafw import FOLDS, SINGLE_LABELLED, set_path
from dfer.errors import InputError, ItemError
from dfer.labels import EXTENDED


def test_published_totals() -> None:
    assert sum(SINGLE_LABELLED) == 9172
    assert dict(zip(EXTENDED, SINGLE_LABELLED)) == {
        "sad": 1470,
        "angry": 1390,
        "happy": 1242,
        "neutral": 1138,
        "surprise": 1072,
        "anxiety": 916,
        "disgust": 639,
        "fear": 625,
        "helplessness": 262,
        "contempt": 236,
        "disappointment": 182,
    }


def test_folds_and_classes(trees: Any) -> None:
    root = trees.mafw()
    seen: list[str] = []
    for fold in FOLDS:
        test, train = MAFW(root, "test", fold), MAFW(root, "train", fold)
        assert test.labels == train.labels == EXTENDED
        assert not set(test.clip_ids) & set(train.clip_ids)
        assert len(test) + len(train) == 55
        seen += test.clip_ids
    assert sorted(seen) == [f"{i:05d}" for i in range(1, 56)]
    data = MAFW(root, "train", 2)
    assert all(EXTENDED[int(name) % 11] == data.labels[k] for name, k in zip(data.clip_ids, data.targets))
    assert data.description["args"]["fold"] == 2
    assert data.groups() is None
    assert data.soft_labels() is None


def test_frames_and_videos(trees: Any) -> None:
    root = trees.mafw(frames=12)
    data = MAFW(root, "test")
    assert [int(frame.mean().round()) for frame in data.read(0, np.array([0, 11, 1]))] == [8, 96, 16]
    assert data[0].clip.shape == (16, 3, 112, 112)
    for i in range(1, 56):
        trees.video(root / "data/clips" / f"{i:05d}.mp4", 4) if i < 12 else None
    assert MAFW.media_in(root) == ("frames", "video")
    set_path(root, "test", 1).write_text("00001.mp4 sadness\n")
    set_path(root, "train", 1).write_text("00002.mp4 neutral\n")
    data = MAFW(root, "test", media="video")
    assert data.frame_count(0) == 4
    assert data[0].clip.shape == (16, 3, 112, 112)


@pytest.mark.parametrize(
    ("annotation", "data"),
    [
        ("Train_Test_Set", "data"),
        ("train&test set", "data"),
        ("Train and Test Set", "data"),
        ("Train & Test Set/Train & Test Set", "data"),
        ("MAFW/Train & Test Set", "MAFW/data"),
        ("mafw/Train_Test_Set", "data"),
        ("Train & Test Set", "data"),
    ],
)
def test_root_variants(trees: Any, annotation: str, data: str) -> None:
    root = trees.mafw(annotation=annotation, data=data)
    assert len(MAFW(root, "train")) + len(MAFW(root, "test")) == 55
    assert MAFW.media_in(root) == ("frames",)


def test_a_doubled_folder_of_frames(trees: Any) -> None:
    root = trees.mafw(data="data/frames")
    assert len(MAFW(root, "test")) == len(MAFW.survey(root).parts[1].entries)


def test_survey_lists_all_ten_sets(trees: Any) -> None:
    root = trees.mafw()
    survey = MAFW.survey(root)
    assert survey.labels == EXTENDED
    assert survey.published == SINGLE_LABELLED
    assert survey.media == "frames"
    assert [part.name for part in survey.parts] == [f"fold {k} {s}" for k in FOLDS for s in ("train", "test")]
    assert [part.trial for part in survey.parts] == [f"fold {k}" for k in FOLDS for _ in range(2)]
    assert survey.entries() == list(range(55))
    set_path(root, "test", 4).unlink()
    shutil.rmtree(root / "data/frames/00003")
    parts = MAFW.survey(root).parts
    assert [len(part.listing.problems) for part in parts] == [0] * 7 + [1, 0, 0]
    assert all(entry == -1 for part in parts for clip, entry in zip(part.listing.clips, part.entries)
               if clip.clip_id == "00003")  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"train.txt lists no clip"),
        ("video label\n00001.mp4 sadness\n", r"train.txt:1: 'video label' is no clip and label such as"),
        ("00001.mp4 sadness\n00002.mp4 bored\n", r"train.txt:2: label 'bored' of clip 00002 is none of happy"),
        ("00001.mp4 5\n", r"train.txt:1: label 5 of clip 00001 is a number, MAFW's own are names"),
        ("sadness 00001.mp4\n", r"train.txt:1: 'sadness 00001.mp4' is no clip and label"),
        ("00001.mp4\n", r"train.txt:1: '00001.mp4' is no clip and label .*; restore the line"),
        ("00001.mp4 sadness 12\n", r"train.txt:1: '00001.mp4 sadness 12' is no clip and label"),
        ("00001.mp4 anger,disgust\n", r"train.txt:1: '00001.mp4 anger,disgust' is no clip and label"),
        ("00001.mp4 sadness\n1.mp4 sadness\n", r"train.txt:2: clip 00001 stands at .*train.txt:1 too; delete one"),
        ("00002.mp4 neutral\n00012.mp4 sadness\n00001.mp4 sadness\n",
         r"train.txt:1: clip 00002 stands in the other split too \(.*test.txt:2\); delete one of the two lines"),
    ],
)  # fmt: skip
def test_wrong_annotations(trees: Any, text: str, message: str) -> None:
    root = trees.mafw()
    set_path(root, "train", 1).write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        MAFW(root, "train")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf00012.mp4 sadness\r\n00013.mp4 neutral\r\n",
        b"00012.mp4 sadness\r00013.mp4 neutral\r",
        b'"00012.mp4" "sadness"\n"00013.mp4" "Neutral"\n',
        b"00012.mp4,sadness,\n00013.mp4,neutral,\n",
        b"00012.mp4;sad\n00013.mp4;neutral\n",
        b"00012.mp4\tsadness\n13\tneutral\n",
        b"D:\\MAFW\\data\\clips\\00012.mp4 sadness\nC:\\My data\\clips\\00013.mp4 neutral\n",
        "00012.mp4 sadness\r\n00013.mp4 neutral\r\n".encode("utf-16"),
    ],
)
def test_forms_whose_meaning_is_certain(trees: Any, content: bytes) -> None:
    root = trees.mafw()
    set_path(root, "train", 1).write_bytes(content)
    data = MAFW(root, "train")
    assert data.clip_ids == ("00012", "00013")
    assert [data.labels[k] for k in data.targets] == ["sad", "neutral"]


@pytest.mark.parametrize("fold", [0, 6, -1, "1", True, 1.0, None])
def test_folds_that_do_not_exist(trees: Any, fold: Any) -> None:
    root = trees.mafw()
    with pytest.raises(InputError, match=rf"^MAFW has no fold {fold!r}; choose 1 to 5$"):
        MAFW(root, "train", fold)


def test_wrong_places(trees: Any, tmp_path: Path) -> None:
    root = trees.mafw()
    with pytest.raises(InputError, match="nowhere does not exist"):
        MAFW(tmp_path / "nowhere", "train")
    with pytest.raises(
        InputError, match=r"holds no 'Train & Test Set', nor does a folder MAFW in it; it holds frames: "
    ):
        MAFW(root / "data", "train")
    with pytest.raises(InputError, match=r"no split 'val'; choose train or test"):
        MAFW(root, "val")
    with pytest.raises(InputError, match=r"data/clips not found; there is media='frames'"):
        MAFW(root, "train", media="video")
    with pytest.raises(InputError, match=r"no media 'faces'; choose one of frames, video"):
        MAFW(root, "train", media="faces")  # type: ignore[arg-type]
    set_path(root, "train", 3).unlink()
    with pytest.raises(InputError, match=r"Test Set holds no single/no_caption/set_3/train.txt, it holds single"):
        MAFW(root, "train", 3)
    shutil.rmtree(root / "data")
    with pytest.raises(InputError, match=r"data/frames not found; the root holds Train & Test Set"):
        MAFW(root, "train")
    assert MAFW.media_in(root) == ("frames",)


def test_clips_missing_on_disk_and_exclude(trees: Any) -> None:
    root = trees.mafw()
    shutil.rmtree(root / "data/frames/00015")
    with pytest.raises(ItemError, match=r"1 of 44 clips .*1 not on disk: 00015, first at .*train.txt:5; .*check MAFW"):
        MAFW(root, "train")
    (root / "leave.txt").write_text("00015\tnot on disk\n")
    assert len(MAFW(root, "train", exclude=root / "leave.txt")) == 43
