"""What a data set holds: the classes of each set, and how long its clips are."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from dfer.figures.style import ACCENT, SECOND, class_colour, new_panels


def clip_histograms(
    labels: Sequence[str], counts: Mapping[str, Sequence[int]], lengths: NDArray[np.int64], frames: int
) -> Figure:
    """Draw the share of each class in every set, and a histogram of the lengths of clips.

    Args:
        counts: for each set its clips per class.
        lengths: frames per clip.
        frames: T, which a line marks: clips to its left repeat frames.

    Raises:
        ValueError: no set, or one with other classes than ``labels``.
    """
    if not counts or any(len(some) != len(labels) for some in counts.values()):
        sizes = [len(some) for some in counts.values()]
        raise ValueError(f"sets of {sizes} classes for {len(labels)} labels; wanted at least one set, each with all")
    height = 0.5 + 0.2 * len(counts)
    figure, (classes, histogram) = new_panels(2, 1, 5.5, height + 2.1, heights=(height, 1.6))
    _shares(classes, labels, counts)
    _lengths(histogram, lengths, frames)
    return figure


def _shares(axes: Axes, labels: Sequence[str], counts: Mapping[str, Sequence[int]]) -> None:
    table = np.array(list(counts.values()), np.float64)  # (sets, classes)
    totals = table.sum(axis=1, keepdims=True)
    shares = 100 * table / np.maximum(totals, 1)
    begin = np.zeros(len(counts))
    for label, share in zip(labels, shares.T):
        bars = axes.barh(range(len(counts)), share, left=begin, height=0.75, color=class_colour(label), label=label)
        for bar in bars:
            bar.set(edgecolor="white", linewidth=0.4)
        begin = begin + share
    for row, total in enumerate(totals[:, 0]):
        axes.text(101, row, f"{total:,.0f}", va="center", fontsize=7)
    axes.set_yticks(range(len(counts)), list(counts))
    axes.invert_yaxis()
    axes.set(xlim=(0, 100), xlabel="clips (%)")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    if labels:
        axes.figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=7, handlelength=1)


def _lengths(axes: Axes, lengths: NDArray[np.int64], frames: int) -> None:
    longest = max(int(lengths.max(initial=1)), frames)
    shortest = min(int(lengths.min(initial=frames)), frames)
    edges = np.unique(np.geomspace(max(1, shortest), longest + 1, 41).round())
    axes.hist(lengths, bins=edges.tolist() if len(edges) > 1 else [1, 2], color=ACCENT)
    axes.axvline(frames, color=SECOND, linewidth=1)
    short = int((lengths < frames).sum())
    axes.set_title(f"{short:,} of {len(lengths):,} clips are shorter than T = {frames}", fontsize=8, color=SECOND)
    axes.set_xscale("log")
    ticks = [tick for power in range(6) for tick in (10**power, 2 * 10**power, 5 * 10**power)]
    shown = [tick for tick in ticks if edges[0] <= tick <= edges[-1]]
    axes.set_xticks(shown, [f"{tick:,}" for tick in shown])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="frames per clip", ylabel="clips")
