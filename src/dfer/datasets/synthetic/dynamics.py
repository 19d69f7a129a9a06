"""When: envelopes of expressions, blinks, speech, head pose and camera shake over a clip."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]


def _smoothstep(x: Curve) -> Curve:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3 - 2 * x)


def envelope(frames: int, centre: float, width: float, onset: float, offset: float) -> Curve:
    """Rise, hold and fall: 0 to 1 to 0, at half height at ``centre - width / 2`` and ``centre + width / 2``.

    Args:
        onset: frames from 0 to 1, at most ``width``.
        offset: frames from 1 to 0, at most ``width``.

    Shape:
        -> ``(T,)``.

    Example:
        >>> envelope(9, centre=4.0, width=4.0, onset=2.0, offset=2.0).tolist()
        [0.0, 0.0, 0.5, 1.0, 1.0, 1.0, 0.5, 0.0, 0.0]
    """
    t = np.arange(frames, dtype=np.float64)
    rise = _smoothstep((t - (centre - width / 2)) / max(onset, 1e-6) + 0.5)
    fall = _smoothstep((t - (centre + width / 2)) / max(offset, 1e-6) + 0.5)
    return rise * (1 - fall)


def blinks(frames: int, rng: np.random.Generator) -> Curve:
    """Close the eyes now and then: 1 is shut. Shape: ``-> (T,)``."""
    t = np.arange(frames, dtype=np.float64)
    out = np.zeros(frames)
    for _ in range(int(rng.poisson(frames / 45))):
        out = np.maximum(out, np.exp(-(((t - rng.uniform(0, frames)) / rng.uniform(0.7, 1.3)) ** 2)))
    return out


def drift(frames: int, rng: np.random.Generator, period: tuple[float, float] = (25.0, 70.0)) -> Curve:
    """Wander slowly and smoothly about 0, of unit size. Shape: ``-> (T,)``."""
    t = np.arange(frames, dtype=np.float64)
    out = np.zeros(frames)
    for scale in (1.0, 0.5):
        out += scale * np.sin(2 * np.pi * (t / (scale * rng.uniform(*period)) + rng.random()))
    return out / 1.1


def shake(frames: int, rng: np.random.Generator) -> Curve:
    """Tremble like a held camera, of unit size. Shape: ``-> (T, 2)``."""
    kicks = rng.standard_normal((frames, 2))
    out = np.empty((frames, 2))
    state = rng.standard_normal(2)
    for i, kick in enumerate(kicks):
        state = 0.8 * state + 0.6 * kick
        out[i] = state
    return out


class Pose(NamedTuple):
    """Where the head points and the camera stands, per frame. Shape: each ``(T,)``, shift ``(T, 2)``."""

    yaw: Curve
    pitch: Curve
    roll: Curve
    scale: Curve
    shift: Curve
    gaze: Curve


def pose(frames: int, degrees: float, camera_shake: float, rng: np.random.Generator) -> Pose:
    """Draw the head's and the camera's movement; angles in radians, shift as a fraction of the picture."""
    unit = np.deg2rad(degrees)
    rest = np.clip(rng.standard_normal(3), -2, 2)
    still = 0.6 * unit
    return Pose(
        yaw=unit * rest[0] + still * drift(frames, rng),
        pitch=0.5 * (unit * rest[1] + still * drift(frames, rng)),
        roll=0.4 * (unit * rest[2] + still * drift(frames, rng)),
        scale=1 + rng.uniform(-0.04, 0.06) + 0.012 * drift(frames, rng),
        shift=camera_shake * (rng.standard_normal(2) + 0.5 * shake(frames, rng)),
        gaze=0.02 * rng.standard_normal(2) + 0.012 * np.stack([drift(frames, rng), drift(frames, rng)], axis=1),
    )


def speech(frames: int, strength: float, rng: np.random.Generator) -> Curve:
    """Open and close the mouth in short bursts that mean nothing. Shape: ``-> (T,)``."""
    amount = strength * rng.random() * (rng.random() < 0.6)
    t = np.arange(frames, dtype=np.float64)
    syllables = np.sin(2 * np.pi * (t / rng.uniform(5, 9) + rng.random())) ** 2
    return amount * syllables * np.clip(drift(frames, rng), 0, 1)
