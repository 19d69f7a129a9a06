"""``dfer table``: run a declared grid of experiments and print its table."""

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from dfer.errors import InputError
from dfer.evaluation.robustness import corrupted
from dfer.experiments import tables
from dfer.experiments.budget import budget_named
from dfer.experiments.declaration import Grid, load_grid
from dfer.experiments.estimate import Estimate, estimate, recorded, timed_steps
from dfer.experiments.execute import Runner, damage, execute, state, unique
from dfer.experiments.plan import Plan, Planned, plan, resolve
from dfer.experiments.results import Results, collect
from dfer.experiments.run import run
from dfer.experiments.train import parse_folds
from dfer.runs import write_atomically

Format = Literal["terminal", "markdown", "csv"]


def table(
    file: str,
    *options: Annotated[str, Parameter(allow_leading_hyphen=True)],
    budget: str = "quick",
    seeds: int | None = None,
    folds: str | None = None,
    dataset: str | None = None,
    out: Path = Path("runs/grid"),
    jobs: int = 1,
    dry_run: bool = False,
    format: Format = "terminal",
    json: bool = False,
) -> int:
    """Run a declared grid of experiments and print its table; what is done already is not done again.

    Args:
        file: a grid's YAML file, or a packaged grid such as ``synthetic/dynamic``.
        options: settings for every run, such as ``--data.root DIR``.
        budget: ``smoke``, ``quick``, ``small`` or ``paper``: how much of each recipe is run.
        seeds: seeds of every row, instead of what the grid says.
        folds: folds of every row, such as ``1-5``, instead of what the grid says.
        dataset: which data a grid for several is made on: ``synthetic`` unless given, ``dfew``, ``ferv39k``.
        out: where runs are kept (grids share them) and where the table is written.
        jobs: runs at the same time; the output of each goes to a log file then.
        dry_run: list what would be run, and how long it would take.
        format: of what is printed; Markdown, CSV and JSON are always written to ``out``.
        json: print one JSON object.
    """
    if jobs < 1 or (seeds is not None and seeds < 1):
        raise InputError(f"--jobs {jobs}, --seeds {seeds}: both must be 1 or more")
    grid = load_grid(file, dataset)
    wanted = folds or grid.folds
    planned = plan(
        grid,
        budget_named(budget),
        out / "runs",
        seeds=seeds,
        folds=parse_folds(wanted) if wanted else (),
        extra=options,
        resolve=resolve,
    )
    if dry_run:
        list_runs(planned, timed_steps, as_json=json)
        return 0
    given = {"--seeds": seeds, "--folds": folds, "--dataset": dataset}
    flags = [part for flag, value in given.items() if value is not None for part in (flag, str(value))]
    command = shlex.join(["dfer", "table", file, "--budget", budget, *flags, *options])
    return make_table(grid, planned, out / f"{grid.name}.{budget}", command, run, jobs=jobs, format=format, json=json)


def make_table(
    grid: Grid,
    planned: Plan,
    target: Path,
    command: str,
    runner: Runner,
    *,
    jobs: int = 1,
    format: Format = "terminal",
    json: bool = False,
) -> int:
    """Make a plan's runs, then write and print the table; 3 when a run failed.

    Args:
        target: of the written table, without suffix.

    Raises:
        InputError: every run failed in the same way, as without the data's root.
        KeyboardInterrupt: stopped; the table of what is finished has been written and printed.
    """
    failures: dict[Path, str] = {}
    say = _progress(planned)
    for remark in planned.remarks:
        print(remark, file=sys.stderr)
    try:
        execute(planned.runs, runner, failures, jobs=jobs, started=say)
        damage(planned.runs, corrupted, failures, started=_say_damage)
    finally:
        _refuse_if_hopeless(planned, failures)
        results = collect(grid, planned, failures)
        _write(results, target, command)
        _print(results, command, format, json)
    return 3 if failures or any(line.failures for line in results.lines) else 0


def _refuse_if_hopeless(planned: Plan, failures: dict[Path, str]) -> None:
    folders = {run.folder.path for run in planned.runs}
    if len(set(failures.values())) == 1 and failures.keys() == folders:
        raise InputError(next(iter(failures.values())))


def list_runs(planned: Plan, measure: Callable[[Sequence[str]], float], *, as_json: bool = False) -> None:
    """Print each run of a plan, where it stands, and an estimate of its seconds; nothing is made."""
    known: dict[str, Estimate] = {}
    lines: list[dict[str, object]] = []
    first = {run.folder.path: run for run in reversed(planned.runs)}
    left = 0.0
    for planned_run in planned.runs:
        where = state(planned_run.folder)
        if first[planned_run.folder.path] is not planned_run:
            lines.append(_listed(planned_run, f"shared with {first[planned_run.folder.path].row}", None))
            continue
        if where == "done":
            lines.append(_listed(planned_run, where, None))
            continue
        if planned_run.key not in known:
            known[planned_run.key] = estimate(planned_run, measure)
        left += known[planned_run.key].seconds
        lines.append(_listed(planned_run, where, known[planned_run.key]))
    if as_json:
        import json

        print(json.dumps({"runs": lines, "seconds": round(left, 1)}, indent=2))
        return
    shown = Table("run", "state", "about", "how known", "folder", box=SIMPLE_HEAD, pad_edge=False)
    for line in lines:
        seconds = line["seconds"]
        about = duration(seconds) if isinstance(seconds, float) else ""
        shown.add_row(str(line["run"]), str(line["state"]), about, str(line["how"]), str(line["folder"]))
    console = Console()
    console.print(shown)
    for remark in planned.remarks:
        console.print(remark, markup=False)
    console.print(f"about {duration(left)} in all with one job")


def duration(seconds: float) -> str:
    """Write a time as people say it.

    Example:
        >>> duration(48.2), duration(250), duration(9000)
        ('48 s', '4 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _listed(run: Planned, where: str, guess: Estimate | None) -> dict[str, object]:
    return {
        "run": str(run),
        "state": where,
        "seconds": guess.seconds if guess else None,
        "how": guess.how if guess else "",
        "folder": run.folder.path.name,
        "arguments": list(run.arguments),
    }


def _progress(planned: Plan) -> Callable[[Planned], None]:
    runs = unique(planned.runs)
    place = {run.folder.path: i + 1 for i, run in enumerate(runs)}
    console = Console(stderr=True, highlight=False)

    def say(run: Planned) -> None:
        left = [one for one in runs if state(one.folder) != "done"]
        measured = [seconds for one in runs for seconds in recorded(one)]
        each = sum(measured) / len(measured) if measured else None
        need = [sum(known) / len(known) if (known := recorded(one)) else each for one in left]
        known_left = [seconds for seconds in need if seconds is not None]
        time_left = f"; about {duration(sum(known_left))} left" if known_left else ""
        console.print(f"run {place[run.folder.path]} of {len(runs)}: {run}{time_left}", markup=False)

    return say


def _say_damage(run: Planned) -> None:
    print(f"{run}: predicting {run.predictions}", file=sys.stderr)


def _write(results: Results, target: Path, command: str) -> None:
    write_atomically(target.parent / f"{target.name}.md", tables.markdown(results, command))
    write_atomically(target.parent / f"{target.name}.csv", tables.comma_separated(results))
    write_atomically(target.parent / f"{target.name}.json", tables.json_text(results))


def _print(results: Results, command: str, format: Format, json: bool) -> None:
    if json:
        print(tables.json_text(results), end="")
    elif format == "markdown":
        print(tables.markdown(results, command), end="")
    elif format == "csv":
        print(tables.comma_separated(results), end="")
    else:
        tables.terminal(results, Console())
