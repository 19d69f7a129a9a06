"""Windows of a track and the steps of its timeline, against slow loops."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfer.inference.windows import Steps, Window, Windows


def told(times: list[float], end: float, window: float | None, step: float, shortest: float = 0.0) -> list[Window]:
    windows = Windows(window, step, shortest)
    found = []
    for position, seconds in enumerate(times):
        for one in windows.add(seconds):
            assert one.stop <= position, "a window is told before its last frame came"
            found.append(one)
    return found + list(windows.finish(end))


def at(rate: float, seconds: float, start: float = 0.0) -> list[float]:
    return [start + number / rate for number in range(round(seconds * rate))]


def test_windows_begin_at_every_step_and_are_told_at_once() -> None:
    windows = Windows(2.0, 0.5)
    when = {seconds: [(one.start, one.end) for one in windows.add(seconds)] for seconds in at(10, 3.0)}
    assert {seconds: found for seconds, found in when.items() if found} == {2.0: [(0.0, 2.0)], 2.5: [(0.5, 2.5)]}
    assert [(one.start, one.end) for one in windows.finish(3.0)] == [(1.0, 3.0)]


def test_frames_left_over_have_a_window_aligned_to_the_end() -> None:
    found = told(at(10, 2.75, start=4.0), 6.75, 1.0, 1.0)
    assert [(one.start, one.end) for one in found] == [(4.0, 5.0), (5.0, 6.0), (5.75, 6.75)]
    assert [(one.first, one.stop) for one in found] == [(0, 10), (10, 20), (18, 28)]
    assert [(one.first_step, one.stop_step) for one in found] == [(0, 1), (1, 2), (2, 3)]


def test_a_track_shorter_than_a_window_has_one_of_all() -> None:
    assert told(at(10, 0.8), 0.8, 2.0, 0.5) == [Window(0.0, 0.8, 0, 8, 0, 2)]


def test_without_a_window_there_is_one_over_all() -> None:
    assert told(at(10, 7.2), 7.2, None, 0.5) == [Window(0.0, 7.2, 0, 72, 0, 15)]


def test_a_track_too_short_has_none() -> None:
    assert told(at(10, 0.4), 0.4, 2.0, 0.5, shortest=0.5) == []
    assert len(told(at(10, 0.5), 0.5, 2.0, 0.5, shortest=0.5)) == 1
    assert told(at(10, 0.4), 0.4, 0.2, 0.1, shortest=0.5) == [], "nor where a window is shorter yet"


def test_a_single_frame_is_a_window_where_that_is_enough() -> None:
    assert told([3.0], 3.0, 2.0, 0.5) == [Window(3.0, 3.0, 0, 1, 0, 1)]


def test_a_window_without_a_frame_has_the_one_still_shown() -> None:
    found = told([0.0, 0.1, 0.2, 3.0, 3.1], 3.2, 1.0, 1.0)
    assert [(one.first, one.stop) for one in found] == [(0, 3), (2, 3), (2, 3), (3, 5)]


def test_frames_at_rounded_times_fall_where_they_belong() -> None:
    thirds = [round(number / 30, 3) for number in range(90)]  # as Matroska writes them
    assert [(one.first, one.stop) for one in told(thirds, 3.0, 1.0, 1.0)] == [(0, 30), (30, 60), (60, 90)]


def test_what_may_still_be_needed_is_bounded_by_a_window() -> None:
    windows = Windows(2.0, 0.5)
    for position, seconds in enumerate(at(30, 60.0)):
        list(windows.add(seconds))
        assert position - windows.needed <= 2.0 * 30 + 1
    whole = Windows(None, 0.5)
    list(whole.add(0.0))
    list(whole.add(100.0))
    assert whole.needed == 0


tracks = st.tuples(
    st.floats(0, 1000),
    st.lists(st.floats(0.005, 1.5), min_size=0, max_size=60),
    st.floats(0.001, 1.0),
).map(lambda drawn: (list(np.cumsum([drawn[0], *drawn[1]])), drawn[2]))
lengths = st.one_of(st.none(), st.floats(1.0, 8.0))


@settings(deadline=None, max_examples=150)
@given(tracks, lengths, st.floats(0.05, 1.0))
def test_every_frame_and_step_lies_in_a_window_and_steps_tile_the_track(
    track: tuple[list[float], float], length: float | None, share: float
) -> None:
    times, shown = track
    end, step = times[-1] + shown, share * (length or 2.0)
    windows = Windows(length, step)
    found, kept = [], 0
    for seconds in times:
        for one in windows.add(seconds):
            assert one.first >= kept, "a frame was given up too early"
            found.append(one)
        kept = windows.needed
    for one in windows.finish(end):
        assert one.first >= kept
        found.append(one)
    assert all(0 <= one.first < one.stop <= len(times) for one in found)
    assert all(one.start <= other.start for one, other in pairwise(found))
    assert {position for one in found for position in range(one.first, one.stop)} == set(range(len(times)))
    steps = windows.step_times(end)
    assert {number for one in found for number in range(one.first_step, one.stop_step)} == set(range(len(steps)))
    assert steps[0][0] == times[0]
    assert steps[-1][1] == end
    assert all(one[1] == other[0] for one, other in pairwise(steps))
    assert all(start < stop for start, stop in steps)
    for one in found:
        for start, stop in steps[one.first_step : one.stop_step]:
            assert one.start <= start + 1e-5
            assert one.end >= stop - 1e-5 or one.stop == len(times)
        if length is not None:
            assert one.end - one.start <= length + max(shown, 0) + 1e-5


def slow_steps(windows: list[Window], shares: list[np.ndarray | None], count: int, step: float, smoothing: float):
    means = []
    for number in range(count):
        holding = [
            share for one, share in zip(windows, shares)
            if share is not None and one.first_step <= number < one.stop_step
        ]  # fmt: skip
        means.append(sum(holding) / len(holding) if holding else None)
    if not smoothing:
        return means
    smooth = []
    for number in range(count):
        total, weights = 0, 0.0
        for other in range(count):
            if means[other] is not None and abs(other - number) <= math.ceil(5 * smoothing / step):
                weight = math.exp(-abs(other - number) * step / smoothing)
                total, weights = total + weight * means[other], weights + weight
        smooth.append(None if means[number] is None else total / weights)
    return smooth


@settings(deadline=None, max_examples=100)
@given(tracks, lengths, st.floats(0.05, 1.0), st.sampled_from([0.0, 0.3, 2.0]), st.integers(0, 2**32), st.booleans())
def test_steps_are_the_slow_reference_and_sum_to_one(
    track: tuple[list[float], float], length: float | None, share: float, smoothing: float, seed: int, some: bool
) -> None:
    times, shown = track
    end, step = times[-1] + shown, max(share * (length or 2.0), 0.05)
    rng = np.random.default_rng(seed)
    windows, steps = Windows(length, step), Steps(step, smoothing)
    asked, shares, given_out = [], [], []

    def learn(one: Window) -> None:
        drawn = None if some and rng.random() < 0.3 else rng.dirichlet(np.ones(4))
        asked.append(one)
        shares.append(drawn)
        steps.add(one, drawn)
        given_out.extend(steps.settle())

    for seconds in times:
        for one in windows.add(seconds):
            learn(one)
    early = len(given_out)
    for one in windows.finish(end):
        learn(one)
    given_out.extend(steps.settle(ended=True))
    assert [number for number, _ in given_out] == list(range(windows.steps))
    assert early <= windows.steps
    for (_, found), wanted in zip(given_out, slow_steps(asked, shares, windows.steps, step, smoothing)):
        if wanted is None:
            assert found is None
        else:
            np.testing.assert_allclose(found, wanted, atol=1e-12)
            assert abs(float(np.sum(found)) - 1) < 1e-9


def test_steps_are_settled_as_soon_as_nothing_can_change_them() -> None:
    steps = Steps(1.0)
    half = np.array([0.5, 0.5])
    steps.add(Window(0.0, 2.0, 0, 20, 0, 2), half)
    assert list(steps.settle()) == []
    steps.add(Window(1.0, 3.0, 10, 30, 1, 3), half)
    assert [number for number, _ in steps.settle()] == [0]
    assert [number for number, _ in steps.settle(ended=True)] == [1, 2]


def test_smoothing_does_not_lag() -> None:
    steps = Steps(1.0, smoothing=2.0)
    for number in range(21):
        one = float(number == 10)
        steps.add(Window(number, number + 1, number, number + 1, number, number + 1), np.array([one, 1 - one]))
    found = np.array([share[0] for _, share in steps.settle(ended=True)])
    assert found.argmax() == 10
    np.testing.assert_allclose(found, found[::-1], atol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 1.0])
def test_a_step_that_no_window_was_asked_for_stays_unknown(smoothing: float) -> None:
    steps = Steps(1.0, smoothing)
    for number, share in enumerate([np.ones(1), None, np.ones(1)]):
        steps.add(Window(number, number + 1, number, number + 1, number, number + 1), share)
    assert [share is None for _, share in steps.settle(ended=True)] == [False, True, False]
