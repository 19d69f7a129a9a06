from pathlib import Path
from typing import Any

import pytest

from dfer.datasets import FERV39k
from dfer.datasets.ferv39k import PUBLISHED, set_path
from dfer.errors import InputError, ItemError
from dfer.labels import BASIC


def test_published_counts() -> None:
    assert [sum(PUBLISHED[split]) for split in ("train", "test")] == [31_088, 7_847]


@pytest.mark.parametrize(
    ("setups", "clips"),
    [
        ("4_setups", "2_ClipsforFaceCrop"),
        ("FERV39k/4_setups", "2_ClipsforFaceCrop"),
        ("4_setups", "2_ClipsforFaceCrop/2_ClipsforFaceCrop"),
        ("FERV39k/4_setups", "2_ClipsforFaceCrop/2_ClipsforFaceCrop"),
        ("FERV39k/4_setups", "FERV39k/2_ClipsforFaceCrop"),
    ],
)
def test_root_variants_and_no_line_is_skipped(trees: Any, setups: str, clips: str) -> None:
    root = trees.ferv39k(setups, clips)
    train, test = FERV39k(root, "train"), FERV39k(root, "test")
    assert train.labels == BASIC
    assert train.class_counts.tolist() == [3] * 7
    assert test.class_counts.tolist() == [1] * 7
    assert train.clip_id(0) == "Action/Happy/0000"
    assert train.labels[train[0].label] == "happy"
    assert train.frame_count(0) == 3


def test_videos(trees: Any) -> None:
    root = trees.ferv39k()
    trees.video(root / "0_7_LabelClips/Action/Sad/0100.mp4", 5)
    set_path(root, "test").write_text("Action/Sad/0100 Sad\n")
    set_path(root, "train").write_text("Action/Sad/0101 Sad\n")
    data = FERV39k(root, "test", media="video")
    assert data.frame_count(0) == 5
    assert data[0].clip.shape == (16, 3, 112, 112)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no clip"),
        ("clip label\nAction/Sad/0100 Sad\n", r"train_All.csv:1: a header \('clip label'\) where none belongs"),
        ("video_name,label\nAction/Sad/0100 Sad\n", r"a header"),
        ("Action/Sad/0100 Sad\nAction/Sad/0101 Bored\n", r"train_All.csv:2: label 'Bored' is none of Happy"),
        ("Action/Sad/0100 5\n", r"train_All.csv:1: label 5 is a number, and two orders"),
        ("Action/Sad/0100 5.0\n", r"train_All.csv:1: label 5.0 is a number"),
        ("Sad/0100 Sad\n", r"train_All.csv:1: 'Sad/0100 Sad' is no clip and label .*; restore the line"),
        ("Action/Sad/0100\n", r"train_All.csv:1: 'Action/Sad/0100' is no clip and label"),
        ("Action/Sad/0100 Sad 28\n", r"train_All.csv:1: 'Action/Sad/0100 Sad 28' is no clip and label"),
        ("Action/Sad/0100 28 2\n", r"train_All.csv:1: 'Action/Sad/0100 28 2' is no clip and label"),
        ("Sad Action/Sad/0100\n", r"train_All.csv:1: 'Sad Action/Sad/0100' is no clip and label"),
        ("Action/Sad/0100/01.jpg Sad\n", r"train_All.csv:1: 'Action/Sad/0100/01.jpg Sad' is no clip and label"),
        ("Action/Sad/ Sad\n", r"train_All.csv:1: 'Action/Sad/ Sad' is no clip and label"),
        ("Action/Sad/0100 Sad\nAction/Sad/0100 Sad\n", r"train_All.csv:2: clip Action/Sad/0100 stands at"),
        ("Action/Sad/0100 Sad\nAction/Sad/0103 Sad\n",
         r"train_All.csv:2: clip Action/Sad/0103 stands in the other split too \(.*test_All.csv:2\)"),
        ("Action/Sad/0100 Sad\nAction/Sad/0101 Angry\n",
         r"train_All.csv:2: label Angry of clip Action/Sad/0101, which lies among another class; correct it, or excl"),
        ("Action/Sad/0100 Sad\n\0\n", r"train_All.csv:2: a NUL byte"),
    ],
)  # fmt: skip
def test_wrong_annotations(trees: Any, text: str, message: str) -> None:
    root = trees.ferv39k()
    set_path(root, "train").write_text(text)
    with pytest.raises(InputError, match=message):
        FERV39k(root, "train")


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffAction/Sad/0100 Sad\r\nAction/Sad/0101 Sadness\r\n".encode(),
        b"Action/Sad/0100 Sad\rAction/Sad/0101 Sad\r",
        "Action/Sad/0100 Sad\nAction/Sad/0101 Sad\n".encode("utf-16"),
        b'"Action/Sad/0100" "Sad"\n"Action/Sad/0101","sad"\n',
        b"Action/Sad/0100,Sad,\nAction/Sad/0101;Sad;\n",
        b"Action/Sad/0100\tSad\nAction\\Sad\\0101\tSad\n",
        b"C:\\my data\\Action\\Sad\\0100 Sad\n/data/FERV39k/2_ClipsforFaceCrop/Action/Sad/0101 Sad\n",
        b"C:\\\\data\\\\Action\\\\Sad\\\\0100 Sad\nAction//Sad//0101 Sad\n",
        b"Action/Sad/0100.mp4 Sad\nAction/Sad/0101/ Sad\n",
    ],
)
def test_forms_whose_meaning_is_certain(trees: Any, content: bytes) -> None:
    root = trees.ferv39k()
    set_path(root, "train").write_bytes(content)
    data = FERV39k(root, "train")
    assert data.clip_ids == ("Action/Sad/0100", "Action/Sad/0101")
    assert data.class_counts.tolist() == [0, 2, 0, 0, 0, 0, 0]


def test_one_split_alone(trees: Any) -> None:
    root = trees.ferv39k()
    set_path(root, "train").unlink()
    assert len(FERV39k(root, "test")) == 7
    with pytest.raises(InputError, match=r"holds no 4_setups/All_scenes/train_All.csv"):
        FERV39k(root, "train")
    with pytest.raises(InputError, match=r"no split 'val'; choose train or test"):
        FERV39k(root, "val")


def test_wrong_layout(trees: Any, tmp_path: Path) -> None:
    root = trees.ferv39k()
    with pytest.raises(InputError, match=r"holds no 4_setups/All_scenes/train_All.csv.*it holds Action"):
        FERV39k(root / "2_ClipsforFaceCrop", "train")
    (root / "2_ClipsforFaceCrop").rename(tmp_path / "gone")
    with pytest.raises(InputError, match="holds no 2_ClipsforFaceCrop"):
        FERV39k(root, "train")


def test_a_clip_that_is_not_on_disk(trees: Any) -> None:
    root = trees.ferv39k()
    with set_path(root, "test").open("a") as file:
        file.write("War/Fear/9999 Fear\n")
    with pytest.raises(ItemError, match=r"1 not on disk: War/Fear/9999, first at .*test_All.csv:8"):
        FERV39k(root, "test")
