"""Are the packed copies valid?"""

import shutil
from pathlib import Path
from typing import Any

import pytest

from dfer.datasets.check.findings import Findings
from dfer.datasets.check.packed_copies import PACKED, check_packed
from dfer.datasets.dfew import DFEW
from dfer.datasets.packed.command import cache
from dfer.datasets.packed.table import FRAMES


@pytest.fixture
def packed(trees: Any) -> Path:
    """A small DFEW with a packed copy."""
    root: Path = trees.dfew(clips=14)
    assert cache("dfew", root, size=16, workers=1) == 0
    return root


def looked(root: Path, whole: bool = False) -> Findings:
    survey, found = DFEW.survey(root), Findings()
    check_packed(survey.index, survey.entries(), f"DFEW {root}", whole, found)
    return found


def copy_of(root: Path) -> Path:
    return next(path.parent for path in root.rglob(FRAMES))


def test_a_valid_copy_is_named(packed: Path) -> None:
    folder = copy_of(packed)
    found = looked(packed)
    said = f"the packed copy {folder} (JPEG at 16 px) holds all clips (--decode compares it with every file)"
    assert (found.problems, found.notes) == ({}, [said])
    assert found.details["packed"] == [{"folder": str(folder), "valid": True, "said": said}]
    said = f"the packed copy {folder} (JPEG at 16 px) holds all clips as they are, all its checksums right"
    assert looked(packed, whole=True).notes == [said]


def test_none_is_fine(trees: Any) -> None:
    found = looked(trees.dfew(clips=14))
    assert (found.problems, found.notes, found.details["packed"]) == ({}, [], [])


def test_a_clip_without_a_frame_is_in_no_copy_and_makes_none_stale(trees: Any) -> None:
    root = trees.dfew(clips=14)
    shutil.rmtree(root / "Clip/clip_224x224/00003")
    (root / "Clip/clip_224x224/00003").mkdir()
    assert cache("dfew", root, size=16, workers=0) == 0
    for whole in (False, True):
        assert not looked(root, whole).problems


def test_another_frame_in_a_clip(packed: Path) -> None:
    clip = packed / "Clip/clip_224x224/00003"
    shutil.copy(clip / "00003_00001.jpg", clip / "00003_00004.jpg")
    problem = looked(packed).problems[PACKED][0]
    assert problem.clip_id == ""
    assert "out of date" in problem.reason
    assert "`dfer data cache DFEW" in problem.reason


def test_a_frame_written_over_in_place_is_found_by_looking_at_every_file(packed: Path) -> None:
    frame = packed / "Clip/clip_224x224/00003/00003_00001.jpg"
    with frame.open("ab") as file:
        file.write(b"\0")
    assert not looked(packed).problems
    assert "out of date" in looked(packed, whole=True).problems[PACKED][0].reason


def test_a_flipped_byte_is_found_by_its_checksum(packed: Path) -> None:
    frames = copy_of(packed) / FRAMES
    data = bytearray(frames.read_bytes())
    data[len(data) // 2] ^= 1
    frames.write_bytes(data)
    assert not looked(packed).problems
    found = looked(packed, whole=True)
    assert "is damaged in 1 clips (Clip/clip_224x224/" in found.problems[PACKED][0].reason
    assert found.details["packed"][0]["valid"] is False


def test_a_copy_cut_short(packed: Path) -> None:
    frames = copy_of(packed) / FRAMES
    frames.write_bytes(frames.read_bytes()[:-5])
    assert "cut short" in looked(packed).problems[PACKED][0].reason
