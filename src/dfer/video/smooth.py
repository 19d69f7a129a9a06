"""A face's pose over time without the detector's tremble."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dfer.video.crop import Pose

REST: Final = 0.6  # Hz: what passes while the face rests
GAIN: Final = 5.0  # Hz per unit of speed: eye distances, factors of e, or radians a second
SPEED: Final = 1.0  # Hz: what of the speed itself passes
GLIDE: Final = 0.2  # seconds in which a face that is not seen loses most of its speed


class PoseSmoother:
    """Hold a resting face still and follow a moving one: a One-Euro filter over time stamps.

    Paper: Casiez et al. 2012, Algorithm 1, on three signals: the middle of the eyes (in eye distances, both
    directions with one speed), the logarithm of their distance, and their angle. Unlike the paper, the weight of the
    new value is ``1 - exp(-2 pi f dt)``, whose course does not depend on the frame rate.

    Args:
        rest: the cutoff at speed 0 in Hz; lower trembles less.
        gain: how fast the cutoff grows with the speed; higher lags less.

    Raises:
        ValueError: a cutoff that is not positive, or a negative gain.

    Example:
        >>> smoother = PoseSmoother()
        >>> smoother(Pose(100.0, 80.0, 40.0, 0.0), 0.0).x
        100.0
        >>> 100 < smoother(Pose(101.0, 80.0, 40.0, 0.0), 0.04).x < 100.5
        True
    """

    def __init__(self, rest: float = REST, gain: float = GAIN) -> None:
        if not (rest > 0 and gain >= 0):
            raise ValueError(f"rest {rest}, gain {gain}: the cutoff must be positive, the gain must not be negative")
        self.rest, self.gain = rest, gain
        self._seconds = 0.0
        self._raw: NDArray[np.float64] | None = None
        self._smooth = self._speed = np.zeros(4)

    def __call__(self, pose: Pose, seconds: float) -> Pose:
        """Give the smoothed pose; the first one as it is.

        Raises:
            ValueError: a time stamp that is not later than the one before.
        """
        raw = np.array([pose.x, pose.y, math.log(pose.distance), pose.angle])
        if self._raw is None:
            self._raw, self._smooth, self._seconds = raw, raw, seconds
            return pose
        step = seconds - self._seconds
        if step <= 0:
            raise ValueError(f"{seconds} s after {self._seconds} s: time stamps must grow")
        unit = np.array([pose.distance, pose.distance, 1.0, 1.0])
        self._speed = self._speed + _share(SPEED, step) * ((raw - self._raw) / unit / step - self._speed)
        along = math.hypot(self._speed[0], self._speed[1])
        speed = np.array([along, along, abs(self._speed[2]), abs(self._speed[3])])
        self._smooth = self._smooth + _share(self.rest + self.gain * speed, step) * (raw - self._smooth)
        self._raw, self._seconds = raw, seconds
        return self.glide(seconds)

    def glide(self, seconds: float) -> Pose:
        """Guess the pose at a later time without a new one: the face goes on and comes to rest.

        Raises:
            RuntimeError: called before the first pose.
        """
        if self._raw is None:
            raise RuntimeError("no pose yet: call the smoother first")
        x, y, log_distance, angle = (float(value) for value in self._smooth)
        distance = math.exp(log_distance)
        way = distance * GLIDE * -math.expm1((self._seconds - seconds) / GLIDE)
        return Pose(x + way * float(self._speed[0]), y + way * float(self._speed[1]), distance, angle)


def _share(cutoff: float | NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Say how much of a new value a low-pass takes over after a step in seconds."""
    return np.asarray(-np.expm1(-2 * math.pi * step * np.asarray(cutoff)))
