"""Clips whose files hold the same bytes."""

import hashlib
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from dfer.datasets.check.findings import Findings, some
from dfer.datasets.check.sides import Sides
from dfer.datasets.index import FOLDER, ClipIndex, natural_key, progress_bar
from dfer.datasets.listing import Problem

SAME_BYTES: Final = "clips with the same bytes on both sides"
Key = Callable[[ClipIndex, int], Hashable]


def find_twins(index: ClipIndex, sides: Sides, found: Findings) -> list[list[int]]:
    """Find clips whose files are the same, one for one in their order; two of them on both sides are a problem.

    The clip to leave out is the training clip; where both are tested in some fold, the later one.
    """
    groups = group_twins(index, sorted(sides.ids))
    groups = sorted((sides.in_order(group) for group in groups), key=lambda group: natural_key(sides.ids[group[0]]))
    details = []
    for group in groups:
        problems = _across(sides, group)
        found.add(SAME_BYTES, problems)
        details.append(
            {
                "clips": [sides.ids[entry] for entry in group],
                "labels": [sides.labels[entry] for entry in group],
                "leave_out": [problem.clip_id for problem in problems],
            }
        )
    within = [one for one in details if not one["leave_out"]]
    if within:
        named = some([f"{one['clips'][0]} and {one['clips'][1]}" for one in within])
        differing = sum(len(set(one["labels"])) > 1 for one in within)
        said = f", with different labels {differing}" if differing else ""
        found.notes.append(f"clips on one side with the same bytes as another: {len(within)}{said} ({named})")
    found.details["same_bytes"] = details
    return groups


def _across(sides: Sides, group: Sequence[int]) -> list[Problem]:
    """Leave out what stands on the other side of a clip that is kept."""
    kept: list[int] = []
    problems = []
    for entry in group:
        twin = next((one for one in kept if sides.opposed(entry, one)), None)
        if twin is None:
            kept.append(entry)
        else:
            text = f"the same bytes as {sides.ids[twin]}, {sides.against(entry, twin)}"
            problems.append(Problem(sides.ids[entry], text))
    return problems


def group_twins(index: ClipIndex, entries: Sequence[int]) -> list[list[int]]:
    """Group clips of the same bytes; only groups of two or more.

    A cheap question first, the next one only to those that gave the same answer: how many frames, how large the first
    one is, how large all of them are, what the first one holds, what all of them hold. So of a million files that are
    all different few are asked for their size, and hardly one is read.
    """
    groups = [[entry for entry in entries if index.counts[entry]]]
    keys: tuple[Key, ...] = (_count, _first_size, _sizes, _first_bytes, _bytes)
    with progress_bar() as progress, ThreadPoolExecutor(8) as pool:  # threads hide the latency of a cold disk
        task = progress.add_task("comparing files")
        for key in keys:
            asked = [(number, entry) for number, group in enumerate(groups) for entry in group]
            progress.reset(task, total=len(asked))
            split: dict[Hashable, list[int]] = {}
            answers = pool.map(lambda one, key=key: _ask(key, index, one[1]), asked)
            for (number, entry), answer in zip(asked, answers):
                progress.advance(task)
                if answer is not None:
                    split.setdefault((number, answer), []).append(entry)
            groups = [group for group in split.values() if len(group) > 1]
    return groups


def _ask(key: Key, index: ClipIndex, entry: int) -> Hashable:
    try:
        return key(index, entry)
    except OSError:
        return None  # gone meanwhile: like no other


def _files(index: ClipIndex, entry: int) -> list[Path]:
    path = Path(index.path(entry))
    return [path / name for name in index.frame_names(entry)] if index.kinds[entry] == FOLDER else [path]


def _count(index: ClipIndex, entry: int) -> Hashable:
    return int(index.kinds[entry]), int(index.counts[entry])


def _first_size(index: ClipIndex, entry: int) -> Hashable:
    return _files(index, entry)[0].stat().st_size


def _sizes(index: ClipIndex, entry: int) -> Hashable:
    sizes = tuple(path.stat().st_size for path in _files(index, entry))
    return sizes if any(sizes) else None  # clips of empty files are unreadable, not the same


def _first_bytes(index: ClipIndex, entry: int) -> Hashable:
    return _digest(_files(index, entry)[:1])


def _bytes(index: ClipIndex, entry: int) -> Hashable:
    return _digest(_files(index, entry))


def _digest(paths: Sequence[Path]) -> bytes:
    """Hash files one after the other; their sizes are known to agree."""
    whole = hashlib.blake2b(digest_size=16)
    for path in paths:
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                whole.update(part)
    return whole.digest()
