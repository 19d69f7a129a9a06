"""Several panels in one figure."""

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dfer.figures.style import _STYLE


def new_panels(rows: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Start a figure of several panels in the house style, row by row.

    Raises:
        ValueError: no panel.

    Example:
        >>> figure, panels = new_panels(2, 3, 3.5, 2.6)
        >>> len(panels)
        6
    """
    if rows < 1 or columns < 1:
        raise ValueError(f"{rows} rows and {columns} columns of panels; give at least 1 of each")
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
    return figure, list(grid.flat)
