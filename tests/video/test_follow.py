"""From frames to faces: who is where, cut out, and nothing told that was not seen."""

import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dfer.video.crop import FaceGeometry, align
from dfer.video.detect import Box, Face, FaceDetector
from dfer.video.follow import FaceFrame, TrackedFace, follow_faces
from dfer.video.stream import VideoFrame, open_stream
from dfer.video.whole_frame import WholeFrame

SMALL = FaceGeometry(32)


class Told:
    """A detector that was told what it will find."""

    name = "told"

    def __init__(self, found: Sequence[list[Face]]) -> None:
        self.found = iter(found)

    def __call__(self, frame: NDArray[np.uint8]) -> list[Face]:
        return next(self.found)


def face(x: float, y: float = 60.0, side: float = 40.0, score: float = 0.9) -> Face:
    eyes = np.array([[x - side / 4.9, y - side / 8], [x + side / 4.9, y - side / 8]])
    return Face(Box(x - side / 2, y - side / 2, x + side / 2, y + side / 2), score, eyes)


def picture(seed: int) -> NDArray[np.uint8]:
    blobs = np.random.default_rng(seed).integers(0, 200, (5, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(blobs).resize((240, 120), Image.Resampling.BICUBIC))


def frames(pictures: Sequence[NDArray[np.uint8]], rate: float = 25.0) -> Iterator[VideoFrame]:
    return (VideoFrame(index, index / rate, pixels) for index, pixels in enumerate(pictures))


def follow(found: Sequence[list[Face]], **options: float) -> list[FaceFrame]:
    return list(follow_faces(frames([picture(0)] * len(found)), Told(found), SMALL, **options))


def tracks(told: Sequence[FaceFrame]) -> dict[int, list[TrackedFace]]:
    """Collect the faces per track, and check that they come in order and none after its track's end."""
    rows: dict[int, list[TrackedFace]] = {}
    over: set[int] = set()
    for step in told:
        for one in step.faces:
            assert one.track not in over
            rows.setdefault(one.track, []).append(one)
        assert not over & set(step.ended)
        over |= set(step.ended)
    assert over == set(rows)
    for row in rows.values():
        assert all(before.index < after.index for before, after in pairwise(row))
    return rows


def test_every_frame_comes_once_and_first_faces_come_late_with_the_third() -> None:
    told = follow([[face(60)]] * 5)
    assert [step.frame.index for step in told] == [0, 1, 2, 3, 4]
    assert [[one.index for one in step.faces] for step in told] == [[], [], [0, 1, 2], [3], [4]]
    assert [step.ended for step in told] == [[], [], [], [], [1]]
    one = told[2].faces[1]
    assert (one.track, one.seconds, one.box, one.score, one.detected) == (1, 0.04, face(60).box, 0.9, True)
    assert one.crop.shape == (32, 32, 3)


def test_no_frames_and_no_faces_give_nothing() -> None:
    assert list(follow_faces(iter([]), Told([]), SMALL)) == []
    told = follow([[]] * 3)
    assert [(step.faces, step.ended) for step in told] == [([], [])] * 3


def test_a_lone_false_positive_is_never_told() -> None:
    told = follow([[face(60)], [face(60)], *[[]] * 20, [face(150)], *[[]] * 20])
    assert all(not step.faces and not step.ended for step in told)


def test_missed_frames_come_with_the_next_detection_and_their_boxes_lie_between() -> None:
    told = follow([[face(60)]] * 4 + [[]] * 3 + [[face(80)]])
    assert [step.faces for step in told[4:7]] == [[], [], []]
    late = told[7].faces
    assert [one.index for one in late] == [4, 5, 6, 7]
    assert [one.detected for one in late] == [False, False, False, True]
    assert [one.score for one in late] == [0, 0, 0, 0.9]
    assert [one.box.left for one in late] == pytest.approx([45, 50, 55, 60])
    assert all(one.track == 1 and one.crop.shape == (32, 32, 3) for one in late)


def test_a_missed_face_is_not_taken_from_an_empty_picture() -> None:
    black = np.zeros_like(picture(0))
    shown = [picture(0)] * 4 + [black, picture(0), black] + [picture(0)] * 2
    found = [[face(60)]] * 4 + [[], [], []] + [[face(60)]] * 2
    (row,) = tracks(list(follow_faces(frames(shown), Told(found), SMALL))).values()
    assert [one.index for one in row] == [0, 1, 2, 3, 5, 7, 8]


def test_misses_before_a_track_is_confirmed_are_told_too() -> None:
    told = follow([[face(60)], [], [face(60)], [], [face(60)], []])
    assert [one.index for one in told[4].faces] == [0, 1, 2, 3, 4]
    assert tracks(told)[1][-1].index == 4


def test_misses_at_the_end_of_a_track_are_dropped() -> None:
    told = follow([[face(60)]] * 4 + [[]] * 30)
    assert [one.index for one in tracks(told)[1]] == [0, 1, 2, 3]
    assert [step.frame.index for step in told if step.ended] == [16]
    assert tracks(follow([[face(60)]] * 4 + [[]] * 5))[1][-1].index == 3


def test_max_gap_and_start_score_are_the_caller_s() -> None:
    found = [[face(60)]] * 4 + [[]] * 5 + [[face(60)]] * 4
    assert len(tracks(follow(found))) == 1
    assert len(tracks(follow(found, max_gap=0.1))) == 2
    assert len(tracks(follow(found, start_score=0.95))) == 0


def test_a_cut_ends_all_tracks_at_its_frame() -> None:
    pictures = [picture(0)] * 5 + [picture(1)] * 5
    told = list(follow_faces(frames(pictures), Told([[face(60), face(160)]] * 10), SMALL))
    assert [step.ended for step in told if step.ended] == [[1, 2], [3, 4]]
    assert told[5].ended == [1, 2]
    rows = tracks(told)
    assert [(row[0].index, row[-1].index) for row in rows.values()] == [(0, 4), (0, 4), (5, 9), (5, 9)]
    assert rows[1][0].box == rows[3][0].box


def test_a_face_missed_before_a_cut_is_not_bridged_over_it() -> None:
    pictures = [picture(0)] * 5 + [picture(1)] * 5
    found = [[face(60)]] * 3 + [[]] * 4 + [[face(60)]] * 3
    rows = tracks(list(follow_faces(frames(pictures), Told(found), SMALL)))
    assert [[one.index for one in row] for row in rows.values()] == [[0, 1, 2], [7, 8, 9]]


def test_crops_are_those_of_their_frames() -> None:
    def lit(level: int) -> NDArray[np.uint8]:
        return (picture(0) // 2 + level).astype(np.uint8)

    pictures = [lit(index) for index in range(12)]
    found = [[face(60)]] * 4 + [[]] * 3 + [[face(60)]] * 5
    for step in follow_faces(frames(pictures), Told(found), SMALL):
        for one in step.faces:
            wanted = align(pictures[one.index], face(60).eyes, face(60).box, SMALL)
            assert np.abs(one.crop.astype(int) - wanted).max() <= 1


def test_faces_that_cross_keep_their_tracks_and_none_is_cut_out_of_the_other() -> None:
    both = [[face(30 + 6 * index), face(210 - 6 * index, side=75)] for index in range(30)]
    found = [one if not 10 <= index < 21 else one[1:] for index, one in enumerate(both)]  # 2 hides 1 at 12 to 18
    rows = tracks(follow(found))
    assert [row[0].box.left < 100 for row in rows.values()] == [True, False]
    assert [row[-1].box.left < 100 for row in rows.values()] == [False, True]
    assert [one.index for one in rows[1] if not one.detected] == [10, 11, 19, 20]
    assert [one.index for one in rows[2]] == list(range(30))


def test_frames_are_let_go() -> None:
    alive: list[weakref.ref[NDArray[np.uint8]]] = []
    most = 0

    def video() -> Iterator[VideoFrame]:
        for index in range(60):
            pixels = picture(0).copy()
            alive.append(weakref.ref(pixels))
            yield VideoFrame(index, index / 25, pixels)

    found = [[face(60)] if index < 5 or index > 50 else [] for index in range(60)]
    for _ in follow_faces(video(), Told(found), SMALL, max_gap=5.0):
        most = max(most, sum(one() is not None for one in alive))
    assert most <= 3


def test_whole_frames_are_left_as_they_are() -> None:
    pictures = [picture(index) for index in range(3)] + [picture(0)[:50, :70]]
    told = list(follow_faces(frames(pictures, 1.0), WholeFrame(), SMALL))
    assert [len(step.faces) for step in told] == [1, 1, 1, 1]
    assert all(step.faces[0].crop is pixels for step, pixels in zip(told, pictures, strict=True))
    assert told[3].faces[0][:6] == (1, 3, 3.0, Box(0, 0, 70, 50), 1.0, True)
    assert [step.ended for step in told] == [[], [], [], [1]]
    assert list(follow_faces(iter([]), WholeFrame())) == []


@pytest.fixture(scope="module")
def blaze_face(test_data: Path) -> Iterator[FaceDetector]:
    from dfer.video.blaze_face import BlazeFace

    with BlazeFace(test_data / "models" / "blaze_face_short_range.tflite") as detector:
        yield detector


@pytest.fixture(scope="module")
def video(test_data: Path) -> Callable[[str], list[NDArray[np.uint8]]]:
    def read(name: str) -> list[NDArray[np.uint8]]:
        with open_stream(test_data / "videos" / name) as stream:
            return [frame.pixels for frame in islice(stream, 72)]

    return read


@pytest.mark.parametrize("name", ["single_face.mp4", "WolfgangLanger_Pexels.mp4"])
def test_a_real_face_is_one_track_over_the_whole_video(name: str, test_data: Path, blaze_face: FaceDetector) -> None:
    with open_stream(test_data / "videos" / name) as stream:
        told = list(follow_faces(stream, blaze_face))
    rows = tracks(told)
    assert list(rows) == [1]
    assert len(rows[1]) >= 0.95 * len(told)


def test_no_face_is_told_where_there_is_none(test_data: Path, blaze_face: FaceDetector) -> None:
    with open_stream(test_data / "videos" / "no_face.mp4") as stream:
        assert all(not step.faces and not step.ended for step in follow_faces(stream, blaze_face))


def test_two_videos_side_by_side_are_two_tracks(
    video: Callable[[str], list[NDArray[np.uint8]]], blaze_face: FaceDetector
) -> None:
    both = list(zip(video("single_face.mp4"), video("WolfgangLanger_Pexels.mp4"), strict=False))
    rows = tracks(list(follow_faces(frames([np.hstack(pair) for pair in both]), blaze_face)))
    assert list(rows) == [1, 2]
    width = both[0][0].shape[1]
    for track, row in rows.items():
        assert len(row) >= 0.95 * len(both)
        assert {(one.box.left + one.box.right) / 2 > width for one in row} == {track == 2}


def test_a_cut_between_two_people_is_two_tracks(
    video: Callable[[str], list[NDArray[np.uint8]]], blaze_face: FaceDetector
) -> None:
    first, second = video("single_face.mp4"), video("WolfgangLanger_Pexels.mp4")
    told = list(follow_faces(frames(first + second), blaze_face))
    rows = tracks(told)
    assert [(row[0].index, row[-1].index) for row in rows.values()] == [(0, 71), (72, 143)]
    assert told[72].ended == [1]


def test_real_crops_tremble_less_than_the_detector(
    video: Callable[[str], list[NDArray[np.uint8]]], blaze_face: FaceDetector
) -> None:
    pictures = video("single_face.mp4")[:40]
    smooth = [one.crop for one in tracks(list(follow_faces(frames(pictures, 30), blaze_face)))[1]]
    raw = [align(pixels, found.eyes, found.box, FaceGeometry()) for pixels in pictures for found in blaze_face(pixels)]
    assert tremble(smooth) < 0.4 * tremble(raw)


def tremble(crops: Sequence[NDArray[np.uint8]]) -> float:
    """Measure how the picture's shift from crop to crop changes, in pixels."""
    from skimage.registration import phase_cross_correlation

    grey = [crop[30:-30, 30:-30].mean(axis=2) for crop in crops]
    shifts = [phase_cross_correlation(a, b, upsample_factor=20)[0] for a, b in pairwise(grey)]
    return float(np.diff(np.array(shifts), axis=0).std())


def test_the_package_offers_its_parts_and_loads_nothing_heavy() -> None:
    heavy = ["torch", "scipy.optimize", "mediapipe", "skimage", "matplotlib"]
    script = f"import sys; from dfer.video import *; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
