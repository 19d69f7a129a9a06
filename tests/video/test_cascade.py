import pickle
import time
from pathlib import Path

import av
import numpy as np
import pytest

from dfer.video.blaze_face import BlazeFace
from dfer.video.cascade import CascadeFaces, count
from dfer.video.detect import Box, overlap
from dfer.video.images import Frame

pytest.importorskip("mediapipe", reason="the extra `face` is not installed: nothing to compare with")


def frames(path: Path, step: int) -> list[Frame]:
    with av.open(str(path)) as container:
        shown = enumerate(container.decode(video=0))
        return [frame.to_ndarray(format="rgb24") for index, frame in shown if index % step == 0]


@pytest.fixture(scope="module")
def single(test_data: Path) -> list[Frame]:
    return frames(test_data / "videos" / "single_face.mp4", 12)


def test_boxes_and_eyes_are_where_blaze_face_has_them(test_data: Path, single: list[Frame]) -> None:
    detector = CascadeFaces()
    with BlazeFace(test_data / "models" / "blaze_face_short_range.tflite") as other:
        for frame in single:
            (face,), (true,) = detector(frame), other(frame)
            assert overlap(face.box, true.box) > 0.8
            assert np.abs(face.eyes - true.eyes).max() < 0.06 * true.box.side
            assert 0.5 <= face.score < 1


def test_a_harder_video_keeps_its_face_mostly_and_no_face_is_none(test_data: Path) -> None:
    detector = CascadeFaces()
    hard = [detector(frame) for frame in frames(test_data / "videos" / "WolfgangLanger_Pexels.mp4", 40)]
    assert np.mean([len(faces) > 0 for faces in hard]) > 0.6
    assert np.mean([len(faces) > 1 for faces in hard]) < 0.2
    assert not any(detector(frame) for frame in frames(test_data / "videos" / "no_face.mp4", 8))


def test_a_large_frame_is_looked_at_smaller(single: list[Frame]) -> None:
    detector = CascadeFaces()
    (small,) = detector(single[0])
    began = time.perf_counter()
    (large,) = detector(single[0].repeat(4, axis=0).repeat(4, axis=1))
    assert time.perf_counter() - began < 3  # 30 times as long at full size
    np.testing.assert_allclose(np.array(large.box) / 4, small.box, atol=0.06 * small.box.side)


def test_it_is_repeatable(single: list[Frame]) -> None:
    detector = pickle.loads(pickle.dumps(CascadeFaces()))
    assert detector.name == "cascade"
    once, again = detector(single[0]), detector(single[0])
    assert [face[:2] for face in once] == [face[:2] for face in again]
    assert np.array_equal(once[0].eyes, again[0].eyes)


@pytest.mark.parametrize("shape", [(1, 1), (2, 900), (24, 24), (25, 25), (200, 300)])
def test_small_and_empty_pictures_hold_no_face(shape: tuple[int, int]) -> None:
    assert CascadeFaces()(np.zeros((*shape, 3), np.uint8)) == []


def test_finds_of_one_place_are_counted_in_any_order() -> None:
    boxes = [Box(0, 0, 10, 10), Box(2, 0, 12, 10), Box(50, 0, 60, 10), Box(1, 1, 11, 11)]
    found = count(boxes)
    assert found == count(boxes[::-1])
    assert [votes for votes, _ in found] == [3, 1]
    assert found[0][1] == pytest.approx((1, 1 / 3, 11, 31 / 3))
    assert count([]) == []
