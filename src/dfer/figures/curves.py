"""Curves per epoch."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dfer.figures.style import ACCENT, QUIET, SECOND, new_figure


def curves(
    epochs: Sequence[int],
    series: Mapping[str, Sequence[float]],
    ylabel: str,
    chosen: Mapping[str, int] | None = None,
    percent: bool = False,
) -> Figure:
    """Draw named series over epochs, the chosen epochs marked.

    Args:
        chosen: what an epoch was chosen for, and the epoch.
        percent: the values are fractions.

    Raises:
        ValueError: a series of another length than the epochs.
    """
    figure = new_figure(3.5, 2.4)
    axes = figure.axes[0]
    for (name, values), colour in zip(series.items(), (QUIET, ACCENT, SECOND, "#009e73")):
        if len(values) != len(epochs):
            raise ValueError(f"{len(values)} values of {name} for {len(epochs)} epochs")
        shown = [100 * value for value in values] if percent else list(values)
        axes.plot(list(epochs), shown, label=name, color=colour, marker="o" if len(epochs) < 30 else "", markersize=2.5)
    for name, epoch in (chosen or {}).items():
        axes.axvline(epoch, color="black", linewidth=0.7, linestyle="--", label=f"chosen ({name})")
    axes.set(xlabel="epoch", ylabel=f"{ylabel} (%)" if percent else ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend(frameon=False, fontsize=7)
    return figure
