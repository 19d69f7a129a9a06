from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dfer.errors import InputError
from dfer.video import probe, read_frames, write_video


def test_frames_come_back(tmp_path: Path, frames: list[np.ndarray], number: Callable[[np.ndarray], int]) -> None:
    path = tmp_path / "new folder" / "-a b.mp4"
    write_video(path, iter(frames), fps=12.5)
    info = probe(path)
    assert (info.frames, info.height, info.width) == (40, 64, 96)
    assert info.seconds == pytest.approx(3.2)
    assert [number(frame) for frame in read_frames(path, np.arange(40))] == list(range(40))
    assert path.stat().st_mode & 0o777 == 0o644


def test_the_same_frames_give_the_same_bytes(tmp_path: Path, frames: list[np.ndarray]) -> None:
    for name in "ab":
        write_video(tmp_path / f"{name}.mp4", frames[:6])
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize(
    ("shapes", "message"),
    [([], "none"), ([(63, 64, 3)], "63"), ([(64, 64, 3), (32, 64, 3)], r"\(32, 64, 3\)"), ([(64, 64)], "64")],
)
def test_bad_frames_leave_nothing_behind(tmp_path: Path, shapes: list[tuple[int, ...]], message: str) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match=message):
        write_video(path, [np.zeros(shape, np.uint8) for shape in shapes])
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]
    assert path.read_bytes() == b"old"


def test_a_folder_that_cannot_be_written(tmp_path: Path, frames: list[np.ndarray]) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match="cannot write"):
        write_video(tmp_path / "file" / "a.mp4", frames[:2])
