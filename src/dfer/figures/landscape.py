"""The loss around the weights that training found."""

from collections.abc import Mapping

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dfer.figures.style import new_panels

LEVELS = 14


def landscape(
    coordinates: NDArray[np.float64],
    surfaces: Mapping[str, NDArray[np.float64]],
    highest: float | None = None,
) -> Figure:
    """Draw loss surfaces beside each other as filled contours, all on one logarithmic scale of colour.

    The cross marks the weights that training found; a wide dark basin around it is a flat minimum.

    Args:
        coordinates: steps along either direction, in multiples of a filter's norm.
        highest: the loss from which all looks the same; the largest drawn unless given. What is not finite counts as
            that.

    Shape:
        coordinates ``(N,)``, surfaces each ``(N, N)``: rows along the second direction, columns along the first.

    Raises:
        ValueError: no surface, one of another shape, or one without a positive, finite value.

    Example:
        >>> steps = np.linspace(-1, 1, 5)
        >>> bowl = 0.1 + steps[:, None] ** 2 + steps**2
        >>> len(landscape(steps, {"AdamW": bowl, "DSM": bowl / 2}).axes)  # with the colour bar
        3
    """
    if not surfaces:
        raise ValueError("no surface to draw; give one at least")
    for name, surface in surfaces.items():
        if surface.shape != (len(coordinates), len(coordinates)):
            raise ValueError(f"{name}: surface {surface.shape} does not fit {len(coordinates)} coordinates")
        if not (np.isfinite(surface) & (surface > 0)).any():
            raise ValueError(f"{name}: no positive, finite loss to draw")
    known = np.concatenate([surface[np.isfinite(surface) & (surface > 0)] for surface in surfaces.values()])
    high = known.max() if highest is None else min(highest, known.max())
    low = min(max(known.min(), 1e-3 * high), 0.99 * high)
    levels = np.geomspace(low, high, LEVELS)
    norm = LogNorm(low, high)
    columns = min(2, len(surfaces))
    rows = -(-len(surfaces) // columns)
    figure, axes = new_panels(rows, columns, 3.5, rows * 2.75 / columns + 0.3)
    middle = len(coordinates) // 2
    for one, (name, surface) in zip(axes, surfaces.items()):
        shown = np.clip(np.where(np.isfinite(surface), surface, high), low, high)
        one.contourf(coordinates, coordinates, shown, levels=levels, norm=norm, cmap="viridis")
        one.contour(coordinates, coordinates, shown, levels=levels, colors="white", linewidths=0.3)
        one.plot(0, 0, marker="+", color="white", markersize=6, markeredgewidth=1)
        one.set_title(f"{name} ({surface[middle, middle]:.2f})", fontsize=8)
        one.set_box_aspect(1)
        one.set_xticks([-1, 0, 1] if abs(coordinates[-1]) == 1 else [coordinates[0], 0, coordinates[-1]])
        one.set_yticks(one.get_xticks())
    for one in axes[len(surfaces) :]:
        one.set_axis_off()
    for place, one in enumerate(axes[: len(surfaces)]):
        if place + columns >= len(surfaces):
            one.set_xlabel("first direction")
        if place % columns == 0:
            one.set_ylabel("second direction")
    bar = figure.colorbar(ScalarMappable(norm, "viridis"), ax=axes, shrink=0.8, pad=0.02, aspect=25)
    ticks = np.geomspace(low, high, 4)
    bar.set_ticks(ticks.tolist(), labels=[f"{tick:.2g}" for tick in ticks])
    bar.minorticks_off()
    bar.set_label("cross-entropy", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return figure
