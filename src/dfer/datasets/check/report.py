"""What `dfer data check` found: for a person on the terminal, for data sets as a list, for programs as JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from dfer.datasets.check.findings import Findings, class_counts, counts_over_tests, is_test, some
from dfer.datasets.listing import Problem
from dfer.datasets.survey import Part, Survey
from dfer.labels import SHORT

MADE_BY: Final = "dfer data check"
MOST: Final = 5
"""Notes, and kinds of problems, that the terminal shows."""

MOST_SETS: Final = 12
"""Of more sets the terminal shows the test sets: what a fold does not test, it trains on."""


@dataclass(frozen=True)
class Report:
    """A data set's name and place, what it holds and what was found.

    Args:
        frames: T; shorter clips are counted.
        not_looked: what was not looked for, and the option that does.
        files: what was written, by what it is.
    """

    name: str
    root: Path
    survey: Survey
    found: Findings
    frames: int
    not_looked: dict[str, str]
    files: dict[str, Path] = field(default_factory=dict)

    def short(self, part: Part) -> int:
        """Count a set's clips that have frames, but too few."""
        counts = self.survey.index.counts
        return sum(0 < int(counts[entry]) < self.frames for entry in part.entries if entry >= 0)

    def as_published(self) -> bool | None:
        """Say whether all counts are the published ones, None where none are published."""
        survey = self.survey
        same = [class_counts(survey.labels, part) == part.published for part in survey.parts if part.published]
        if survey.published:
            same.append(counts_over_tests(survey) == survey.published)
        return all(same) if same else None

    def verdict(self) -> str:
        """Say in one line how it is."""
        place, problems = f"{self.name} in {self.root}", self.found.problems
        if problems:
            clips = len(self.found.to_leave_out())
            things = "1 thing is wrong" if len(problems) == 1 else f"{len(problems)} things are wrong"
            return f"{place}: {things}" + (f"; clips to leave out: {clips}" if clips else "")
        if self.as_published() is False:
            return f"{place}: nothing is wrong, but it is not as published"
        return f"{place}: whole and right"


def as_list(report: Report) -> str:
    """Write the problems so that ``exclude`` reads them: a clip id, a tab, the reason; others as comments."""
    lines = [f"# {MADE_BY} {report.name} {report.root}: what follows can be passed as exclude"]
    lines += [f"# {problem}" for problem in report.found.all() if not problem.clip_id]
    lines += [f"# {note}" for note in report.found.notes]
    lines += [f"{clip_id}\t{'; '.join(reasons)}" for clip_id, reasons in report.found.to_leave_out().items()]
    return "\n".join(lines) + "\n"


def as_json(report: Report) -> str:
    """Write everything that was found."""
    survey, found = report.survey, report.found
    lengths = survey.index.counts[survey.entries()]
    sets = {
        part.name: {
            "trial": part.trial,
            "clips": len(part.listing.clips),
            "counts": class_counts(survey.labels, part),
            "published": part.published,
            "short": report.short(part),
        }
        for part in survey.parts
    }
    whole: dict[str, Any] = {
        "made_by": MADE_BY,
        "name": report.name,
        "root": str(report.root),
        "media": survey.media,
        "verdict": report.verdict(),
        "right": not found.problems,
        "as_published": report.as_published(),
        "not_looked_for": report.not_looked,
        "on_disk": {"clips": len(survey.index.clips), "frames": int(survey.index.counts.sum())},
        "used": {"clips": len(lengths), "frames": int(lengths.sum())},
        "lengths": np.quantile(lengths, np.linspace(0, 1, 11)).tolist() if len(lengths) else [],
        "labels": survey.labels,
        "sets": sets,
        "tested": {"counts": counts_over_tests(survey), "published": survey.published},
        "problems": [{"kind": kind} | one._asdict() for kind, some in found.problems.items() for one in some],
        "notes": found.notes,
        **found.details,
        "files": {what: str(path) for what, path in report.files.items()},
    }
    return json.dumps(whole, indent=2) + "\n"


def print_report(report: Report) -> None:
    """Print what a person reads in ten seconds."""
    found, survey = report.found, report.survey
    console = Console(highlight=False)

    def say(text: str | Text) -> None:
        console.print(text, markup=False, soft_wrap=True)

    say(Text(report.verdict(), style="bold red" if found.problems else "bold green"))
    wide = Console(highlight=False, width=250)  # a table that wraps is worse than a terminal that does
    wide.print(_table(report))
    media = f" ({survey.media})" if survey.media else ""
    hidden = len(survey.parts) - len(_shown(survey))
    if hidden:
        say(f"{hidden} training sets: see the JSON")
    say(f"{len(survey.index.clips)} clips, {int(survey.index.counts.sum())} frames on disk{media}")
    if report.as_published():
        say("all counts are as published")
    for note in found.notes[:MOST]:
        say(f"note: {note}")
    if len(found.notes) > MOST:
        say(f"note: {len(found.notes) - MOST} more")
    for kind, problems in list(found.problems.items())[:MOST]:
        say(Text.assemble(("WRONG", "bold red"), " ", summary(kind, problems)))
    if len(found.problems) > MOST:
        say(f"WRONG {len(found.problems) - MOST} more: {', '.join(list(found.problems)[MOST:])}")
    if report.not_looked:
        say("not looked for: " + ", ".join(f"{what} ({option})" for what, option in report.not_looked.items()))
    if report.files:
        say("see " + ", ".join(f"{path} ({what})" for what, path in report.files.items()))


def summary(kind: str, problems: Sequence[Problem]) -> str:
    """Say all problems of a kind in one line.

    Example:
        >>> summary("not on disk", [Problem("00003", "not on disk"), Problem("00007", "not on disk")])
        'clips not on disk: 2 (00003, 00007)'
    """
    first = problems[0]
    text = f"{first.clip_id}: {first}" if first.clip_id and not first.where else str(first)
    if len(problems) == 1:
        return text
    if kind == first.reason:
        return f"clips {kind}: {len(problems)} ({some([problem.clip_id for problem in problems], 5)})"
    distinct = len({problem.clip_id or problem for problem in problems})
    return f"{kind}: {distinct}, first {text}"


def _table(report: Report) -> Table:
    """Lay out clips per set and class, beside the published number where that is another."""
    survey = report.survey
    table = Table(box=None, padding=(0, 0, 0, 1), header_style="dim")
    table.add_column("set")
    for label in (*survey.labels, "all", f"<{report.frames}"):
        table.add_column(escape(SHORT.get(label, label)), justify="right")
    for part in _shown(survey):
        counts = class_counts(survey.labels, part)
        cells = [_cell(*pair) for pair in zip(counts, part.published or counts)]
        table.add_row(part.name, *cells, str(sum(counts)), str(report.short(part)))
    if survey.published:
        counts = counts_over_tests(survey)
        cells = [_cell(*pair) for pair in zip(counts, survey.published)]
        table.add_row("all tests", *cells, _cell(sum(counts), sum(survey.published)), "")
    return table


def _shown(survey: Survey) -> list[Part]:
    return survey.parts if len(survey.parts) <= MOST_SETS else [part for part in survey.parts if is_test(part)]


def _cell(count: int, published: int) -> str:
    return str(count) if count == published else f"{count}[dim]/{published}[/dim]"
