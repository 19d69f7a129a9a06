"""Faces by scikit-image's cascade: no download, boxes alone."""

from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from dfer.video.detect import Box, Face
from dfer.video.images import Frame

LONGEST = 480  # pixels: a larger frame is looked at smaller, so that a look stays near 100 ms
SMALLEST, LARGEST = 0.1, 0.9  # of the smaller frame's shorter side: the side of a find
NEIGHBOURS = 4  # finds at one place that make a face


class CascadeFaces:
    """Find upright faces that look ahead, with the cascade of local binary patterns that scikit-image brings.

    It gives no score (all are 0.5) and no eyes: those are where its boxes usually hold them. Faces below a tenth of
    the frame's shorter side are not looked for.
    """

    name = "cascade"

    def __call__(self, frame: Frame) -> list[Face]:
        """Find the faces of a frame, the largest first."""
        height, width = frame.shape[:2]
        scale = max(1.0, max(height, width) / LONGEST)
        picture = Image.fromarray(frame).convert("L")
        if scale > 1:
            picture = picture.resize((round(width / scale), round(height / scale)), Image.Resampling.BILINEAR)
        pixels = np.asarray(picture)
        short = min(pixels.shape)
        found = _cascade().detect_multi_scale(
            img=pixels,
            scale_factor=1.2,
            step_ratio=1,
            min_size=(max(24, round(SMALLEST * short)),) * 2,
            max_size=(round(LARGEST * short),) * 2,
            min_neighbor_number=NEIGHBOURS,
        )
        return [
            face(scale * one["c"], scale * one["r"], scale * one["width"])
            for one in sorted(found, key=lambda one: -one["width"])
        ]


def face(left: float, top: float, side: float) -> Face:
    eyes = np.array([(left + 0.3 * side, top + 0.37 * side), (left + 0.7 * side, top + 0.37 * side)])
    return Face(Box(left, top, left + side, top + side), 0.5, eyes)


@cache
def _cascade() -> Any:
    from skimage import data, feature  # here, because it takes a second

    return feature.Cascade(data.lbp_frontal_face_cascade_filename())  # type: ignore[no-untyped-call]
