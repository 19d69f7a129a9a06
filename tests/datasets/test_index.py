import os
import pickle
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfer.datasets import index as module
from dfer.datasets.check.command import index
from dfer.datasets.index import (
    FOLDER,
    MISSING,
    UNREADABLE,
    VIDEO,
    index_listed,
    index_tree,
    is_stray,
    natural_key,
    natural_sort,
)


@given(st.lists(st.text("01290ab_.", min_size=1, max_size=6), unique=True))
def test_natural_sort_is_by_number_and_does_not_depend_on_the_order_found(names: list[str]) -> None:
    shuffled = random.Random(0).sample(names, len(names))
    found = natural_sort(shuffled)
    assert found == natural_sort(names) == sorted(names, key=lambda name: (natural_key(name), name))


def test_frames_come_in_natural_order(trees: Any) -> None:
    names = [f"{i}.jpg" for i in range(1, 17)]
    trees.clip(trees.root / "clips" / "00001", names)
    found = index_tree(trees.root, "clips", 1)
    assert found.frame_names(0) == names
    assert found.counts.tolist() == [16]


def test_kinds(trees: Any) -> None:
    trees.clip(trees.root / "frames", ["1.jpg", "2.PNG"])
    trees.video(trees.root / "one.mp4", 1)
    trees.video(trees.root / "many.mp4", 20)
    (trees.root / "text.mp4").write_text("no video")
    (trees.root / "empty").mkdir()
    found = index_listed(trees.root, "x", ["frames", "one.mp4", "many.mp4", "text.mp4", "empty", "absent"])
    assert found.kinds.tolist() == [FOLDER, VIDEO, VIDEO, UNREADABLE, FOLDER, MISSING]
    assert found.counts.tolist() == [2, 1, 20, 0, 0, 0]


@pytest.mark.parametrize("name", [".DS_Store", "@eaDir", "__MACOSX", "._A1.mp4"])
def test_strays(name: str) -> None:
    assert is_stray(name)
    assert not is_stray("A1")


def test_strays_are_no_clips_and_no_frames(trees: Any) -> None:
    clip = trees.clip(trees.root / "clips" / "00001", ["1.jpg"])
    for folder in (clip, clip.parent):
        for name in ("Thumbs.db", ".DS_Store", "._1.jpg", ".hidden.mp4", "desktop.ini", "notes.txt"):
            (folder / name).write_bytes(b"x")
        (folder / "@eaDir").mkdir()
        (folder / "__MACOSX").mkdir()
    found = index_tree(trees.root, "clips", 1)
    assert found.clips == ("clips/00001",)
    assert found.frame_names(0) == ["1.jpg"]


def test_odd_names(trees: Any) -> None:
    odd = ["-dash", "a b", "überrascht 😮", "100%", "quote'\"", "x" * 200]
    for name in odd:
        trees.clip(trees.root / "clips" / name, ["-1.jpg", "ä 2.jpg"])
    (Path(os.fsdecode(os.fsencode(trees.root) + b"/clips/\xff\xfe")) / "in").mkdir(parents=True)
    found = index_tree(trees.root, "clips", 1)
    assert {clip.removeprefix("clips/") for clip in found.clips} == {*odd, os.fsdecode(b"\xff\xfe")}
    assert all(Path(found.path(i)).exists() for i in range(len(found.clips)))
    assert index_tree(trees.root, "clips", 1).clips == found.clips


@pytest.fixture
def made(trees: Any, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The root of every index that is made, in turn."""
    roots: list[Path] = []
    make = module._make
    monkeypatch.setattr(module, "_make", lambda root, *rest: roots.append(root) or make(root, *rest))
    for name in ("00001", "00002"):
        trees.clip(trees.root / "clips" / name, ["1.jpg", "2.jpg"])
    return roots


def test_is_made_once_and_survives_a_move(trees: Any, made: list[Path], tmp_path: Path) -> None:
    first = index_tree(trees.root, "clips", 1)
    assert (trees.root / ".dfer").is_dir()
    index_tree(trees.root, "clips", 1)
    moved = trees.root.rename(tmp_path / "elsewhere")
    found = index_tree(moved, "clips", 1)
    assert made == [trees.root]
    assert found.clips == first.clips
    assert Path(found.path(0), found.frame_names(0)[0]).is_file()


def test_is_made_again_when_stale(trees: Any, made: list[Path]) -> None:
    folder = trees.root / "clips"
    assert index_tree(trees.root, "clips", 1).counts.tolist() == [2, 2]
    trees.clip(folder / "00002", ["1.jpg", "2.jpg", "3.jpg"])
    assert index_tree(trees.root, "clips", 1).counts.tolist() == [2, 3]
    (folder / "00001" / "1.jpg").unlink()
    assert index_tree(trees.root, "clips", 1).counts.tolist() == [1, 3]
    trees.clip(folder / "00003", ["1.jpg"])
    assert index_tree(trees.root, "clips", 1).counts.tolist() == [1, 3, 1]
    shutil.rmtree(folder / "00001")
    assert index_tree(trees.root, "clips", 1).counts.tolist() == [3, 1]
    trees.video(folder / "v.mp4", 2)
    index_tree(trees.root, "clips", 1)
    trees.video(folder / "v.mp4", 5)
    assert index_tree(trees.root, "clips", 1).counts.tolist() == [3, 1, 5]
    before = len(made)
    index_tree(trees.root, "clips", 1)
    assert len(made) == before == 7


def test_listed_clips_that_appear_or_change_are_noticed(trees: Any, made: list[Path]) -> None:
    assert index_listed(trees.root, "x", ["clips/00001", "late"]).kinds.tolist() == [FOLDER, MISSING]
    trees.clip(trees.root / "late", ["1.jpg"])
    assert index_listed(trees.root, "x", ["clips/00001", "late"]).kinds.tolist() == [FOLDER, FOLDER]
    assert index_listed(trees.root, "x", ["late"]).clips == ("late",)
    assert len(made) == 3


@pytest.mark.parametrize("damage", [b"", b"x" * 100, None], ids=["empty", "junk", "cut"])
def test_a_damaged_index_is_made_again(trees: Any, made: list[Path], damage: bytes | None) -> None:
    index_tree(trees.root, "clips", 1)
    (file,) = (trees.root / ".dfer").iterdir()
    file.write_bytes(file.read_bytes()[:-20] if damage is None else damage)
    assert index_tree(trees.root, "clips", 1).counts.tolist() == [2, 2]
    assert len(made) == 2


def test_a_root_that_cannot_be_written_to(trees: Any, made: list[Path], tmp_path: Path) -> None:
    (trees.root / ".dfer").write_text("in the way of the folder, for root too")
    assert index_tree(trees.root, "clips", 1).counts.tolist() == [2, 2]
    assert list((tmp_path / "cache").rglob("*.safetensors"))
    index_tree(trees.root, "clips", 1)
    assert len(made) == 1


def test_nowhere_to_write(
    trees: Any, made: list[Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (trees.root / ".dfer").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(trees.root / ".dfer"))
    assert index_tree(trees.root, "clips", 1).frame_names(1) == ["1.jpg", "2.jpg"]
    assert "can be saved neither" in caplog.text


def test_is_mapped_and_survives_a_pickle(trees: Any, made: list[Path]) -> None:
    index_tree(trees.root, "clips", 1)
    found = index_tree(trees.root, "clips", 1)
    base = found.counts
    while isinstance(base.base, np.ndarray):
        base = base.base
    assert isinstance(base, np.memmap)
    again = pickle.loads(pickle.dumps(found))
    assert again.frame_names(1) == found.frame_names(1)


def test_an_empty_tree(trees: Any) -> None:
    (trees.root / "clips").mkdir(parents=True)
    assert index_tree(trees.root, "clips", 1).clips == ()
    assert index_tree(trees.root, "clips", 1).clips == ()


def test_the_command(trees: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert index("folder", trees.folder()) == 0
    assert "10 clips, 20 frames" in capsys.readouterr().out
