"""A picture of the pairs of clips that show nearly the same, side by side."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image

from dfer.datasets.check.sides import Sides
from dfer.datasets.check.similar import Pair, three_frames
from dfer.datasets.index import ClipIndex
from dfer.figures.samples import contact_sheet
from dfer.figures.style import render
from dfer.video.images import Frame

MOST: Final = 24
SIDE: Final = 112
_ROOM: Final = 0.7  # inches that `contact_sheet` leaves for labels
_BESIDE: Final = 0.25  # inches around the labels


def similar_sheet(index: ClipIndex, sides: Sides, pairs: Sequence[Pair]) -> bytes:
    """Draw the first 24 pairs as a JPEG: first, middle and last frame of one clip, then of the other."""
    white = np.full((SIDE, SIDE, 3), 255, np.uint8)
    shown = pairs[:MOST]
    rows = [
        np.stack([*_small(index, pair.one), white, *_small(index, pair.other)])  # (7, SIDE, SIDE, 3)
        for pair in shown
    ]
    titles = [f"{sides.ids[pair.one]}\n{sides.ids[pair.other]}\n{pair.distance} bits" for pair in shown]
    figure = contact_sheet(rows, titles, columns=7)
    axes = figure.axes[0]
    left, right = axes.get_xlim()
    axes.set_xticks([left + (right - left) * share for share in (3 / 14, 11 / 14)], ["one clip", "the other"])
    axes.set_anchor("E")
    figure.draw_without_rendering()
    longest = max(label.get_window_extent().width for label in axes.get_yticklabels()) / figure.dpi
    figure.set_figwidth(figure.get_figwidth() + max(0.0, longest + _BESIDE - _ROOM))
    return render(figure, "jpg")


def _small(index: ClipIndex, entry: int) -> list[Frame]:
    pictures = (Image.fromarray(frame) for frame in three_frames(index, entry))
    return [np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for picture in pictures]
