"""One look for all figures: readable at column width, safe for colour-blind readers, text kept as text."""

import io
from collections.abc import Sequence
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Figure

from dfer.labels import COLOURS

COLUMN_WIDTH: Final = 3.5
"""Inches: a column of the two-column formats of this field."""

ACCENT: Final = "#0072b2"
SECOND: Final = "#d55e00"
QUIET: Final = "#7f7f7f"

_STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "svg.hashsalt": "dfer",
}


def new_figure(width: float = COLUMN_WIDTH, height: float = 2.6) -> Figure:
    """Start a figure in the house style; no global state is touched."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.add_subplot()
    return figure


def new_panels(
    rows: int, columns: int, width: float, height: float, heights: Sequence[float] | None = None
) -> tuple[Figure, list[Axes]]:
    """Start a figure of several panels in the house style, row by row.

    Args:
        heights: of the rows, in any unit; all the same unless given.

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
        grid = figure.subplots(rows, columns, squeeze=False, height_ratios=heights)
    return figure, list(grid.flat)


def class_colour(name: str) -> str:
    """Give a class its colour; an unknown class is grey.

    Example:
        >>> class_colour("happy"), class_colour("bored")
        ('#e69f00', '#7f7f7f')
    """
    return COLOURS.get(name, QUIET)


def render(figure: Figure, suffix: str = "svg") -> bytes:
    """Draw a figure as ``svg``, ``pdf`` or ``png``, or as ``jpg`` where it is made of photographs."""
    buffer = io.BytesIO()
    with mpl.rc_context(_STYLE):
        metadata = {"Date": None} if suffix == "svg" else {"CreationDate": None} if suffix == "pdf" else None
        figure.savefig(buffer, format=suffix, dpi=200, metadata=metadata)
    return buffer.getvalue()
