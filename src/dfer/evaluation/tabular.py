"""Small tables of what was measured: the same cells for people and for programs."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

Format = Literal["terminal", "markdown", "csv", "json"]

EMPTY: Final = "-"


class Mean(NamedTuple):
    """A mean over ``n`` runs and their sample standard deviation."""

    mean: float
    deviation: float
    n: int


Cell = str | int | float | Mean | None
"""Text names a row; None is what there is no clip to measure on."""


@dataclass(frozen=True)
class Tabular:
    """A table: a name for programs, a title for people, a header for each column, rows of cells.

    Example:
        >>> table = Tabular("accuracy", "Accuracy", ("level", "happy", "sad"), [("1.00", 0.875, None)])
        >>> table.texts()
        [['1.00', '0.88', '-']]
    """

    name: str
    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    digits: int = 2

    def texts(self) -> list[list[str]]:
        """Write the cells for people; an empty one as a dash."""
        return [[_text(cell, self.digits) for cell in row] for row in self.rows]

    def records(self) -> list[dict[str, Any]]:
        """Give each row as plain data by its headers; an empty cell is None."""
        return [{header: _plain(cell) for header, cell in zip(self.headers, row, strict=True)} for row in self.rows]


def written(
    tables: Sequence[Tabular],
    format: Format,
    *,
    title: str,
    command: str = "",
    notes: Sequence[str] = (),
    about: Mapping[str, Any] | None = None,
) -> str:
    """Write tables as one text: for a terminal, as a section of Markdown, as long CSV or as a JSON object.

    Args:
        command: that made them; Markdown shows it.
        notes: what to know when reading them; CSV and JSON leave them out.
        about: what JSON tells beside the tables.

    Example:
        >>> table = Tabular("accuracy", "Accuracy", ("level", "happy"), [("1.00", 0.875), ("0.50", None)])
        >>> print(written([table], "csv", title=""), end="")
        table,row,column,value,deviation
        accuracy,1.00,happy,0.875,
        accuracy,0.50,happy,,
    """
    if format == "csv":
        return _comma_separated(tables)
    if format == "json":
        return json.dumps({**(about or {}), **{table.name: table.records() for table in tables}}, indent=2) + "\n"
    if format == "markdown":
        head = [f"## {title}", *([f"```bash\n{command}\n```"] if command else [])]
        parts = [part for table in tables for part in (f"### {table.title}", _markdown(table))]
        return "\n\n".join([*head, *parts, *notes]) + "\n"
    console = Console()
    with console.capture() as captured:
        for table in tables:
            console.print(_rich(table, console.width))
        for note in notes:
            console.print(note, markup=False, highlight=False)
    return captured.get()


def _markdown(table: Tabular) -> str:
    frame = pd.DataFrame(
        [[text.replace("|", r"\|") for text in row] for row in table.texts()], columns=list(table.headers)
    )
    sides = ["left" if isinstance(cell, str) else "right" for cell in table.rows[0]]
    return str(frame.to_markdown(index=False, disable_numparse=True, colalign=sides))


def _rich(table: Tabular, width: int) -> Table:
    """Lay a table out for a terminal; where it is too wide, what names a row goes below each other."""
    labels = [isinstance(cell, str) for cell in table.rows[0]]
    rows = [[text.replace(" ± ", "\n± ") for text in row] for row in table.texts()]
    columns = list(zip(table.headers, labels, zip(*rows, strict=True), strict=True))
    needed = sum(3 + max(len(line) for text in (header, *of) for line in text.split("\n")) for header, _, of in columns)
    if needed > width:
        named = [column for column in columns if column[1]]
        stacked = ["\n".join(parts) for parts in zip(*(of for _, _, of in named), strict=True)]
        heading = ", ".join(header for header, _, _ in named)
        columns = [(heading, True, tuple(stacked)), *(column for column in columns if not column[1])]
    shown = Table(title=escape(table.title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for header, label, _ in columns:
        shown.add_column(escape(header), justify="left" if label else "right", no_wrap=not label)
    for row in zip(*(of for _, _, of in columns), strict=True):
        shown.add_row(*map(escape, row))
    return shown


def _comma_separated(tables: Sequence[Tabular]) -> str:
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(["table", "row", "column", "value", "deviation"])
    for table in tables:
        for row in table.rows:
            named = " / ".join(cell for cell in row if isinstance(cell, str))
            for header, cell in zip(table.headers, row, strict=True):
                if not isinstance(cell, str):
                    mean, deviation = cell[:2] if isinstance(cell, Mean) else (cell, None)
                    writer.writerow([table.name, named, header, _number(mean), _number(deviation)])
    return content.getvalue()


def _text(cell: Cell, digits: int) -> str:
    if isinstance(cell, Mean):
        return f"{cell.mean:.{digits}f} ± {cell.deviation:.{digits}f}"
    if isinstance(cell, float):
        return f"{cell:.{digits}f}"
    return EMPTY if cell is None else str(cell)


def _plain(cell: Cell) -> Any:
    return cell._asdict() if isinstance(cell, Mean) else cell


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
