"""Where a model looks: maps laid over the frames of a clip."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dfer.figures.style import new_panels

MAP = "inferno"
STRENGTH = 0.75
"""How much of a frame its map hides where it is 1; nothing where it is 0."""


@dataclass(frozen=True)
class Heated:
    """A clip, and where each model looks.

    Shape:
        frames ``(T, H, W, 3)`` uint8, maps each ``(T, H, W)`` in [0, 1].
    """

    title: str
    frames: NDArray[np.uint8]
    maps: Sequence[NDArray[np.float32]]


def heatmap(clips: Sequence[Heated], names: Sequence[str], columns: int = 8, note: str = "") -> Figure:
    """Lay out clips below each other: evenly chosen frames, then a row of the same frames under each model's map.

    Args:
        names: of the models, one per map.
        note: what the maps are; it stands at the scale.

    Raises:
        ValueError: no clip, no map, a map of another shape than its clip, or as many names as maps are not given.

    Example:
        >>> clip = Heated("happy", np.zeros((16, 8, 8, 3), np.uint8), [np.zeros((16, 8, 8), np.float32)])
        >>> figure = heatmap([clip], ["AdamW"])
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['frames', 'AdamW']
    """
    if not clips or not names:
        raise ValueError(f"{len(clips)} clips and {len(names)} models to draw; give one of each at least")
    for clip in clips:
        if len(clip.maps) != len(names):
            raise ValueError(f"{clip.title}: {len(clip.maps)} maps for the models {', '.join(names)}")
        if wrong := [one.shape for one in clip.maps if one.shape != clip.frames.shape[:3]]:
            raise ValueError(f"{clip.title}: a map {wrong[0]} for frames {clip.frames.shape}")
    height, width = clips[0].frames.shape[1:3]
    beside = 0.15 + 0.057 * max(len(name) for name in ["frames", *names])  # inches that the names take
    cell = max(1.75, 3.5 - beside) / columns
    block = (len(names) + 1) * cell * height / width
    figure, axes = new_panels(len(clips), 1, 3.5, len(clips) * (block + 0.2) + 0.45)
    figure.set_layout_engine("compressed")  # for axes of a given shape
    for one, clip in zip(axes, clips):
        sheet, middles = _sheet(clip, columns)
        one.imshow(sheet, interpolation="antialiased")
        one.set_title(clip.title, loc="left", fontsize=7, pad=2)
        one.set_yticks(middles, ["frames", *names], fontsize=7)
        one.set_xticks([])
        one.tick_params(length=0)
        one.spines[:].set_visible(False)
    bar = figure.colorbar(
        ScalarMappable(cmap=MAP), ax=axes, location="bottom", shrink=0.6, aspect=40, pad=0.01, ticks=[0, 1]
    )
    bar.set_label(note, fontsize=7, labelpad=1)
    bar.ax.tick_params(labelsize=7, length=0)
    return figure


def _sheet(clip: Heated, columns: int) -> tuple[NDArray[np.uint8], list[float]]:
    """Lay the frames and what is over them side by side; tell the middle of each row."""
    _, height, width, _ = clip.frames.shape
    gap = max(1, width // 24)
    rows = len(clip.maps) + 1
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for column, frame in enumerate(np.linspace(0, len(clip.frames) - 1, columns).round().astype(int)):
        plain = clip.frames[frame]
        for row, picture in enumerate([plain, *(overlay(plain, one[frame]) for one in clip.maps)]):
            y, x = row * (height + gap), column * (width + gap)
            sheet[y : y + height, x : x + width] = picture
    return sheet, [row * (height + gap) + height / 2 for row in range(rows)]


def overlay(frame: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Lay a map over a frame: the stronger, the more it hides.

    Shape:
        frame ``(H, W, 3)``, heat ``(H, W)`` in [0, 1] -> ``(H, W, 3)`` uint8.

    Example:
        >>> frame = np.full((1, 2, 3), 100, np.uint8)
        >>> overlay(frame, np.array([[0.0, 1.0]], np.float32))[0, 0].tolist()  # where there is no heat
        [100, 100, 100]
    """
    colour = 255 * mpl.colormaps[MAP](heat)[..., :3]
    share = STRENGTH * heat[..., None]
    return ((1 - share) * frame + share * colour).round().astype(np.uint8)  # type: ignore[no-any-return]
