"""Print a table: ours as mean ± deviation with n, the paired difference, the published number beside it."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dfer.experiments.declaration import COSTS
from dfer.experiments.results import Line, Results
from dfer.experiments.statistics import Difference, Summary

PERCENT: Final = ("war", "uar", "ece", "recall")

ABOUT: Final = (
    "± is the standard deviation over runs (seeds, folds). Δ is the mean difference to the baseline on the same test "
    "clips and the seeds that both rows have, with its 95 % interval (bootstrap over clips, and over seeds where a row "
    "has several); an interval that contains 0 is no difference. With one seed it says nothing of another training."
)


def cells(results: Results) -> tuple[list[str], list[list[str]]]:
    """Write headers and rows as text, rates in percent."""
    grid = results.grid
    columns = list(dict.fromkeys(column for line in results.lines for column in line.values))
    order = [c for wanted in grid.columns for c in columns if c == wanted or c.startswith(f"{wanted} ")]
    published = [c for c in _published(results) if c not in order]
    makers: list[tuple[str, Callable[[Line], str]]] = [("row", lambda line: line.row.name), ("n", _n)]
    for column in [*order, *published]:
        if column in order:
            makers.append((_header(column), lambda line, c=column: _mean(line.values.get(c), c)))  # type: ignore[misc]
        if column in _published(results):
            makers.append((f"{_header(column)} paper", lambda line, c=column: _paper(line, c)))  # type: ignore[misc]
        if column in grid.differences:
            makers.append((f"Δ {_header(column)}", lambda line, c=column: _delta(line, results, c)))  # type: ignore[misc]
    return [header for header, _ in makers], [[make(line) for _, make in makers] for line in results.lines]


def footnotes(results: Results) -> list[str]:
    """Say what the figures stand on, and what failed."""
    lines = []
    if results.data:
        clips = " or ".join(map(str, results.clips))
        protocol = ", ".join(results.protocols) or "unknown"
        lines.append(
            f"{', '.join(results.data)}; {clips} test clips; protocol {protocol}; code {', '.join(results.commits)}."
        )
    own = [f"{line.row.name} with {line.row.baseline}" for line in results.lines if line.row.baseline]
    also = f" Compared otherwise: {'; '.join(own)}." if own else ""
    lines.append(f"Baseline: {results.grid.baseline}.{also} {ABOUT}")
    if results.grid.note:
        lines.append(" ".join(results.grid.note.split()))
    short = [line for line in results.lines if line.n < line.wanted]
    if short:
        lines.append(
            "Unfinished: " + "; ".join(f"{line.row.name} has {line.n} of {line.wanted} runs" for line in short) + "."
        )
    return lines + [f"Failed: {failure}" for line in results.lines for failure in line.failures]


def terminal(results: Results, console: Console) -> None:
    """Print a table for people; columns that do not fit beside each other follow in a second table."""
    headers, rows = cells(results)
    narrow = [header.startswith("Δ") for header in headers]
    lines = [[_stacked(text) if short else text for text, short in zip(row, narrow, strict=True)] for row in rows]
    for i, chosen in enumerate(_beside([headers, *lines], console.width)):
        table = Table(title=None if i else results.grid.title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for column in chosen:
            table.add_column(escape(headers[column]), justify="right" if column else "left", no_wrap=column > 0)
        for row in lines:
            table.add_row(*(escape(row[column]) for column in chosen))
        console.print(table)
    for note in footnotes(results):
        console.print(note, markup=False, highlight=False)


def _stacked(text: str) -> str:
    return text.replace(" [", "\n[").replace("] ", "]\n")


def _beside(rows: list[list[str]], width: int) -> list[list[int]]:
    """Share the columns out to tables that fit the width; the first column heads each."""
    wide = [max(len(part) for row in rows for part in row[i].split("\n")) + 3 for i in range(len(rows[0]))]
    tables: list[list[int]] = [[0]]
    for i in range(1, len(wide)):
        if len(tables[-1]) > 1 and sum(wide[k] for k in tables[-1]) + wide[i] > width:
            tables.append([0])
        tables[-1].append(i)
    return tables


def markdown(results: Results, command: str) -> str:
    """Write a section with the command above the table."""
    headers, rows = cells(results)
    head = [_md_row(headers), _md_row(["---", *["---:"] * (len(headers) - 1)])]
    table = "\n".join([*head, *map(_md_row, rows)])
    notes = "\n\n".join(footnotes(results))
    return f"## {results.grid.title}\n\n```bash\n{command}\n```\n\n{table}\n\n{notes}\n"


def comma_separated(results: Results) -> str:
    """Write one line per row and column: fractions, seconds, GMAC, whatever the column's own unit is."""
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    names = "row n wanted column mean deviation difference low high pairs published published_deviation"
    writer.writerow(names.split())
    for line in as_json(results)["rows"]:
        for column in {**line["values"], **line["differences"], **line["published"]}:
            mean = line["values"].get(column) or {}
            delta = line["differences"].get(column) or {}
            paper = [*line["published"].get(column, []), None, None][:2]
            numbers = [mean.get("mean"), mean.get("deviation"), *(delta.get(k) for k in ("value", "low", "high", "n"))]
            writer.writerow([line["row"], line["n"], line["wanted"], column, *map(_plain, [*numbers, *paper])])
    return content.getvalue()


def as_json(results: Results) -> dict[str, Any]:
    """Give the table as plain data; rates are fractions, the published ones too."""
    rows = [
        {
            "row": line.row.name,
            "published_only": line.row.published_only,
            "baseline": None if line.row.published_only else results.grid.baseline_of(line.row),
            "n": line.n,
            "wanted": line.wanted,
            "values": {c: {"mean": s.mean, "deviation": s.deviation, "n": s.n} for c, s in line.values.items()},
            "differences": {m: d and _difference(d) for m, d in line.differences.items()},
            "published": {c: [x / _unit(c) for x in numbers] for c, numbers in (line.row.published or {}).items()},
            "failures": list(line.failures),
        }
        for line in results.lines
    ]
    common = {"protocols": results.protocols, "commits": results.commits, "data": results.data, "clips": results.clips}
    return {
        "title": results.grid.title,
        "baseline": results.grid.baseline,
        **{name: list(values) for name, values in common.items()},
        "rows": rows,
    }


def json_text(results: Results) -> str:
    """Write ``as_json`` as text."""
    return json.dumps(as_json(results), indent=2) + "\n"


def _difference(d: Difference) -> dict[str, Any]:
    finite = abs(d.low) != float("inf")
    interval = {"low": d.low if finite else None, "high": d.high if finite else None}
    return {"value": d.value, **interval, "n": d.n, "no_difference": d.none}


def _published(results: Results) -> list[str]:
    return list(dict.fromkeys(column for line in results.lines for column in line.row.published or {}))


def _unit(column: str) -> float:
    return 100.0 if column.split()[0] in PERCENT else 1.0


def _header(column: str) -> str:
    if column.startswith("recall "):
        return f"{column.removeprefix('recall ')} %"
    if column in COSTS:
        return {"parameters": "parameters, M", "gmac": "GMAC", "seconds": "seconds"}[column]
    return {"nll": "NLL", "brier": "Brier"}.get(column, f"{column.upper()} %")


def _digits(column: str) -> int:
    return {"nll": 3, "brier": 3, "seconds": 0}.get(column, 2)


def _shown(number: float, column: str, sign: str = "") -> str:
    scale = 1e-6 if column == "parameters" else _unit(column)
    return f"{number * scale:{sign}.{_digits(column)}f}"


def _mean(found: Summary | None, column: str) -> str:
    if found is None:
        return "–"
    spread = column not in ("parameters", "gmac") and found.deviation is not None
    return _shown(found.mean, column) + (f" ± {_shown(found.deviation or 0.0, column)}" if spread else "")


def _paper(line: Line, column: str) -> str:
    numbers = (line.row.published or {}).get(column)
    return "" if numbers is None else " ± ".join(f"{number:g}" for number in numbers)


def _n(line: Line) -> str:
    if line.row.published_only:
        return "paper"
    return (
        str(line.n) if line.n == line.wanted else f"{line.n} of {line.wanted}" + (" (failed)" if line.failures else "")
    )


def _delta(line: Line, results: Results, column: str) -> str:
    if line.row.published_only:
        return ""
    if line.row.name == results.grid.baseline_of(line.row):
        return "baseline"
    found = line.differences.get(column)
    if found is None:
        return "–"
    interval = f"[{_shown(found.low, column, '+')}, {_shown(found.high, column, '+')}]"
    return f"{_shown(found.value, column, '+')} {interval}" + (" no difference" if found.none else "")


def _plain(number: float | None) -> str:
    return "" if number is None else f"{number:.6g}"


def _md_row(texts: list[str]) -> str:
    return "| " + " | ".join(text.replace("|", r"\|") for text in texts) + " |"
