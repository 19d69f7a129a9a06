"""Is a copy of a data set whole and right?"""

import json as json_format
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dfer.datasets.build import DATASETS, full_name
from dfer.datasets.clip_files import why_unusable
from dfer.datasets.index import FOLDER, ClipIndex, progress_bar
from dfer.datasets.listing import Problem
from dfer.datasets.survey import Part
from dfer.errors import ItemError
from dfer.labels import SHORT
from dfer.runs import write_atomically
from dfer.video.decode import read_frames
from dfer.video.images import read_image


@dataclass
class Findings:
    """What is wrong; ``notes`` are remarks that leave the data set usable."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def index(name: str, root: Path) -> int:
    """Index a data set's files once, so that it opens at once.

    Args:
        name: dfew, ferv39k, folder or csv.
        root: the data set's folder; for csv the CSV file.
    """
    chosen = DATASETS[full_name(name)]
    for media in chosen.media_in(Path(root)) or (None,):
        part = chosen.survey(Path(root), media).index
        frames = int(part.counts.sum())
        unusable = int((part.counts == 0).sum())
        print(f"{part.root}: {len(part.clips)} clips, {frames} frames" + f", {unusable} without any" * (unusable > 0))
    return 0


def check(
    name: str, root: Path, out: Path | None = None, decode: bool = False, frames: int = 16, json: bool = False
) -> int:
    """Say whether a copy of a data set is whole and right; exit 3, and a list of what is wrong, where it is not.

    Args:
        name: dfew, ferv39k, folder or csv.
        root: the data set's folder; for csv the CSV file.
        out: the list of what is wrong; check-NAME.txt unless given. Data sets take it as exclude.
        decode: decode every frame too.
        frames: count the clips with fewer frames than this.
        json: print the findings as JSON.
    """
    name, root = full_name(name), Path(root)
    survey = DATASETS[name].survey(root)
    labels, index, parts = survey.labels, survey.index, survey.parts
    found = Findings()
    for part in parts:
        found.problems += part.listing.problems
    _find_unusable(index, parts, found)
    _find_shared(name, parts, found)
    short = _count_short(index, parts, frames, found)
    if decode:
        _find_unreadable(index, parts, frames, found)
    found.problems = list(dict.fromkeys(found.problems))
    out = out or Path(f"check-{name}.txt")
    if found.problems:
        write_atomically(out, _as_list(name, root, found))
    if json:
        print(json_format.dumps(_as_json(name, root, labels, parts, short, found, out), indent=2))
    else:
        _print(name, root, index, labels, parts, short, found, out)
    return 3 if found.problems else 0


def _find_unusable(index: ClipIndex, parts: Sequence[Part], found: Findings) -> None:
    for part in parts:
        if not part.listing.clips and not part.listing.problems:
            found.problems.append(Problem("", f"{part.name} lists no clip"))
        for clip, entry in zip(part.listing.clips, part.entries):
            reason = why_unusable(index, entry)
            if reason:
                found.problems.append(Problem(clip.clip_id, reason))
    differing = {
        clip.clip_id
        for part in parts
        for clip, entry in zip(part.listing.clips, part.entries)
        if clip.frames not in (None, int(index.counts[entry]))
    }
    if differing:
        found.notes.append(f"clips with another number of frames on disk than annotated: {len(differing)}")


def _find_shared(name: str, parts: Sequence[Part], found: Findings) -> None:
    """Find clips in both splits and, for DFEW, in two test folds or in none."""
    ids = {part.name: {clip.clip_id for clip in part.listing.clips} for part in parts}
    tests = [part.name for part in parts if part.name.endswith("test")]
    for one, other in combinations(parts, 2):
        if one.trial == other.trial or (one.name in tests and other.name in tests):
            shared = sorted(ids[one.name] & ids[other.name])
            found.problems += [Problem(clip_id, f"in {one.name} and in {other.name}") for clip_id in shared]
    if name == "DFEW":
        for clip_id in sorted(set().union(*ids.values()) - set().union(*(ids[test] for test in tests))):
            found.problems.append(Problem(clip_id, "in the test set of no fold"))


def _count_short(index: ClipIndex, parts: Sequence[Part], frames: int, found: Findings) -> list[int]:
    """Count each set's clips that have frames, but fewer than asked for; that is usual, and no problem."""
    counts = [[int(index.counts[entry]) for entry in part.entries if entry >= 0] for part in parts]
    entries = {entry for part in parts for entry in part.entries if entry >= 0 and 0 < index.counts[entry] < frames}
    if entries:
        found.notes.append(f"clips with fewer than {frames} frames, which are repeated in order: {len(entries)}")
    return [sum(0 < count < frames for count in part) for part in counts]


def _find_unreadable(index: ClipIndex, parts: Sequence[Part], frames: int, found: Findings) -> None:
    """Decode everything; a clip is a problem where half of the frames that may be asked of it cannot be read."""
    usable = {
        entry: clip.clip_id
        for part in parts
        for clip, entry in zip(part.listing.clips, part.entries)
        if entry >= 0 and index.counts[entry]
    }
    lost = 0
    with progress_bar() as progress, ThreadPoolExecutor() as pool:
        task = progress.add_task("decoding", total=len(usable))
        for entry, (bad, reason) in zip(usable, pool.map(lambda entry: _decode(index, entry), usable)):
            progress.advance(task)
            count = int(index.counts[entry])
            if bad and 2 * bad >= min(count, frames):
                found.problems.append(Problem(usable[entry], f"{bad} of {count} frames unreadable: {reason}"))
            elif bad:
                lost += bad
                found.notes.append(
                    f"{usable[entry]}: {bad} of {count} frames unreadable, neighbours stand in: {reason}"
                )
    if lost:
        found.notes.append(f"frames replaced by their neighbours in all: {lost}")


def _decode(index: ClipIndex, entry: int) -> tuple[int, str]:
    """Decode a clip; give how many frames cannot be read and why not the first."""
    count, path = int(index.counts[entry]), Path(index.path(entry))
    if index.kinds[entry] != FOLDER:
        try:
            for start in range(0, count, 64):  # not the whole video at once
                read_frames(path, np.arange(start, min(start + 64, count)))
        except ItemError as error:
            return count, str(error)
        return 0, ""
    bad = []
    for name in index.frame_names(entry):
        try:
            read_image(path / name)
        except ItemError as error:
            bad.append(str(error))
    return len(bad), bad[0] if bad else ""


def _as_list(name: str, root: Path, found: Findings) -> str:
    """Write the problems so that ``exclude`` reads them: a clip id, a tab, the reason; others as comments."""
    lines = [f"# dfer data check {name} {root}: what follows can be passed as exclude"]
    lines += [f"# {problem}" for problem in found.problems if not problem.clip_id]
    lines += [f"# {note}" for note in found.notes]
    reasons: dict[str, list[str]] = {}
    for problem in found.problems:
        if problem.clip_id:
            reasons.setdefault(problem.clip_id, []).append(str(problem))
    lines += [f"{clip_id}\t{'; '.join(some)}" for clip_id, some in sorted(reasons.items())]
    return "\n".join(lines) + "\n"


def _as_json(
    name: str,
    root: Path,
    labels: Sequence[str],
    parts: Sequence[Part],
    short: Sequence[int],
    found: Findings,
    out: Path,
) -> dict[str, Any]:
    return {
        "name": name,
        "root": str(root),
        "sets": {
            part.name: {"counts": _counts(labels, part), "published": part.published, "short": few}
            for part, few in zip(parts, short)
        },
        "labels": labels,
        "problems": [problem._asdict() for problem in found.problems],
        "notes": found.notes,
        "list": str(out) if found.problems else None,
    }


def _counts(labels: Sequence[str], part: Part) -> list[int]:
    counts = Counter(clip.label for clip in part.listing.clips)
    return [counts[label] for label in labels]


def _print(
    name: str,
    root: Path,
    index: ClipIndex,
    labels: Sequence[str],
    parts: Sequence[Part],
    short: Sequence[int],
    found: Findings,
    out: Path,
) -> None:
    console = Console(soft_wrap=False)
    table = Table(title=escape(f"{name} in {root}"), title_justify="left")
    table.add_column("set")
    for label in (*labels, "all", "< T"):
        table.add_column(escape(SHORT.get(label, label)), justify="right")
    for part, few in zip(parts, short):
        counts = _counts(labels, part)
        table.add_row(part.name, *map(str, counts), str(sum(counts)), str(few))
        if part.published and tuple(counts) != part.published:
            table.add_row("[dim]  published", *(f"[dim]{n}" for n in (*part.published, sum(part.published))), "")
    console.print(table)
    console.print(f"{len(index.clips)} clips on disk, {int(index.counts.sum())} frames", highlight=False)
    if any(part.published for part in parts):
        same = all(part.published == tuple(_counts(labels, part)) for part in parts)
        console.print("all counts as published" if same else "counts that differ have the published ones below them")
    for note in found.notes[:5]:
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
    for problem in found.problems[:10]:
        text = f"{problem.clip_id}: {problem}" if problem.clip_id else str(problem)
        console.print(f"WRONG {text}", highlight=False, markup=False, soft_wrap=True)
    if found.problems:
        more = f"{len(found.problems) - 10} more; " if len(found.problems) > 10 else ""
        text = f"{more}all {len(found.problems)} in {out}, which data sets take as exclude"
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    else:
        console.print("nothing is wrong")
