"""Which frames cannot be read?"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfer.datasets import CSVClips, FolderClips
from dfer.datasets.check.decode_all import UNREADABLE, decode, decode_all, is_flat
from dfer.datasets.check.findings import Findings
from dfer.datasets.check.sides import Sides
from dfer.datasets.index import index_listed
from dfer.video.decode import read_frames
from dfer.video.encode import write_video


def test_a_clip_of_which_half_is_gone_and_one_with_a_bad_frame(trees: Any) -> None:
    file = trees.csv("clip,label,split\na,sad,train\nb,happy,test\nc,sad,train\n", ["c"])
    for name, bad in (("a", (3, 4, 5)), ("b", (2,))):
        trees.clip(file.parent / name, [f"{number}.jpg" for number in range(1, 7)])
        for number in bad:
            (file.parent / name / f"{number}.jpg").write_bytes(b"no picture")
    survey, found = CSVClips.survey(file), Findings()
    digests = decode_all(survey.index, Sides(survey.parts), 16, found)
    problem = found.problems[UNREADABLE][0]
    assert (problem.clip_id, len(found.all())) == ("a", 1)
    assert problem.reason.startswith("3 of 6 frames unreadable (3.jpg to 5.jpg): ")
    assert found.notes == ["unreadable frames, whose neighbours stand in: 1, in b"]
    assert found.details["unreadable"]["b"]["unreadable"] == ["2.jpg"]
    assert set(digests) == {0, 1, 2}


@pytest.mark.parametrize(("frames", "wrong"), [(16, False), (4, True), (5, False)])
def test_half_of_the_frames_that_are_asked_for(trees: Any, frames: int, wrong: bool) -> None:
    file = trees.csv("clip,label,split\na,sad,train\n", ["b"])
    trees.clip(file.parent / "a", [f"{number}.jpg" for number in range(1, 9)])
    for number in (1, 2):
        (file.parent / "a" / f"{number}.jpg").write_bytes(b"")
    survey, found = CSVClips.survey(file), Findings()
    decode_all(survey.index, Sides(survey.parts), frames, found)
    assert (UNREADABLE in found.problems) == wrong


def test_digests_tell_frames_apart_and_skip_flat_ones(tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (16, 16, 3), np.uint8) for _ in range(3)]
    for number, picture in enumerate([*pictures, pictures[0], np.full((16, 16, 3), 7, np.uint8)]):
        (tmp_path / "a").mkdir(exist_ok=True)
        Image.fromarray(picture).save(tmp_path / f"a/{number}.png")
    write_video(tmp_path / "v.mp4", [*pictures, pictures[0]])
    index = index_listed(tmp_path, "x", ["a", "v.mp4"])
    files, video = decode(index, 0), decode(index, 1)
    assert len(files.digests) == 4
    assert files.digests[0] == files.digests[3]
    assert len(set(files.digests.tolist())) == 3
    assert (files.bad, files.reason, len(video.digests), video.bad) == ([], "", 4, [])


def test_large_frames_are_decoded_in_shorter_stretches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dfer.datasets.check import decode_all as module

    rng = np.random.default_rng(0)
    write_video(tmp_path / "v.mp4", [rng.integers(0, 255, (32, 32, 3), np.uint8) for _ in range(20)])
    index, asked = index_listed(tmp_path, "x", ["v.mp4"]), list[int]()

    def read(path: Path, wanted: np.ndarray) -> list[np.ndarray]:
        asked.append(len(wanted))
        return read_frames(path, wanted)

    monkeypatch.setattr(module, "read_frames", read)
    whole = decode(index, 0)
    monkeypatch.setattr(module, "_STRETCH", 9 * 32 * 32 * 3)
    assert decode(index, 0).digests.tolist() == whole.digests.tolist()
    assert asked == [20, 9, 9, 2]


def test_a_video_of_which_most_cannot_be_decoded(trees: Any) -> None:
    root = trees.folder(clips=2)
    path = root / "anger" / "v.mp4"
    rng = np.random.default_rng(0)
    write_video(path, [rng.integers(0, 255, (32, 32, 3), np.uint8) for _ in range(30)])
    data = bytearray(path.read_bytes())
    box = data.index(b"mdat")
    end = box - 4 + int.from_bytes(data[box - 4 : box])  # the tables of frames stay as they are
    third = box + 4 + (end - box - 4) // 3
    data[third:end] = b"\0" * (end - third)
    path.write_bytes(data)
    survey, found = FolderClips.survey(root), Findings()
    decode_all(survey.index, Sides(survey.parts), 16, found)
    problem = found.problems[UNREADABLE][0]
    assert problem.clip_id == "anger/v.mp4"
    assert "of 30 frames cannot be decoded" in problem.reason
    assert found.details["unreadable"]["anger/v.mp4"]["unreadable"] == []


def test_flat() -> None:
    picture = np.zeros((9, 9, 3), np.uint8)
    assert is_flat(picture)
    picture[0, 0] = 7
    assert is_flat(picture)
    picture[3, 3] = 8  # between the pixels that are looked at first
    assert not is_flat(picture)
