"""A resting face is held still, a moving one followed, at any frame rate."""

import math

import numpy as np
import pytest

from dfer.video.crop import Pose
from dfer.video.smooth import PoseSmoother

REST = Pose(300.0, 200.0, 60.0, 0.1)


def test_tremble_at_rest_shrinks_and_the_place_stays() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, [0.5, 0.5, 0.5, 0.008], (900, 4))  # more than BlazeFace does
    smoother = PoseSmoother()
    smooth = np.array([smoother(Pose(*(REST + row)), i / 30) for i, row in enumerate(noise)])[60:]
    rest = smooth - np.array(REST)
    assert (rest.std(axis=0) < noise.std(axis=0) / 2.5).all()
    assert (np.diff(rest, axis=0).std(axis=0) < np.diff(noise, axis=0).std(axis=0) / 6).all()
    assert (np.abs(rest.mean(axis=0)) < noise.std(axis=0) / 10).all()


@pytest.mark.parametrize("rate", [10, 25, 60, 240])
@pytest.mark.parametrize(
    "goal", [Pose(360, 200, 60, 0.1), Pose(300, 140, 60, 0.1), Pose(300, 200, 110, 0.1), Pose(300, 200, 60, 0.7)]
)
def test_a_step_is_followed_within_a_quarter_of_a_second(rate: int, goal: Pose) -> None:
    smoother = PoseSmoother()
    for i in range(rate):
        smoother(REST, i / rate)
    for i in range(rate // 4 + 1):
        pose = smoother(goal, 1 + i / rate)
    way = np.abs(np.array(goal) - REST)
    assert (np.abs(np.array(pose) - goal) <= 0.1 * way + 1e-6).all(), pose


def test_a_moving_face_is_followed_closely() -> None:
    smoother, speed = PoseSmoother(), 5 * 60.0  # five eye distances a second
    for i in range(60):
        pose = smoother(Pose(speed * i / 30, 0, 60, 0), i / 30)
    assert 0 <= speed * 59 / 30 - pose.x < 0.05 * 60


@pytest.mark.parametrize("rate", [15, 30, 120])
def test_the_course_is_the_same_at_any_constant_rate(rate: int) -> None:
    def course(rate: int) -> np.ndarray:
        smoother = PoseSmoother()
        poses = []
        for i in range(4 * rate + 1):
            t = i / rate
            pose = smoother(Pose(300 + 40 * math.sin(2 * t), 200 + 10 * t, 60 * math.exp(0.2 * t), 0.3 * t), t)
            if i % (rate // 5) == 0:
                poses.append(pose)
        return np.array(poses)

    assert np.abs(course(rate) - course(60)).max() < 0.06 * 60  # a twentieth of the eyes' distance
    assert np.abs(course(rate) - course(60)).mean() < 0.02 * 60


def test_sizes_do_not_matter() -> None:
    small, large = PoseSmoother(), PoseSmoother()
    rng = np.random.default_rng(1)
    for i in range(50):
        x, y, size, turn = rng.normal(0, 1, 4)
        one = small(Pose(x, y, 20 * math.exp(0.1 * size), 0.1 * turn), i / 25)
        other = large(Pose(10 * x, 10 * y, 200 * math.exp(0.1 * size), 0.1 * turn), i / 25)
        assert np.array(other) == pytest.approx(np.array(one) * [10, 10, 10, 1])


def test_the_first_pose_is_kept_as_it_is() -> None:
    assert PoseSmoother()(REST, 7.5) == REST


def test_without_detection_a_face_glides_on_and_comes_to_rest() -> None:
    smoother = PoseSmoother()
    for i in range(30):
        last = smoother(Pose(300 + 4 * i, 200, 60, 0), i / 30)
    soon, later, late = (smoother.glide(29 / 30 + wait) for wait in (0.1, 0.5, 60.0))
    assert last.x + 8 < soon.x < last.x + 13  # 120 pixels a second
    assert soon.x < later.x <= late.x < last.x + 26
    assert soon[1:] == last[1:]
    assert smoother.glide(29 / 30) == pytest.approx(last)
    with pytest.raises(RuntimeError, match="no pose yet"):
        PoseSmoother().glide(1.0)


def test_time_must_grow() -> None:
    smoother = PoseSmoother()
    smoother(REST, 1.0)
    with pytest.raises(ValueError, match=r"1\.0 s after 1\.0 s: time stamps must grow"):
        smoother(REST, 1.0)


@pytest.mark.parametrize("values", [(0.0, 1.0), (math.nan, 1.0), (1.0, -1.0)])
def test_bad_settings_are_refused_with_their_values(values: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=f"rest {values[0]}, gain {values[1]}"):
        PoseSmoother(*values)
