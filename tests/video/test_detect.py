import numpy as np
import pytest

from dfer.video.detect import Box, Face, FaceDetector, overlap
from dfer.video.whole_frame import WholeFrame


def test_a_box_has_a_side_and_may_reach_beyond_the_frame() -> None:
    assert Box(-5, 10, 15, 60).side == 50
    assert Box(0, 0, 30, 20).side == 30


@pytest.mark.parametrize(
    ("other", "share"),
    [
        (Box(0, 0, 10, 10), 1.0),
        (Box(10, 0, 20, 10), 0.0),  # an edge in common
        (Box(30, 30, 40, 40), 0.0),
        (Box(5, 0, 15, 10), 1 / 3),
        (Box(2, 2, 4, 4), 0.04),
    ],
)
def test_overlap_is_intersection_over_union(other: Box, share: float) -> None:
    assert overlap(Box(0, 0, 10, 10), other) == pytest.approx(share)
    assert overlap(other, Box(0, 0, 10, 10)) == pytest.approx(share)


def test_boxes_without_area_overlap_nothing() -> None:
    assert overlap(Box(5, 5, 5, 5), Box(0, 0, 10, 10)) == 0
    assert overlap(Box(5, 5, 5, 5), Box(5, 5, 5, 5)) == 0


def test_a_detector_is_anything_with_a_name_that_gives_faces() -> None:
    detector: FaceDetector = WholeFrame()
    (face,) = detector(np.zeros((4, 6, 3), np.uint8))
    assert isinstance(face, Face)
    assert face.eyes.shape == (2, 2)
    assert face.eyes.dtype == np.float64
