"""The confusion matrix."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from dfer.figures.style import new_figure
from dfer.labels import SHORT


def confusion(counts: ArrayLike, labels: Sequence[str], title: str = "") -> Figure:
    """Draw how often each class (rows) was taken for each (columns): per cent of the row, count below.

    Shape:
        counts ``(K, K)``, rows true.

    Raises:
        ValueError: counts and labels do not fit.
    """
    table = np.asarray(counts)
    if table.shape != (len(labels), len(labels)):
        raise ValueError(f"counts {table.shape} do not fit {len(labels)} labels")
    total = table.sum(axis=1, keepdims=True)
    share = 100 * table / np.maximum(total, 1)
    side = max(3.5, 0.46 * len(labels) + 0.6)
    figure = new_figure(side, side)
    axes = figure.axes[0]
    axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
    for (true, predicted), value in np.ndenumerate(share):
        if total[true] == 0:
            continue
        colour = "white" if value > 55 else "black"
        axes.text(predicted, true - 0.08, f"{value:.0f}", ha="center", va="center", color=colour, fontsize=8)
        axes.text(
            predicted, true + 0.28, f"{table[true, predicted]}", ha="center", va="center", color=colour, fontsize=5
        )
    names = [SHORT.get(name, name) for name in labels]
    axes.set_xticks(range(len(names)), names, rotation=0 if len(names) < 9 else 45)
    axes.set_yticks(range(len(names)), [f"{name} ({int(n)})" for name, n in zip(names, total[:, 0])])
    axes.set_xlabel("predicted")
    axes.set_ylabel("true (clips)")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_title(title)
    return figure
