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
