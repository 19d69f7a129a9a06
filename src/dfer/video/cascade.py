"""Faces by the cascade that comes with scikit-image: no download, but slow, and no eyes."""

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from dfer.video.detect import Box, Face, overlap
from dfer.video.images import Frame

LOOKED_AT = 320  # pixels of the longer side: a larger frame is made smaller, so that a look stays near 100 ms
SMALLEST = 24  # pixels of that: what the cascade was trained on
STEP = 1.2  # from one size looked for to the next
VOTES = 5  # finds at about the same place that make a face
SHARE = 0.4  # of the votes of the frame's best face: the false finds beside a true one have fewer
CONTRAST = 12.0  # grey levels, standard deviation: the cascade sees faces in the grain of a plain wall
SAME = 0.3  # overlap from which two finds vote for one face
EYES = ((0.317, 0.418), (0.668, 0.418))  # where its finds have them, measured against BlazeFace's
BOX = 0.88  # of a find's side: BlazeFace's box, which hangs lower
BOX_EYES = 0.26  # of that box's side: how deep in it the eyes lie


class CascadeFaces:
    """Find upright faces that look ahead with scikit-image's cascade of local binary patterns.

    It says nothing of how sure it is nor where the eyes are: the score tells how many finds agree, the eyes are level
    and where its finds usually have them. The box is the one that BlazeFace would give. Faces below a thirteenth of
    the frame's longer side are not seen.
    """

    name = "cascade"

    def __call__(self, frame: Frame) -> list[Face]:
        """Find the faces of a frame, the surest first."""
        height, width = frame.shape[:2]
        scale = max(1.0, max(height, width) / LOOKED_AT)
        small = Image.fromarray(frame).convert("L")
        if scale > 1:
            size = max(1, round(width / scale)), max(1, round(height / scale))
            small = small.resize(size, Image.Resampling.BILINEAR)
        pixels = np.asarray(small)
        if min(pixels.shape) <= SMALLEST:
            return []
        found = _cascade().detect_multi_scale(
            img=pixels,
            scale_factor=STEP,
            step_ratio=1,
            min_size=(SMALLEST, SMALLEST),
            max_size=pixels.shape,
            min_neighbor_number=1,
            intersection_score_threshold=2.0,  # beyond any overlap: they are counted here
        )
        boxes = [
            Box(one["c"], one["r"], one["c"] + one["width"], one["r"] + one["height"])
            for one in found
            if pixels[one["r"] : one["r"] + one["height"], one["c"] : one["c"] + one["width"]].std() >= CONTRAST
        ]
        counted = count(boxes)
        most = max((votes for votes, _ in counted), default=0)
        return [_face(box, scale, votes) for votes, box in counted if votes >= max(VOTES, SHARE * most)]


def count(boxes: Iterable[Box]) -> list[tuple[int, Box]]:
    """Put finds of one place together: how many they are, and their mean, the most first.

    Example:
        >>> count([Box(0, 0, 10, 10), Box(2, 0, 12, 10), Box(50, 0, 60, 10)])
        [(2, Box(left=1.0, top=0.0, right=11.0, bottom=10.0)), (1, Box(left=50.0, top=0.0, right=60.0, bottom=10.0))]
    """
    groups: list[list[Box]] = []
    for box in sorted(boxes, key=lambda box: (-box.side, box)):  # the cascade's threads give them in any order
        shared = [overlap(box, _mean(group)) for group in groups]
        if shared and max(shared) > SAME:
            groups[shared.index(max(shared))].append(box)
        else:
            groups.append([box])
    return sorted(((len(group), _mean(group)) for group in groups), key=lambda found: -found[0])


def _mean(group: list[Box]) -> Box:
    return Box(*np.mean(group, axis=0).tolist())


def _face(find: Box, scale: float, votes: int) -> Face:
    """Turn a find in the smaller frame into a face as BlazeFace would give it."""
    side = scale * (find.right - find.left)
    eyes = np.array([scale * find.left, scale * find.top]) + side * np.array(EYES)
    x, y = eyes.mean(axis=0).tolist()
    left, top = x - BOX * side / 2, y - BOX_EYES * BOX * side
    return Face(Box(left, top, left + BOX * side, top + BOX * side), votes / (votes + VOTES), eyes)


@cache
def _cascade() -> Any:
    from skimage import data, feature  # here, because it takes a second

    return feature.Cascade(data.lbp_frontal_face_cascade_filename())  # type: ignore[no-untyped-call]
