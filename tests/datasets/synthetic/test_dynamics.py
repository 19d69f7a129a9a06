"""Envelopes have the width and the centre they are asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfer.datasets.synthetic.dynamics import blinks, drift, envelope, pose, shake, speech


@given(st.floats(20, 60), st.floats(8, 30), st.floats(0.1, 1.0), st.floats(0.1, 1.0))
def test_width_at_half_height(centre: float, width: float, onset: float, offset: float) -> None:
    curve = envelope(100, centre, width, onset * width, offset * width)
    above = np.flatnonzero(curve >= 0.5)
    assert curve.min() >= 0
    assert curve.max() == pytest.approx(1, abs=0.01)
    assert len(above) == pytest.approx(width, abs=1.01)
    assert above.mean() == pytest.approx(centre, abs=1.01)


@pytest.mark.parametrize("frames", [1, 8, 90])
def test_shapes_and_ranges(frames: int) -> None:
    rng = np.random.default_rng(0)
    assert blinks(frames, rng).shape == drift(frames, rng).shape == speech(frames, 0.5, rng).shape == (frames,)
    assert shake(frames, rng).shape == (frames, 2)
    assert 0 <= blinks(frames, rng).min() <= blinks(frames, rng).max() <= 1
    turned = pose(frames, 10.0, 0.02, rng)
    assert turned.yaw.shape == turned.scale.shape == (frames,)
    assert np.rad2deg(np.abs(turned.yaw)).max() < 10 * 2 + 10


def test_a_still_head_and_camera() -> None:
    turned = pose(10, 0.0, 0.0, np.random.default_rng(0))
    assert not turned.yaw.any()
    assert not turned.shift.any()
