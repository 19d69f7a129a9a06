"""What is wrong with a copy of a data set, as far as its annotation and its index tell."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Final

from dfer.datasets.clip_files import why_unusable
from dfer.datasets.index import natural_key, natural_sort
from dfer.datasets.listing import Problem
from dfer.datasets.survey import Part, Survey

ANNOTATION: Final = "wrong lines in the annotation"
IN_TWO_SETS: Final = "clips in two sets"
RELABELLED: Final = "clips of two labels"
IN_NO_TEST: Final = "clips in the test set of no fold"
SUBJECTS: Final = "subjects in two sets"


@dataclass
class Findings:
    """What was found; ``notes`` are remarks that leave the data set usable.

    Args:
        problems: by what kind they are of.
        details: what only a program wants to read.
    """

    problems: dict[str, list[Problem]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    def add(self, kind: str, problems: Iterable[Problem]) -> None:
        """Add problems of a kind, each once, in the order of their clips."""
        found = dict.fromkeys([*self.problems.get(kind, []), *problems])
        if found:
            self.problems[kind] = sorted(found, key=lambda problem: natural_key(problem.clip_id))

    def all(self) -> list[Problem]:
        """Give all problems, kind by kind."""
        return [problem for some in self.problems.values() for problem in some]

    def to_leave_out(self) -> dict[str, list[str]]:
        """Give, by name, the clips that something is wrong with, and what."""
        reasons: dict[str, list[str]] = {}
        for problem in self.all():
            if problem.clip_id:
                reasons.setdefault(problem.clip_id, []).append(str(problem))
        return {clip_id: reasons[clip_id] for clip_id in natural_sort(reasons)}


def look_over(survey: Survey, frames: int, found: Findings) -> None:
    """Find all that shows without opening a clip.

    Args:
        frames: note the clips with fewer frames than this.
    """
    for part in survey.parts:
        found.add(ANNOTATION, part.listing.problems)
        if not part.listing.clips and not part.listing.problems:
            found.add(ANNOTATION, [Problem("", f"{part.name} lists no clip")])
    _find_unusable(survey, found)
    _find_shared(survey.parts, found)
    _find_relabelled(survey.parts, found)
    _find_untested(survey.parts, found)
    _find_subjects(survey.parts, found)
    _compare_lengths(survey, found)
    short = sum(0 < int(survey.index.counts[entry]) < frames for entry in survey.entries())
    if short:
        found.notes.append(f"clips with fewer than {frames} frames, which are repeated in order: {short}")


def class_counts(labels: Sequence[str], part: Part) -> tuple[int, ...]:
    """Count the clips of each class in a set."""
    counts = Counter(clip.label for clip in part.listing.clips)
    return tuple(counts[label] for label in labels)


def counts_over_tests(survey: Survey) -> tuple[int, ...]:
    """Count the clips of each class over all test sets, each clip once."""
    labels = {clip.clip_id: clip.label for part in survey.parts if is_test(part) for clip in part.listing.clips}
    counts = Counter(labels.values())
    return tuple(counts[label] for label in survey.labels)


def is_test(part: Part) -> bool:
    """Tell test sets by their name."""
    return part.name.endswith("test")


def some(names: Sequence[str], most: int = 3) -> str:
    """Name the first few.

    Example:
        >>> some(["a", "b", "c", "d"])
        'a, b, c, ...'
    """
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _find_unusable(survey: Survey, found: Findings) -> None:
    reasons: dict[str, list[Problem]] = {}
    for part in survey.parts:
        for clip, entry in zip(part.listing.clips, part.entries):
            reason = why_unusable(survey.index, entry)
            if reason:
                reasons.setdefault(reason, []).append(Problem(clip.clip_id, reason))
    for reason, problems in reasons.items():
        found.add(reason, problems)


def _find_shared(parts: Sequence[Part], found: Findings) -> None:
    """Find clips in two sets of a trial, or in two test sets."""
    ids = {part.name: {clip.clip_id for clip in part.listing.clips} for part in parts}
    for one, other in combinations(parts, 2):
        if one.trial == other.trial or (is_test(one) and is_test(other)):
            shared = ids[one.name] & ids[other.name]
            found.add(IN_TWO_SETS, (Problem(clip_id, f"in {one.name} and in {other.name}") for clip_id in shared))


def _find_relabelled(parts: Sequence[Part], found: Findings) -> None:
    """Find clips that one set labels otherwise than another, such as that of another fold."""
    first: dict[str, tuple[str, str]] = {}
    problems = []
    for part in parts:
        for clip in part.listing.clips:
            label, where = first.setdefault(clip.clip_id, (clip.label, part.name))
            if clip.label != label:
                problems.append(Problem(clip.clip_id, f"{label} in {where}, {clip.label} in {part.name}"))
    found.add(RELABELLED, problems)


def _find_untested(parts: Sequence[Part], found: Findings) -> None:
    """Find the clips that no fold tests, where there are folds and all of their test sets could be read."""
    tests = [part for part in parts if is_test(part)]
    if len({part.trial for part in parts}) < 2 or not all(part.listing.clips for part in tests):
        return
    tested = {clip.clip_id for part in tests for clip in part.listing.clips}
    listed = {clip.clip_id for part in parts for clip in part.listing.clips}
    found.add(IN_NO_TEST, (Problem(clip_id, "in the test set of no fold") for clip_id in listed - tested))


def _find_subjects(parts: Sequence[Part], found: Findings) -> None:
    for one, other in combinations(parts, 2):
        if one.trial != other.trial:
            continue
        here, there = (Counter(clip.subject for clip in part.listing.clips if clip.subject) for part in (one, other))
        shared = natural_sort(set(here) & set(there))
        if shared:
            clips = [sum(counts[name] for name in shared) for counts in (here, there)]
            text = (
                f"subjects with clips both in {one.name} ({clips[0]}) and in {other.name} ({clips[1]}): {len(shared)} "
                f"({some(shared, 5)}); keep all clips of a subject on one side"
            )
            found.add(SUBJECTS, [Problem("", text)])
            found.details.setdefault("subjects", {})[f"{one.name}, {other.name}"] = shared


def _compare_lengths(survey: Survey, found: Findings) -> None:
    """Note the clips with another number of frames on disk than annotated; those on disk count."""
    differing = {
        clip.clip_id: {"annotated": clip.frames, "on disk": int(survey.index.counts[entry])}
        for part in survey.parts
        for clip, entry in zip(part.listing.clips, part.entries)
        if entry >= 0 and clip.frames not in (None, int(survey.index.counts[entry]))
    }
    if differing:
        found.notes.append(f"clips with another number of frames on disk than annotated: {len(differing)}")
    found.details["other_lengths"] = {clip_id: differing[clip_id] for clip_id in natural_sort(differing)}
