"""A picture of many clips, one frame of each: are the faces where they belong?"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dfer.datasets.listing import order_labels
from dfer.figures.samples import contact_sheet
from dfer.figures.style import render
from dfer.video.images import Frame, read_image

MOST: Final = 48
COLUMNS: Final = 8
SIDE: Final = 112
LETTER: Final = 0.13
"""Inches that a label takes at most per letter; there is room for four."""


def face_sheet(out: Path, clips: Mapping[str, Sequence[tuple[str, int]]]) -> bytes:
    """Draw the middle frames of up to 48 clips as a JPEG, rows by label, the clips of a label chosen evenly.

    Args:
        clips: for each label (``""``: none) its clips, relative to ``out``, with their numbers of frames.
    """
    labels = [label for label in order_labels(clips) if clips[label]]
    share = max(1, MOST // len(labels))
    columns = min(COLUMNS, share, max(len(clips[label]) for label in labels))
    rows: list[NDArray[np.uint8]] = []
    titles: list[str] = []
    for label in labels[:MOST]:
        places = np.linspace(0, len(clips[label]) - 1, min(share, len(clips[label]))).round().astype(int)
        shown = [_middle(out / clip, frames) for clip, frames in (clips[label][place] for place in places)]
        for start in range(0, len(shown), columns):
            row = shown[start : start + columns]
            empty = np.full((columns - len(row), SIDE, SIDE, 3), 255, np.uint8)
            rows.append(np.concatenate([np.stack(row), empty]))
            titles.append("" if start else label)
    figure = contact_sheet(rows, titles, columns=columns)
    figure.axes[0].set_xticks([])
    figure.axes[0].set_anchor("E")  # all that is left over is for the labels
    figure.set_figwidth(figure.get_figwidth() + LETTER * max(0, max(map(len, titles)) - 4))
    return render(figure, "jpg")


def _middle(folder: Path, frames: int) -> Frame:
    picture = Image.fromarray(read_image(folder / f"{(frames + 1) // 2:05d}.jpg"))
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
