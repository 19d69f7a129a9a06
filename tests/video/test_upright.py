import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from dfer.video import open_stream, read_frames, write_video
from dfer.video import upright as module
from dfer.video.upright import Upright

MATRICES: dict[tuple[int, int, int, int], Callable[[np.ndarray], np.ndarray]] = {
    (1, 0, 0, 1): lambda p: p,
    (0, 1, -1, 0): lambda p: np.rot90(p, -1),
    (-1, 0, 0, -1): lambda p: np.rot90(p, 2),
    (0, -1, 1, 0): lambda p: np.rot90(p, 1),
    (-1, 0, 0, 1): lambda p: p[:, ::-1],
    (1, 0, 0, -1): lambda p: p[::-1],
    (0, 1, 1, 0): lambda p: p.transpose(1, 0, 2),
    (0, -1, -1, 0): lambda p: np.rot90(p, 2).transpose(1, 0, 2),
    (0, 0, 0, 0): lambda p: p,
}


def corners(height: int = 64, width: int = 96) -> np.ndarray:
    """Four corners of four colours."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = 240
    picture[: height // 2, width // 2 :] = (200, 40, 40)
    picture[height // 2 :, : width // 2] = (40, 200, 40)
    return picture


@pytest.mark.parametrize("matrix", MATRICES, ids=str)
def test_turned_and_mirrored_as_the_header_says(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    path = tmp_path / "turned.mp4"
    write_video(path, [corners()] * 3)
    data = bytearray(path.read_bytes())
    place = data.find(b"tkhd") + 4 + 4 + 20 + 16  # flags, times, layer to volume
    a, b, c, d = (value * 65536 for value in matrix)
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(bytes(data))
    expected = MATRICES[matrix](corners())
    with open_stream(path) as stream:
        frames = [read_frames(path, np.array([1]))[0], next(iter(stream)).pixels]
    for frame in frames:
        assert frame.shape == expected.shape
        assert frame.flags.c_contiguous
        assert np.abs(frame.astype(int) - expected).mean() < 8


@pytest.mark.parametrize(
    ("ratio", "shape"),
    [((4, 3), (64, 128, 3)), ((1, 2), (128, 96, 3)), ((1, 1), (64, 96, 3)), ((9, 1), (64, 96, 3))],
)
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts"])
def test_pixels_that_are_not_square_are_widened(
    tmp_path: Path, suffix: str, ratio: tuple[int, int], shape: tuple[int, ...]
) -> None:
    path = tmp_path / f"wide.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(*ratio)
        for number in range(4):
            frame = av.VideoFrame.from_ndarray(corners(), format="rgb24").reformat(format="yuv420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    read = read_frames(path, np.array([2]))[0]
    assert read.shape == shape
    with open_stream(path) as opened:
        assert (opened.info.height, opened.info.width) == shape[:2]
        frames = list(opened)
    assert np.array_equal(frames[2].pixels, read)
    assert np.abs(read.astype(int) - corners(*shape[:2])).mean() < 8


class Silent:
    """FFmpeg's stream, of square pixels."""

    sample_aspect_ratio = None
    codec_context = SimpleNamespace(sample_aspect_ratio=None)


def test_all_frames_are_of_the_first_ones_size() -> None:
    upright = Upright(Silent())
    for height, width in ((64, 96), (32, 48), (96, 64)):
        frame = av.VideoFrame.from_ndarray(corners(height, width), format="rgb24")
        assert upright(frame).shape == (64, 96, 3)
    assert Upright(Silent(), (32, 16))(frame).shape == (16, 32, 3)


def test_side_data_that_is_unknown_changes_nothing() -> None:
    class Odd:
        rotation = -90

        @property
        def side_data(self) -> None:
            raise ValueError("77 is not a valid Type")

    frame = av.VideoFrame.from_ndarray(corners(), format="rgb24")
    upright = Upright(Silent())
    upright._turns[0] = module._turn(Odd())
    assert np.array_equal(upright(frame), np.rot90(corners(), -1))
