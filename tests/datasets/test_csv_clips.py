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
        ("", r"clips.csv:1: empty; the header 'clip,label,split\[,subject\]\[,frames\]' belongs there"),
        ("a,sad,train\nb,sad,test\n", r"clips.csv:1: 'a,sad,train' where the header 'clip,label,split\[,subject\]"),
        ("clip,label,splits\na,sad,train\n", r"clips.csv:1: 'clip,label,splits' where the header"),
        ("clip,label,split,clip\na,sad,train,b\n", r"clips.csv:1: the column 'clip' stands there twice"),
        ("clip,label,split,sbject\na,sad,train,s1\n", r"clips.csv:1: the column 'sbject' is none of 'clip,.*rename or"),
        ("clip,label,split\n", "lists no clip"),
        ("clip,label,split\na,sad,test\n", "lists no clip"),
        (GOOD + "d,sad,val\n", r"clips.csv:5: split 'val' is neither train nor test"),
        (GOOD + "d,train,sad\n", r"clips.csv:5: split 'sad' is neither train nor test"),
        (GOOD + "d,3,train\n", r"clips.csv:5: label 3 is a number"),
        (GOOD + "d,3.0,train\n", r"clips.csv:5: label 3.0 is a number"),
        (GOOD + "d,-1,train\n", r"clips.csv:5: label -1 is a number"),
        (GOOD + "d,nan,train\n", r"clips.csv:5: label nan is a number"),
        (GOOD + "d,,train\n", r"clips.csv:5: no clip or no label; fill them in"),
        (GOOD + "d,sad\n", r"clips.csv:5: 'd,sad' has 2 fields where the header has 3; quote names with commas"),
        (GOOD + "d,x,sad,train\n", r"clips.csv:5: 'd,x,sad,train' has 4 fields where the header has 3"),
        (GOOD + "d;sad;train\n", r"clips.csv:5: 'd;sad;train' has 1 fields where the header has 3"),
        (GOOD + '"d,sad,train\ne,sad,train\n', r"clips.csv:5: '\"d,sad,train' has 1 fields where the header has 3"),
        (GOOD + "/x/d,sad,train\n", r"clips.csv:5: clip '/x/d' is absolute; write it relative to the CSV file"),
        (GOOD + "D:\\x\\d.mp4,sad,train\n", r"clips.csv:5: clip 'D:\\\\x\\\\d.mp4' is absolute"),
        (GOOD + "\\\\host\\d,sad,train\n", r"clips.csv:5: clip .* is absolute"),
        (GOOD + "a,Anger,train\n", r"clips.csv:5: clip a stands at .*clips.csv:2 too; delete one of the two lines"),
        (GOOD + "./a/,happy,train\n", r"clips.csv:5: clip a stands at .*clips.csv:2 too"),
        (GOOD + "a,Anger,test\n", r"clips.csv:2: clip a stands in the other split too \(.*clips.csv:5\); delete one"),
        (GOOD + "\0,sad,train\n", r"clips.csv:5: a NUL byte"),
        ("clip,label,split,subject\na,sad,train,s1\nb,sad,train,\n", r"clips.csv:3: clip b has no subject"),
        ("clip,label,split,frames\na,sad,train,x\n", r"clips.csv:2: frames 'x' is no number; write how many"),
        ("clip,label,split,frames\na,sad,train,-1\n", r"clips.csv:2: frames '-1' is no number"),
        ("clip,label,split,frames\na,sad,train," + "9" * 5000, r"clips.csv:2: frames '9{30}' is no number"),
        ("clip,label,split,frames\na,sad,train,²\n", r"clips.csv:2: frames '²' is no number"),
    ],
)
def test_wrong_files(trees: Any, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        CSVClips(trees.csv(text), "train")


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffclip,label,split\r\na,Anger,train\r\nb,happy,Train\r\n",
        "clip,label,split\ra,Anger,train\rb,happy,train",
        "clip,label,split\na,Anger,train\nb,happy,train\n".encode("utf-16"),
        "clip;label;split\na;Anger;train\nb;happy;train\n",
        "clip\tlabel\tsplit\na\tAnger\ttrain\nb\thappy\ttrain\n",
        '"clip", "label", "split"\n"a", "Anger", "train"\n"b", "happy", "train"\n',
        "clip,label,split,,\na,Anger,train,,\nb,happy,train\n",
        "Split,LABEL,clip\ntrain,Anger,./a/\ntrain,happy,x\\..\\b\n",
        ",clip,label,split\n0,a,Anger,train\n1,b,happy,train\n",
    ],
)
def test_forms_whose_meaning_is_certain(trees: Any, content: str | bytes) -> None:
    file = trees.csv("")
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    data = CSVClips(file, "train")
    assert data.clip_ids == ("a", "b")
    assert [data.labels[k] for k in data.targets] == ["angry", "happy"]


def test_subjects_in_both_splits_are_said_once(trees: Any, caplog: pytest.LogCaptureFixture) -> None:
    lines = ["a,sad,train,s10", "b,sad,train,s2", "c,sad,test,s2", "d,sad,test,s10", "e,sad,test,s3"]
    file = trees.csv("clip,label,split,subject\n" + "\n".join(lines), "abcde")
    for split in ("train", "test", "train"):
        CSVClips(file, split)
    (said,) = caplog.messages
    assert said == (
        f"{file}: 2 of 3 subjects are in train and in test (s2, s10), so that test clips show people known from "
        "training; put each subject into one split"
    )
    caplog.clear()
    exclude = file.with_name("exclude.txt")
    exclude.write_text("c\nd\n")
    CSVClips(file, "train", exclude=exclude)
    assert not caplog.messages


def test_a_clip_in_both_splits_can_be_excluded(trees: Any) -> None:
    file = trees.csv(GOOD + "a,Anger,test\n")
    exclude = file.with_name("exclude.txt")
    exclude.write_text("a\n")
    assert CSVClips(file, "train", exclude=exclude).clip_ids == ("b",)
    assert CSVClips(file, "test", exclude=exclude).clip_ids == ("c",)


def test_a_misspelt_label_is_said(trees: Any, caplog: pytest.LogCaptureFixture) -> None:
    data = CSVClips(trees.csv("clip,label,split\na,suprise,train\nb,surprise,train\nc,bored,test\n"), "train")
    assert data.labels == ("surprise", "bored", "suprise")
    assert [said.partition(": ")[2] for said in caplog.messages] == [
        "'suprise' is a class of its own; correct it where 'surprise' is meant"
    ]


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
