"""A contact sheet: one clip per row, time from left to right."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dfer.figures.style import class_colour, new_figure


def contact_sheet(clips: Sequence[NDArray[np.uint8]], titles: Sequence[str], columns: int = 10) -> Figure:
    """Lay out clips as rows of evenly chosen frames, each row with its title in its class's colour.

    Shape:
        clips: each ``(T, H, W, 3)`` with its own T; frames of one size.

    Raises:
        ValueError: no clip, an empty one, frames of several sizes, or as many titles as clips are not given.
    """
    if not clips or len(clips) != len(titles):
        raise ValueError(f"{len(clips)} clips and {len(titles)} titles; wanted the same number, at least 1")
    shapes = {clip.shape[1:] for clip in clips}
    if len(shapes) > 1 or any(clip.ndim != 4 or not len(clip) for clip in clips):
        raise ValueError(f"clips {[clip.shape for clip in clips]}; wanted (T, H, W, 3) of one size with T > 0")
    height, width, _ = next(iter(shapes))
    gap = max(1, width // 40)
    sheet = np.full((len(clips) * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for row, clip in enumerate(clips):
        for column, frame in enumerate(np.linspace(0, len(clip) - 1, columns).round().astype(int)):
            y, x = row * (height + gap), column * (width + gap)
            sheet[y : y + height, x : x + width] = clip[frame]
    side = 0.75  # inches per frame
    figure = new_figure(columns * side + 0.7, len(clips) * side * height / width + 0.3)
    axes = figure.axes[0]
    axes.imshow(sheet, interpolation="antialiased")
    axes.set_yticks([row * (height + gap) + height / 2 for row in range(len(clips))], titles)
    for label, title in zip(axes.get_yticklabels(), titles):
        label.set_color(class_colour(title))
        label.set_fontweight("bold")
    axes.set_xticks([width / 2, sheet.shape[1] - width / 2], ["first frame", "last frame"])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure
