"""Clips as points: what a model takes for alike lies together."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dfer.figures.style import class_colour, new_panels

Points = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Where each clip lies, ``(N, 2)``, and its class, ``(N,)``."""


def embedding(panels: Mapping[str, Points], labels: Sequence[str], together: bool = False) -> Figure:
    """Draw named sets of points in two dimensions, a panel each, coloured by class; two panels in a row.

    The axes of such a picture mean nothing, so they have no ticks; later classes lie above earlier ones.

    Args:
        together: the points were laid out together, so a place is the same in every panel.

    Raises:
        ValueError: no panel, points that are not in two dimensions, or classes that do not fit.

    Example:
        >>> points = np.random.default_rng(0).normal(size=(10, 2)), np.arange(10) % 2
        >>> [axes.get_title() for axes in embedding({"AdamW": points, "DSM": points}, ["happy", "sad"]).axes]
        ['AdamW', 'DSM']
    """
    if not panels:
        raise ValueError("no panel to draw; give one at least")
    columns = min(2, len(panels))
    rows = math.ceil(len(panels) / columns)
    side = 3.5 / columns
    figure, axes = new_panels(rows, columns, 3.5, rows * side + 0.4)
    for one, (name, (points, label)) in zip(axes, panels.items()):
        if points.shape != (len(label), 2) or not len(label):
            raise ValueError(f"{name}: points {points.shape} for {len(label)} classes; wanted (N, 2) with N > 0")
        if label.min() < 0 or label.max() >= len(labels):
            raise ValueError(f"{name}: class {label.max()} of only {len(labels)}")
        for k, of_class in enumerate(labels):
            own = points[label == k]
            one.scatter(
                own[:, 0], own[:, 1], s=12 / columns, color=class_colour(of_class), linewidths=0, label=of_class
            )
        one.set_title(name, fontsize=8)
        one.set_xticks([])
        one.set_yticks([])
        one.set_box_aspect(1)
        one.spines[:].set_visible(True)
        one.spines[:].set_color("#cccccc")
    if together:
        everywhere = np.concatenate([points for points, _ in panels.values()])
        low, high = everywhere.min(axis=0), everywhere.max(axis=0)
        margin = 0.05 * (high - low) + 1e-6
        for one in axes[: len(panels)]:
            one.set_xlim(low[0] - margin[0], high[0] + margin[0])
            one.set_ylim(low[1] - margin[1], high[1] + margin[1])
    for empty in axes[len(panels) :]:
        empty.set_axis_off()
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside lower center", ncols=4, frameon=False, fontsize=7, markerscale=2, handletextpad=0.1
    )
    return figure
