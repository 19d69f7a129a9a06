import pickle

import numpy as np

from dfer.video.crop import FaceGeometry
from dfer.video.whole_frame import WholeFrame


def test_the_frame_is_the_face_with_eyes_where_a_crop_has_them() -> None:
    detector, geometry = WholeFrame(), FaceGeometry()
    (face,) = detector(np.zeros((100, 100, 3), np.uint8))
    assert (*face.box, face.score) == (0, 0, 100, 100, 1)
    assert detector.name == "whole_frame"
    half = 50 * geometry.eye_distance
    height = 100 * geometry.eye_height
    np.testing.assert_allclose(face.eyes, [(50 - half, height), (50 + half, height)])


def test_an_oblong_frame_is_one_face_too() -> None:
    (face,) = WholeFrame()(np.zeros((90, 160, 3), np.uint8))
    assert face.box == (0, 0, 160, 90)
    assert pickle.loads(pickle.dumps(WholeFrame())).name == "whole_frame"
