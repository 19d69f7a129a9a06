from pathlib import Path
from typing import Any

import pytest

from dfer.datasets import CSVClips
from dfer.errors import InputError, ItemError

GOOD = "clip,label,split\na,Anger,train\nb,happy,train\nc,bored,test\n"


def test_splits_and_labels(trees: Any) -> None:
    file = trees.csv(GOOD)
    train, test = CSVClips(file, "train"), CSVClips(file, "test")
    assert train.labels == test.labels == ("happy", "angry", "bored")
    assert train.clip_ids == ("a", "b")
    assert train.targets.tolist() == [1, 0]
    assert test[0].label == 2
    assert test[0].clip.shape == (16, 3, 112, 112)
    assert train.groups() is None


def test_subjects_videos_odd_names_and_excel(trees: Any) -> None:
    odd = ["-dash", "with, comma", "sub dir/ä 😮"]
    text = "\ufeffclip,label,split,subject\r\n" + "".join(
        f'"{name}",happy,Train,s{i % 2}\r\n' for i, name in enumerate(odd)
    )
    file = trees.csv(text + "sub dir\\v.mp4,sad,train,s3\r\n", odd)
    trees.video(file.parent / "sub dir" / "v.mp4", 3)
    data = CSVClips(file, "train")
    assert data.clip_ids == (*odd, "sub dir/v.mp4")
    groups = data.groups()
    assert groups is not None
    assert groups.tolist() == ["s0", "s1", "s0", "s3"]
    assert [data.frame_count(row) for row in range(4)] == [2, 2, 2, 3]
    assert all(data[row].clip.shape == (16, 3, 112, 112) for row in range(4))


def test_frames_are_counted_on_disk_and_said_to_differ_once(trees: Any, caplog: pytest.LogCaptureFixture) -> None:
    file = trees.csv("clip,label,split,frames\na,sad,train,2\nb,sad,train,99\nc,happy,train,\n")
    data = CSVClips(file, "train")
    assert [data.frame_count(row) for row in range(3)] == [2, 2, 2]
    assert caplog.messages == ["1 of 3 clips have another number of frames on disk than annotated"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"clips.csv:1: empty; the header 'clip,label,split'"),
        ("a,sad,train\nb,sad,test\n", r"clips.csv:1: 'a,sad,train' where the header"),
        ("clip,label,split\n", "lists no clip"),
        ("clip,label,split\na,sad,test\n", "lists no clip"),
        (GOOD + "d,sad,val\n", r"clips.csv:5: split 'val' is neither train nor test"),
        (GOOD + "d,3,train\n", r"clips.csv:5: label 3 is a number"),
        (GOOD + "d,,train\n", r"clips.csv:5: no clip or no label"),
        (GOOD + "d,sad\n", r"clips.csv:5: 2 fields where the header has 3"),
        (GOOD + '"d,sad,train\ne,sad,train\n', r"clips.csv:5: 1 fields where the header has 3"),
        (GOOD + "/x/d,sad,train\n", r"clips.csv:5: clip '/x/d' is absolute"),
        (GOOD + "a,Anger,train\n", r"clips.csv:5: clip a stands at .*clips.csv:2 too"),
        ("clip,label,split,subject\na,sad,train,s1\nb,sad,train,\n", r"clips.csv:3: clip b has no subject"),
        ("clip,label,split,frames\na,sad,train,x\n", r"clips.csv:2: frames 'x' is no number"),
    ],
)
def test_wrong_files(trees: Any, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        CSVClips(trees.csv(text), "train")


def test_wrong_places(trees: Any) -> None:
    file = trees.csv(GOOD)
    with pytest.raises(InputError, match=r"cannot read .*none.csv"):
        CSVClips(file.with_name("none.csv"), "train")
    with pytest.raises(InputError, match=r"is a folder; give the CSV file"):
        CSVClips(file.parent, "train")
    with pytest.raises(InputError, match=r"no split 'val'"):
        CSVClips(file, "val")
    file.write_bytes("clip,label,split\nä,sad,train\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"no UTF-8 text \(byte 17\)"):
        CSVClips(file, "train")


def test_a_clip_that_is_not_on_disk(trees: Any, tmp_path: Path) -> None:
    file = trees.csv(GOOD, clips=["b", "c"])
    with pytest.raises(ItemError, match=r"1 of 2 clips .* 1 not on disk: a, first at .*clips.csv:2"):
        CSVClips(file, "train")
    (tmp_path / "x.txt").write_text("a\n")
    data = CSVClips(file, "train", exclude=tmp_path / "x.txt")
    assert data.clip_ids == ("b",)
    assert CSVClips(file, "test", exclude=tmp_path / "x.txt").labels == data.labels
