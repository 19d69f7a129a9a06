"""Faces keep their numbers while they move, cross, and are missed for a moment."""

import itertools
import math
import re
from collections.abc import Callable

import numpy as np
import pytest

from dfer.video.detect import Box, Face, overlap
from dfer.video.track import Track, Tracker


def face(x: float, y: float = 100.0, side: float = 80.0, score: float = 0.9) -> Face:
    box = Box(x - side / 2, y - side / 2, x + side / 2, y + side / 2)
    return Face(box, score, np.array([[x - 15, y - 15], [x + 15, y - 15]]))


def numbers(
    tracker: Tracker, frames: list[list[Face]], rate: float = 25.0, start: float = 0.0
) -> list[list[int | None]]:
    """Say for every face of every frame which track it went to."""
    rows = []
    for index, faces in enumerate(frames):
        found = {id(one): track.number for track, one in tracker(faces, start + index / rate).living if one is not None}
        rows.append([found.get(id(one), -1) for one in faces])
    return rows


@pytest.mark.parametrize("rate", [0.2, 1, 5, 25, 60, 1000])
def test_a_face_is_one_track_from_its_third_sighting(rate: float) -> None:
    assert numbers(Tracker(), [[face(100)]] * 6, rate) == [[None], [None], [1], [1], [1], [1]]


def test_a_lone_false_positive_is_no_track() -> None:
    for rate in (1, 10, 30):
        tracker = Tracker()
        frames = [[face(100)] if index % 40 in (0, 1) else [] for index in range(120)]
        assert {one for row in numbers(tracker, frames, rate) for one in row} == {None}
        assert not [track for track in tracker.end() if track.number]


def test_a_flicker_is_a_track_if_it_is_dense_enough() -> None:
    assert numbers(Tracker(), [[face(100)], [], [], [], []] * 4, 25)[10] == [1]  # three within 0.4 s
    flicker = [[face(100)], *[[]] * 11] * 10
    assert {one for row in numbers(Tracker(), flicker, 25) for one in row} == {None}


def test_doubtful_finds_neither_start_nor_confirm_but_carry_on() -> None:
    sure, doubtful = [face(100)], [face(100, score=0.4)]
    assert numbers(Tracker(), [doubtful] * 5)[-1] == [-1]
    assert numbers(Tracker(), [sure, doubtful, doubtful, sure, sure, doubtful]) == [[None]] * 4 + [[1]] * 2


def test_numbers_go_by_appearance_then_from_left_to_right() -> None:
    late = [face(900)]
    frames = [[face(700), face(100), face(400)]] * 2 + [[face(700), face(100), face(400), *late]] * 4
    assert numbers(Tracker(), frames)[-1] == [3, 1, 2, 4]


@pytest.mark.parametrize("missed", [1, 5, 12])
def test_a_gap_up_to_half_a_second_is_bridged(missed: int) -> None:
    frames = [[face(100)]] * 5 + [[]] * missed + [[face(100)]] * 3
    assert numbers(Tracker(), frames, 26)[-1] == [1]


def test_a_face_that_leaves_ends_its_track_and_comes_back_as_another() -> None:
    tracker = Tracker()
    numbers(tracker, [[face(100)]] * 5)
    ends = [[track.number for track in tracker([], 0.16 + index / 25).over] for index in range(1, 20)]
    assert [at for at, over in enumerate(ends, start=1) if over] == [13]  # the first frame beyond 0.5 s
    assert ends[12] == [1]
    assert numbers(tracker, [[face(100)]] * 3, start=1.0)[-1] == [2]


def test_slow_videos_bridge_no_gap() -> None:
    frames = [[face(100)]] * 4 + [[]] + [[face(100)]] * 3
    assert numbers(Tracker(), frames, 1)[3:] == [[1], [], [None], [None], [2]]


def test_a_jump_in_time_ends_a_track() -> None:
    tracker = Tracker()
    numbers(tracker, [[face(100)]] * 5)
    step = tracker([face(100)], 9.0)
    assert [track.number for track in step.over] == [1]
    assert [track.number for track, _ in step.living] == [None]


def test_a_track_moves_on_while_its_face_is_missed() -> None:
    frames = [[face(100 + 12 * index)] for index in range(30)]  # a box's width in a quarter of a second
    frames[10:20] = [[]] * 10
    assert numbers(Tracker(), frames)[-1] == [1]


def crossing(seed: int) -> tuple[float, Callable[[float], list[Face]]]:
    """Two faces of different sizes and speeds that meet; the nearer one hides the other."""
    rng = np.random.default_rng(seed)
    near = rng.uniform(60, 200)
    sides = np.array([near, near * rng.uniform(0.6, 0.95)])[:: rng.choice([1, -1])]
    speeds = rng.uniform(1.6, 4, 2) * sides * [1, -1]
    rise = rng.uniform(-0.3, 0.3) * near

    def faces(seconds: float) -> list[Face]:
        places = np.array([(speeds[0] * seconds, 0.0), (speeds[1] * seconds, rise)])
        places += rng.normal(0, 0.01 * near, (2, 2))
        both = [face(x, y, side) for (x, y), side in zip(places, sides, strict=True)]
        if overlap(both[0].box, both[1].box) > 0.3:
            return [max(both, key=lambda one: one.box.side)]
        return both

    return float(rng.choice([12, 25, 30, 60])), faces


@pytest.mark.parametrize("seed", range(40))
def test_two_faces_that_cross_keep_their_numbers(seed: int) -> None:
    rate, faces = crossing(seed)
    frames = [faces(index / rate - 1.5) for index in range(int(3 * rate))]
    assert min(len(row) for row in frames) == 1
    rows = numbers(Tracker(), frames, rate)
    assert rows[int(rate / 2)] == [1, 2]  # left to right before, right to left after
    assert rows[-1] == [1, 2]
    assert {one for row in rows for one in row} <= {1, 2, None}


def test_all_faces_are_matched_at_once() -> None:
    tracker = Tracker()
    numbers(tracker, [[face(100), face(150)]] * 4)
    row = numbers(tracker, [[face(136), face(186)]], start=1 / 5)  # nearest first would give 136 to the second
    assert row == [[1, 2]]


def test_the_same_faces_give_the_same_tracks() -> None:
    def run() -> list[list[int | None]]:
        rng = np.random.default_rng(5)
        return numbers(Tracker(), [[face(x) for x in rng.uniform(0, 2000, 12)] for _ in range(60)])

    assert run() == run()


def test_end_gives_all_tracks_once() -> None:
    tracker = Tracker()
    numbers(tracker, [[face(100), face(500)]] * 3)
    assert [track.number for track in tracker.end()] == [1, 2]
    assert tracker.end() == []
    assert numbers(tracker, [[face(100)]] * 3, start=1.0)[-1] == [3]


def test_many_faces_that_come_and_go_leave_nothing_behind() -> None:
    tracker = Tracker()
    for index in range(300):
        tracker([face(500.0 * index)], index / 25)
    assert len(tracker.end()) <= 14


def test_a_track_that_was_seen_once_stands_still() -> None:
    track = Track(Box(0, 0, 10, 10), 1.0)
    assert track.foretell(2.0) == Box(0, 0, 10, 10)


@pytest.mark.parametrize("gap", [-1.0, math.inf, math.nan])
def test_a_senseless_gap_is_refused(gap: float) -> None:
    with pytest.raises(ValueError, match=re.escape(f"max_gap {gap}: seconds, 0 or more")):
        Tracker(gap)


def test_time_must_grow() -> None:
    tracker = Tracker()
    tracker([], 1.0)
    for seconds in itertools.repeat(1.0, 2):
        with pytest.raises(ValueError, match=r"1\.0 s after 1\.0 s: time stamps must grow"):
            tracker([], seconds)
