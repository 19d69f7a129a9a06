"""Clips of the same bytes."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from dfer.datasets import CSVClips, FolderClips
from dfer.datasets.check.findings import Findings
from dfer.datasets.check.sides import Sides
from dfer.datasets.check.twins import SAME_BYTES, find_twins, group_twins
from dfer.datasets.dfew import DFEW
from dfer.datasets.index import index_listed
from dfer.datasets.survey import Survey


def twins(survey: Survey) -> tuple[Findings, list[list[str]]]:
    found, sides = Findings(), Sides(survey.parts)
    groups = find_twins(survey.index, sides, found)
    return found, [[sides.ids[entry] for entry in group] for group in groups]


def write(folder: Path, *frames: bytes) -> None:
    folder.mkdir(parents=True)
    for number, content in enumerate(frames):
        (folder / f"{number:03d}.jpg").write_bytes(content)


def test_only_the_same_bytes_in_the_same_order_are_the_same(tmp_path: Path) -> None:
    write(tmp_path / "a", b"one", b"two", b"six")
    write(tmp_path / "b", b"one", b"two", b"six")
    write(tmp_path / "c", b"one", b"six", b"two")
    write(tmp_path / "d", b"one", b"two", b"sit")
    write(tmp_path / "e", b"onetw", b"o", b"six")
    write(tmp_path / "f", b"one", b"two", b"six", b"ten")
    write(tmp_path / "g", b"onetwosix")
    (tmp_path / "g.jpg").write_bytes(b"onetwosix")
    write(tmp_path / "h", b"", b"", b"")
    write(tmp_path / "i", b"", b"", b"")
    write(tmp_path / "j")
    shutil.copytree(tmp_path / "a", tmp_path / "k")
    (tmp_path / "k/002.jpg").rename(tmp_path / "k/9.jpg")  # by whatever name
    index = index_listed(tmp_path, "x", sorted("abcdefghijk"))
    groups = group_twins(index, range(len(index.clips)))
    assert [[index.clips[entry] for entry in group] for group in groups] == [["a", "b", "k"]]


def test_files_that_go_meanwhile_are_like_no_other(tmp_path: Path) -> None:
    for name in "abc":
        write(tmp_path / name, b"one")
    index = index_listed(tmp_path, "x", list("abc"))
    shutil.rmtree(tmp_path / "b")
    assert group_twins(index, range(3)) == [[0, 2]]
    assert group_twins(index, []) == []


def test_few_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        write(tmp_path / f"{number}", b"x" * (1 + number % 10), bytes([number]) * 3)
    index = index_listed(tmp_path, "x", [str(number) for number in range(20)])
    write(tmp_path / "copy", b"x" * 5, bytes([4]) * 3)
    opened = []
    real = Path.open

    def spy(self: Path, *args: Any, **kwargs: Any) -> Any:
        opened.append(self)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", spy)
    stated = []
    stat = Path.stat
    monkeypatch.setattr(Path, "stat", lambda self, **kwargs: stated.append(self) or stat(self, **kwargs))
    assert group_twins(index, range(10)) == []
    assert (len(stated), opened) == (10, [])  # of each clip the first file: sizes differ
    assert group_twins(index, range(20)) == []
    assert opened


def test_a_training_clip_that_is_tested_too(trees: Any) -> None:
    file = trees.csv("clip,label,split\na,sad,train\nb,happy,test\nc,sad,train\nd,sad,train\n", ["a", "c"])
    shutil.copytree(file.parent / "a", file.parent / "b")
    shutil.copytree(file.parent / "c", file.parent / "d")
    found, groups = twins(CSVClips.survey(file))
    assert groups == [["b", "a"], ["c", "d"]]
    assert [(problem.clip_id, problem.reason) for problem in found.problems[SAME_BYTES]] == [
        ("a", "the same bytes as b, which is in test, this in train; labels differ: sad, happy")
    ]
    assert found.notes == ["clips on one side with the same bytes as another: 1 (c and d)"]
    assert found.details["same_bytes"] == [
        {"clips": ["b", "a"], "labels": ["happy", "sad"], "leave_out": ["a"]},
        {"clips": ["c", "d"], "labels": ["sad", "sad"], "leave_out": []},
    ]


def test_in_folds_all_but_the_first_go_unless_they_are_tested_together(trees: Any) -> None:
    root = trees.dfew()
    clips = root / "Clip/clip_224x224"
    for number in (8, 64, 65):  # 1 and 8 are tested in fold 1, 64 and 65 in fold 5; 65 has another label
        shutil.rmtree(clips / f"{number:05d}")
        shutil.copytree(clips / "00001", clips / f"{number:05d}")
    found, groups = twins(DFEW.survey(root))
    assert groups == [["00001", "00008", "00064", "00065"]]
    reasons = {problem.clip_id: problem.reason for problem in found.problems[SAME_BYTES]}
    assert set(reasons) == {"00064", "00065"}
    assert reasons["00064"] == (
        "the same bytes as 00001, which is in fold 1 test, this in fold 1 train (and so in 1 more)"
    )
    assert reasons["00065"].endswith("; labels differ: neutral, sad") or "labels differ" in reasons["00065"]
    assert found.notes == []


def test_videos(trees: Any) -> None:
    root = trees.folder(splits=("train", "test"))
    one = trees.video(root / "train/anger/v.mp4", 5)
    shutil.copy(one, root / "test/anger/w.mp4")
    found, groups = twins(FolderClips.survey(root))
    assert groups == [["test/anger/w.mp4", "train/anger/v.mp4"]]
    assert [problem.clip_id for problem in found.problems[SAME_BYTES]] == ["train/anger/v.mp4"]
