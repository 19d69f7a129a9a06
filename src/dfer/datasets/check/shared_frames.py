"""Single frames that stand in two clips."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dfer.datasets.check.findings import Findings, some
from dfer.datasets.check.sides import Sides
from dfer.datasets.listing import Problem

SHARED: Final = "clips with half of their frames on both sides"
CROWD: Final = 20
"""Clips: a picture that more of them share is a placeholder, such as a title, and no copy of one by another."""


def find_shared_frames(
    digests: Mapping[int, NDArray[np.uint64]], sides: Sides, copies: Sequence[Sequence[int]], found: Findings
) -> None:
    """Find frames that two clips of different sides share.

    Where they are half of either clip, one of the two is to be left out: the training clip, or the later one. Fewer
    are noted.

    Args:
        digests: of the frames of each clip, by its entry in the index.
        copies: groups of clips that are known to be the same.
    """
    known = {entry: number for number, group in enumerate(copies) for entry in group}
    distinct = {entry: np.unique(some_digests) for entry, some_digests in digests.items()}
    pairs, crowds = count_shared(distinct)
    details, few, gone = [], [], set[int]()
    for (one, other), frames in sorted(pairs.items(), key=lambda item: (-item[1], item[0])):
        same = one in known and known[one] == known.get(other)
        if same or not sides.opposed(one, other):
            continue
        keep, leave = sides.in_pair(one, other)
        ids, sizes = [sides.ids[keep], sides.ids[leave]], [len(distinct[keep]), len(distinct[leave])]
        details.append({"clips": ids, "frames": frames, "of": sizes})
        if 2 * frames < min(sizes):
            few.append(f"{ids[0]} and {ids[1]}")
        elif not gone & {keep, leave}:
            gone.add(leave)
            text = f"{frames} of its frames stand in {ids[0]} too, {sides.against(leave, keep)}"
            found.add(SHARED, [Problem(ids[1], text)])
    if few:
        found.notes.append(f"pairs of clips on both sides that share single frames: {len(few)} ({some(few)})")
    if crowds:
        found.notes.append(f"pictures that stand in more than {CROWD} clips, up to {max(crowds)}: {len(crowds)}")
    found.details["shared_frames"] = details


def count_shared(distinct: Mapping[int, NDArray[np.uint64]]) -> tuple[Counter[tuple[int, int]], list[int]]:
    """Count the digests that each pair of clips shares, and for each that too many clips share, how many these are.

    Example:
        >>> pairs, crowds = count_shared({3: np.array([10, 11], np.uint64), 5: np.array([11, 12], np.uint64)})
        >>> dict(pairs), crowds
        ({(3, 5): 1}, [])
    """
    if not distinct:
        return Counter(), []
    entries = np.repeat(np.fromiter(distinct, np.int64), [len(digests) for digests in distinct.values()])
    digests = np.concatenate(list(distinct.values()))
    order = np.lexsort((entries, digests))
    digests, entries = digests[order], entries[order]
    starts = np.flatnonzero(np.r_[True, digests[1:] != digests[:-1]]) if len(digests) else np.empty(0, np.int64)
    ends = np.r_[starts[1:], len(digests)] if len(starts) else starts
    pairs = Counter[tuple[int, int]]()
    crowds = []
    for start, end in zip(starts[ends - starts > 1], ends[ends - starts > 1]):
        if end - start > CROWD:
            crowds.append(int(end - start))
        else:
            pairs.update(combinations(entries[start:end].tolist(), 2))
    return pairs, crowds
