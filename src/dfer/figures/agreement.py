"""Clips whose parts agree more or less: what they look like, and what each part is taken for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from dfer.figures.style import class_colour, new_panels
from dfer.labels import SHORT


@dataclass(frozen=True)
class InParts:
    """A clip, the class that it is labelled with, and the class that each of its parts is taken for, in time.

    Shape:
        frames ``(T, H, W, 3)`` uint8.
    """

    frames: NDArray[np.uint8]
    label: str
    parts: Sequence[str]


def agreement_sheet(levels: Mapping[str, Sequence[InParts]], columns: int = 8) -> Figure:
    """Lay out clips by level of agreement: evenly chosen frames, below them each part's class by name and colour.

    Paper: RDFER, Fig. 3. A part's name stands below the share of the clip that it comes from; parts that overlap, as
    sliding windows do, share the clip evenly.

    Raises:
        ValueError: no level, a level without clips, a clip without parts, or frames of several sizes.

    Example:
        >>> clip = InParts(np.zeros((16, 8, 8, 3), np.uint8), "happy", ["happy", "happy", "sad", "happy"])
        >>> axes = agreement_sheet({"agreement 0.75": [clip]}).axes[0]
        >>> axes.get_title(loc="left"), [text.get_text() for text in axes.texts]
        ('agreement 0.75', ['Hap', 'Hap', 'Sad', 'Hap'])
    """
    clips = [clip for level in levels.values() for clip in level]
    if not clips or not all(levels.values()):
        raise ValueError(f"levels {', '.join(levels) or 'none'}; give one at least, each with a clip")
    if len({clip.frames.shape[1:] for clip in clips}) > 1 or any(
        clip.frames.ndim != 4 or not len(clip.frames) or not clip.parts for clip in clips
    ):
        told = [(clip.frames.shape, len(clip.parts)) for clip in clips]
        raise ValueError(f"clips and their numbers of parts {told}; wanted (T, H, W, 3) of one size, and a part each")
    height, width = clips[0].frames.shape[1:3]
    side = 0.42  # inches per frame
    row = side * (height / width + 0.42)
    heights = [len(level) * row + 0.2 for level in levels.values()]
    beside = 0.15 + 0.07 * max(len(clip.label) for clip in clips)  # inches that the labels take
    figure, axes = new_panels(len(levels), 1, columns * side + beside, sum(heights) + 0.1, heights)
    figure.set_layout_engine("compressed")  # for axes of a given shape
    for one, (title, level) in zip(axes, levels.items()):
        _panel(one, level, columns, height, width)
        one.set_title(title, loc="left", fontsize=8, pad=3)
    return figure


def _panel(axes: Axes, level: Sequence[InParts], columns: int, height: int, width: int) -> None:
    """Draw the clips of a level below each other, with room for the names of their parts."""
    gap = max(1, width // 40)
    across, band = columns * (width + gap) - gap, round(0.42 * width)
    sheet = np.full((len(level) * (height + band), across, 3), 255, np.uint8)
    for place, clip in enumerate(level):
        top = place * (height + band)
        for column, frame in enumerate(np.linspace(0, len(clip.frames) - 1, columns).round().astype(int)):
            sheet[top : top + height, column * (width + gap) : column * (width + gap) + width] = clip.frames[frame]
        share, below = across / len(clip.parts), top + height + 0.04 * width
        for at, name in enumerate(clip.parts):
            bar = (at * share + 0.02 * width, below), share - 0.04 * width, 0.07 * width
            axes.add_patch(Rectangle(*bar, color=class_colour(name), linewidth=0))
            middle = (at + 0.5) * share
            axes.text(middle, below + 0.09 * width, SHORT.get(name, name), ha="center", va="top", fontsize=6)
    axes.imshow(sheet, interpolation="antialiased")
    axes.set_yticks([place * (height + band) + height / 2 for place in range(len(level))], [one.label for one in level])
    for tick, clip in zip(axes.get_yticklabels(), level):
        tick.set_color(class_colour(clip.label))
        tick.set_fontweight("bold")
        tick.set_fontsize(7)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
