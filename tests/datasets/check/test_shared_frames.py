"""Frames that stand in two clips."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfer.datasets import CSVClips
from dfer.datasets.check.findings import Findings
from dfer.datasets.check.shared_frames import CROWD, SHARED, count_shared, find_shared_frames
from dfer.datasets.check.sides import Sides


def digests(*groups: range | list[int]) -> dict[int, NDArray[np.uint64]]:
    return {entry: np.array(list(group), np.uint64) for entry, group in enumerate(groups)}


def sides(trees: Any) -> Sides:
    """Entries 0 and 1 are for training, 2 and 3 for testing."""
    lines = "a,sad,train\nb,happy,train\nc,sad,test\nd,sad,test\n"
    return Sides(CSVClips.survey(trees.csv(f"clip,label,split\n{lines}", list("abcd"))).parts)


def test_half_of_a_clip_is_a_problem_and_less_a_note(trees: Any) -> None:
    found = Findings()
    given = digests(range(10), range(20, 40), range(5, 25), range(100, 110))
    find_shared_frames(given, sides(trees), [], found)
    assert [(problem.clip_id, problem.reason) for problem in found.problems[SHARED]] == [
        ("a", "5 of its frames stand in c too, which is in test, this in train")
    ]
    assert found.notes == ["pairs of clips on both sides that share single frames: 1 (c and b)"]
    assert found.details["shared_frames"] == [
        {"clips": ["c", "a"], "frames": 5, "of": [20, 10]},
        {"clips": ["c", "b"], "frames": 5, "of": [20, 20]},
    ]


def test_one_side_known_copies_and_nothing_shared(trees: Any) -> None:
    for given, copies in (
        (digests([1, 2], [1, 2], [3], [3]), []),
        (digests([1, 2], [3], [1, 2], [4]), [[2, 0]]),
        (digests([], [], [], []), []),
        ({}, []),
    ):
        found = Findings()
        find_shared_frames(given, sides(trees), copies, found)
        assert (found.problems, found.notes, found.details["shared_frames"]) == ({}, [], [])


def test_one_of_the_two_is_left_out_once(trees: Any) -> None:
    found = Findings()
    find_shared_frames(digests([1, 2, 3], [9], [1, 2], [2, 3]), sides(trees), [], found)
    assert [problem.clip_id for problem in found.problems[SHARED]] == ["a"]


def test_a_placeholder_is_told_once() -> None:
    crowd = {entry: np.array([7, entry + 100], np.uint64) for entry in range(CROWD + 1)}
    pairs, crowds = count_shared(crowd)
    assert (dict(pairs), crowds) == ({}, [CROWD + 1])
    pairs, crowds = count_shared({entry: crowd[entry] for entry in range(CROWD)})
    assert (len(pairs), crowds) == (CROWD * (CROWD - 1) // 2, [])


def test_a_frame_that_repeats_within_a_clip_counts_once(trees: Any) -> None:
    found = Findings()
    find_shared_frames(digests([1] * 8 + [2, 3], [], [1, 5, 6], []), sides(trees), [], found)
    assert found.problems == {}
    assert found.details["shared_frames"] == [{"clips": ["c", "a"], "frames": 1, "of": [3, 3]}]
