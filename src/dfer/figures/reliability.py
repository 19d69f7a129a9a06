"""The reliability diagram."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dfer.figures.style import ACCENT, QUIET, SECOND, new_figure

Bins = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]
"""Sums of confidence, sums of correct and counts per bin, as `dfer.metrics.reliability` gives them."""


def reliability(curves: Mapping[str, Bins], title: str = "") -> Figure:
    """Draw accuracy over confidence for each named curve, with the share of clips per bin below the diagonal.

    Raises:
        ValueError: no curve.
    """
    if not curves:
        raise ValueError("no curve to draw; give one at least")
    figure = new_figure(3.5, 3.2)
    axes = figure.axes[0]
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=":", label="perfect")
    for (name, (confidence, correct, count)), colour in zip(curves.items(), (ACCENT, SECOND, QUIET, "black")):
        bins = len(count)
        seen = count > 0
        edges = np.arange(bins) / bins
        axes.bar(
            edges, count / max(count.sum(), 1), width=1 / bins, align="edge", color=colour, alpha=0.18, linewidth=0
        )
        axes.plot(
            confidence[seen] / count[seen],
            correct[seen] / count[seen],
            marker="o",
            markersize=3,
            color=colour,
            label=name,
        )
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy (bars: share of clips)", title=title)
    axes.set_aspect("equal")
    axes.legend(frameon=False, loc="upper left", fontsize=7)
    return figure
