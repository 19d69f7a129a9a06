"""What a face detector gives, whatever finds the faces."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dfer.video.images import Frame


class Box(NamedTuple):
    """A rectangle in pixels of the frame; it may reach beyond the frame's edge."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def side(self) -> float:
        """The longer side, in pixels."""
        return max(self.right - self.left, self.bottom - self.top)


class Face(NamedTuple):
    """One face in one frame.

    A detector that knows no eyes gives those that its boxes usually hold, level.

    Shape:
        eyes ``(2, 2)`` float64: x, y of the eye on the left of the picture, then of the one on the right, in pixels.
    """

    box: Box
    score: float
    eyes: NDArray[np.float64]


class FaceDetector(Protocol):
    """Finds the faces of a frame, ``(H, W, 3)`` RGB uint8 -> faces, the surest first."""

    @property
    def name(self) -> str:
        """How the detector is called in outputs."""
        ...

    def __call__(self, frame: Frame) -> list[Face]: ...


def overlap(one: Box, other: Box) -> float:
    """Measure what two boxes share: their intersection over their union.

    Example:
        >>> overlap(Box(0, 0, 2, 2), Box(1, 0, 3, 2))
        0.3333333333333333
    """
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    areas = sum((box.right - box.left) * (box.bottom - box.top) for box in (one, other))
    return shared / (areas - shared)
