"""What the scaling of the losses and of the step did, per epoch."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from dfer.figures.style import ACCENT, SECOND, new_panels


def scaling(
    epochs: Sequence[int], panels: Mapping[str, Mapping[str, Sequence[float]]], log: Sequence[str] = ()
) -> Figure:
    """Draw named panels of named series over the same epochs, two in a row.

    Args:
        panels: what stands at a panel's axis, and its series; a panel of several has a legend.
        log: the panels whose axis is logarithmic.

    Raises:
        ValueError: no panel, or a series of another length than the epochs.

    Example:
        >>> figure = scaling([0, 1], {"weight": {"CE": [0.5, 0.6], "SC": [0.5, 0.4]}, "gradient norm": {"g": [1, 0.1]}})
        >>> [axes.get_title() for axes in figure.axes]
        ['weight', 'gradient norm']
    """
    if not panels:
        raise ValueError("no panel to draw; give one at least")
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = new_panels(rows, columns, 3.5, 1.5 * rows + 0.1)
    for one, (title, series) in zip(axes, panels.items()):
        for (name, values), colour in zip(series.items(), (ACCENT, SECOND, "#009e73")):
            if len(values) != len(epochs):
                raise ValueError(f"{len(values)} values of {name} for {len(epochs)} epochs")
            marker = "o" if len(epochs) < 30 else ""
            one.plot(list(epochs), list(values), label=name, color=colour, marker=marker, markersize=2)
        if len(series) > 1:
            one.legend(frameon=False, fontsize=7, handlelength=1)
        one.set_title(title, fontsize=8)
        if title in log:
            _logarithmic(one)
        one.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, nbins=5))
    for one in axes[max(0, len(panels) - columns) : len(panels)]:
        one.set_xlabel("epoch")
    for one in axes[len(panels) :]:
        one.set_axis_off()
    return figure


def _logarithmic(axes: Axes) -> None:
    """Scale a panel's values by their logarithm, with plain numbers at few ticks also within one power of ten."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator() if high > 20 * low else MaxNLocator(4))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
