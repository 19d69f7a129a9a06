"""FFmpeg's frames to pixels as they are to be shown."""

from typing import Any

import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import VideoReformatter

from dfer.video.images import MOST_PIXELS, Frame

QUARTERS = [(False, False, False), (True, False, True), (False, True, True), (True, True, False)]
"""By quarter turns to the left: whether to swap rows and columns, to mirror left to right, and upside down."""
WIDEST = 2  # a pixel, in heights of its own; beyond, the file is taken to be wrong


class Upright:
    """Converts the frames of one video to ``(H, W, 3)`` RGB: turned, mirrored and widened as a player shows them.

    Colours are those of the file's own matrix and range, BT.601 where it is silent; transparency is dropped; the two
    fields of an interlaced frame stay woven. Frames of another size are brought to that of the first.

    Args:
        source: FFmpeg's stream, asked for the shape of a pixel at the first frame.
        size: width and height to expect, as stored; of the first frame unless given.
    """

    def __init__(self, source: Any, size: tuple[int, int] | None = None) -> None:
        self._source, self._stored = source, size
        self._size: tuple[int, int] | None = None
        self._reformatter = VideoReformatter()
        self._turns: dict[int, tuple[bool, bool, bool]] = {}

    def __call__(self, frame: Any) -> Frame:
        """Convert one frame."""
        if self._size is None:
            self._size = self._shown_size(*(self._stored or (frame.width, frame.height)))
        rgb = self._reformatter.reformat(frame, *self._size, "rgb24").to_ndarray()
        if frame.rotation not in self._turns:  # looked up once: the side data of a frame and the frame keep each other
            self._turns[frame.rotation] = _turn(frame)
        swapped, left, up = self._turns[frame.rotation]
        pixels = rgb.transpose(1, 0, 2) if swapped else rgb
        pixels = pixels[:: -1 if up else 1, :: -1 if left else 1]
        return np.ascontiguousarray(pixels)

    def _shown_size(self, width: int, height: int) -> tuple[int, int]:
        ratio = self._source.sample_aspect_ratio or self._source.codec_context.sample_aspect_ratio
        if not ratio or not 1 / WIDEST <= ratio <= WIDEST:
            return width, height
        wide, high = (round(width * ratio), height) if ratio > 1 else (width, round(height / ratio))
        return (wide, high) if wide * high <= MOST_PIXELS else (width, height)


def _turn(frame: Any) -> tuple[bool, bool, bool]:
    """Tell whether to swap rows and columns, and then to mirror left to right, and upside down."""
    try:
        matrix = frame.side_data.get(Type.DISPLAYMATRIX)
    except ValueError:  # other side data, newer than PyAV
        quarters: int = round(frame.rotation / 90) % 4
        return QUARTERS[quarters]
    if matrix is None:
        return QUARTERS[0]
    a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(matrix), np.int32)[:5])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return False, a < 0, d < 0
    return True, c < 0, b < 0
