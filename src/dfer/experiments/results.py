"""What a grid's finished runs say, row by row."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dfer.errors import InputError
from dfer.evaluation.robustness import by_uar, named, up_to_date
from dfer.experiments.declaration import COSTS, Grid, Row
from dfer.experiments.execute import state
from dfer.experiments.plan import Plan, Planned
from dfer.experiments.statistics import Difference, Summary, Unit, figures, paired_difference, summary
from dfer.predictions import Predictions
from dfer.runs import RunFolder


@dataclass(frozen=True)
class Line:
    """One row of the table.

    Args:
        wanted: the runs that the grid asks of this row; ``n`` of them are there.
        values: by column; ``recall`` has become ``recall CLASS``.
        differences: to the baseline, by metric; None where no clips are common.
        failures: one line for each run that failed.
    """

    row: Row
    n: int
    wanted: int
    values: Mapping[str, Summary] = field(default_factory=dict)
    differences: Mapping[str, Difference | None] = field(default_factory=dict)
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Results:
    """The whole table, and what its runs have in common."""

    grid: Grid
    lines: tuple[Line, ...]
    protocols: tuple[str, ...]
    commits: tuple[str, ...]
    data: tuple[str, ...]
    clips: tuple[int, ...]


def collect(grid: Grid, plan: Plan, failures: Mapping[Path, str]) -> Results:
    """Read the runs of a plan that are done, and compare each row with the baseline."""
    done: dict[str, dict[Unit, Planned]] = {}
    lines = []
    problems: dict[str, list[str]] = {row.name: [] for row in grid.rows}
    for run in plan.runs:
        if line := failures.get(run.folder.path):
            problems[run.row].append(f"{run}: {line}")
        elif state(run.folder) == "done":
            if named(run.predictions) is None:
                usable = run.folder.predictions(run.predictions).is_file()
            else:
                usable = up_to_date(run.folder, run.predictions)  # else a resumed run's old ones would be read
            if usable:
                done.setdefault(run.row, {})[run.unit] = run
            else:
                why = failures.get(run.folder.predictions(run.predictions))
                why = why or f"{run.folder.path} holds no predictions {run.predictions!r}"
                problems[run.row].append(f"{run}: {why}")
    for row in grid.rows:
        runs = done.get(row.name, {})
        baseline = grid.baseline_of(row)
        against = done.get(baseline, {})
        compared = [] if row.published_only or row.name == baseline else grid.differences
        differences = {m: paired_difference(_read(runs, m), _read(against, m), m) for m in compared}
        wanted = sum(run.row == row.name for run in plan.runs)
        failed = tuple(problems[row.name])
        lines.append(Line(row, len(runs), wanted, _values(grid, list(runs.values())), differences, failed))
    finished = [run for runs in done.values() for run in runs.values()]
    manifests = [run.folder.read_manifest() for run in finished]
    return Results(
        grid,
        tuple(lines),
        protocols=_distinct(manifest.get("protocol") for manifest in manifests),
        commits=_distinct(str(manifest.get("commit") or "unknown")[:10] for manifest in manifests),
        data=_distinct(_data(manifest) for manifest in manifests),
        clips=_distinct(len(_predictions(run, "war")) for run in finished),
    )


def _distinct(values: Any) -> tuple[Any, ...]:
    return tuple(sorted({one for one in values if one is not None}))


def _data(manifest: Mapping[str, Any]) -> str:
    data = manifest.get("data") or {}
    return f"{data.get('name', 'unknown data')}" + (" (drawn faces)" if data.get("drawn") else "")


def _predictions(run: Planned, metric: str) -> Predictions:
    if metric == "uar" and (run.predictions == "test" or named(run.predictions)):
        other = run.folder.predictions(by_uar(run.predictions))  # the paper protocol chooses another epoch for UAR
        if other.is_file():
            return Predictions.load(other)
    return Predictions.load(run.folder.predictions(run.predictions))


def _read(runs: Mapping[Unit, Planned], metric: str) -> dict[Unit, Predictions]:
    return {unit: _predictions(run, metric) for unit, run in runs.items()}


def _values(grid: Grid, runs: list[Planned]) -> dict[str, Summary]:
    found: dict[str, list[float]] = {}
    for run in runs:
        for column in grid.columns:
            if column in COSTS:
                continue
            predictions = _predictions(run, column)
            measured = figures(predictions)
            if column == "recall":
                for name, share in zip(predictions.labels, measured["per_class"], strict=True):
                    found.setdefault(f"recall {name}", []).append(share)
            else:
                found.setdefault(column, []).append(measured[column])  # type: ignore[literal-required]
        for column, cost in _costs(run.folder, grid.columns).items():
            found.setdefault(column, []).append(cost)
    return {column: summary(values) for column, values in found.items() if not any(map(math.isnan, values))}


def _costs(folder: RunFolder, columns: tuple[str, ...]) -> dict[str, float]:
    found: dict[str, float] = {}
    seconds = folder.read_manifest().get("seconds")
    if "seconds" in columns and isinstance(seconds, int | float):
        found["seconds"] = float(seconds)
    if {"parameters", "gmac"} & set(columns) and folder.checkpoint().is_file():
        from dfer.models import checkpoint, cost

        try:
            counted = cost(checkpoint.load(folder.checkpoint()).model)
        except InputError:
            return found  # the predictions are all that the other columns need
        found |= {"parameters": float(counted.parameters), "gmac": counted.gmac}
    return {column: found[column] for column in columns if column in found}
