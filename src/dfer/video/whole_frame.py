"""No detector: the frame is the face, as in clips that were cut out before."""

import numpy as np

from dfer.video.detect import Box, Face
from dfer.video.images import Frame

EYES = ((0.365, 0.42), (0.635, 0.42))  # where a crop of the default geometry has them


class WholeFrame:
    """Take every frame for one face: no crop, no alignment.

    Example:
        >>> WholeFrame()(np.zeros((100, 200, 3), np.uint8))[0].box
        Box(left=0.0, top=0.0, right=200.0, bottom=100.0)
    """

    name = "whole_frame"

    def __call__(self, frame: Frame) -> list[Face]:
        """Give the frame as its only face."""
        height, width = frame.shape[:2]
        return [Face(Box(0.0, 0.0, float(width), float(height)), 1.0, np.array(EYES) * (width, height))]
