"""Frames side by side."""

import io

import numpy as np
import pytest
from PIL import Image

from dfer.figures import film_strip


def test_frames_stand_in_order() -> None:
    clip = np.repeat(np.linspace(0, 240, 16).astype(np.uint8), 20 * 30 * 3).reshape(16, 20, 30, 3)
    picture = Image.open(io.BytesIO(film_strip(clip, columns=4, height=20)))
    assert picture.size == (4 * 32 - 2, 20)
    grey = np.asarray(picture.convert("L")).astype(int)[10, [15, 47, 79, 111]]
    assert (np.diff(grey) > 40).all()


@pytest.mark.parametrize("frames", [1, 3])
def test_short_clips(frames: int) -> None:
    picture = Image.open(io.BytesIO(film_strip(np.zeros((frames, 10, 10, 3), np.uint8), columns=8, height=10)))
    assert picture.size == (frames * 12 - 2, 10)


def test_no_frame_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(0, 4, 4, 3\)"):
        film_strip(np.zeros((0, 4, 4, 3), np.uint8))
