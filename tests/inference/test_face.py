"""One face's windows, answers and timeline."""

import io

import numpy as np
import pytest
from PIL import Image

from dfer.errors import InputError
from dfer.inference.face import FaceTrack, Settings
from dfer.inference.timeline import FaceTimeline
from dfer.inference.windows import Window
from dfer.transforms.spatial import resize
from dfer.video.detect import Box

LABELS = ("happy", "sad", "angry")
HAPPY, SAD, TORN = np.array([0.8, 0.1, 0.1]), np.array([0.05, 0.9, 0.05]), np.array([0.35, 0.35, 0.3])


def crop(number: int, side: int = 40) -> np.ndarray:
    return np.full((side, side, 3), number % 256, np.uint8)


def follow(track: FaceTrack, count: int, rate: float = 10.0, side: float = 80.0, start: float = 1.0) -> list[Window]:
    """Show a face and answer, for every window, what is asked for; the answers are in `answer`."""
    told = []
    for number in range(count):
        box = Box(0.0, 0.0, side - 5, side)
        for window in track.add(100 + number, start + number / rate, box, crop(number)):
            told.append(window)
            learn(track, window)
    for window in track.finish(1 / rate):
        told.append(window)
        learn(track, window)
    return told


def learn(track: FaceTrack, window: Window) -> None:
    if track.is_small(window):
        track.learn(window, None)
    else:
        track.learn(window, track.answer(window), track.strip(window))


class Answering(FaceTrack):
    """Says happy of windows that begin before 3 s, sad of the others."""

    def answer(self, window: Window) -> np.ndarray:
        return HAPPY if window.start < 3 else SAD


def made(count: int, rate: float = 10.0, side: float = 80.0, **settings: float) -> FaceTimeline:
    track = Answering(Settings(**{"window": 1.0, "step": 0.5} | settings), LABELS, 32)
    follow(track, count, rate, side)
    return track.timeline(1)


def test_moments_tell_the_mean_of_their_windows() -> None:
    found = made(40)
    assert (found.face, found.start, found.frames) == (1, 1.0, 40)
    assert found.end == pytest.approx(5.0)
    assert [moment.label for moment in found.moments] == ["happy"] * 4 + ["sad"] * 4
    assert [moment.start for moment in found.moments] == pytest.approx([1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5])
    assert found.moments[-1].end == pytest.approx(5.0)
    np.testing.assert_allclose(found.moments[0].probabilities, HAPPY)
    np.testing.assert_allclose(found.moments[4].probabilities, (HAPPY + SAD) / 2)
    assert all(sum(moment.probabilities) == pytest.approx(1) for moment in found.moments)
    assert {moment.reason for moment in found.moments} == {""}


def test_boxes_are_those_of_every_frame() -> None:
    boxes = made(40).boxes
    assert boxes is not None
    assert boxes.index.tolist() == list(range(100, 140))
    np.testing.assert_allclose(boxes.seconds, 1 + np.arange(40) / 10)
    np.testing.assert_allclose(boxes.box, np.tile([0, 0, 75, 80], (40, 1)))


def test_nothing_is_said_where_no_class_is_probable_enough() -> None:
    found = made(20, unsure=0.85)
    assert {(moment.label, moment.reason) for moment in found.moments} == {(None, "unsure")}
    np.testing.assert_allclose(found.moments[0].probabilities, HAPPY)
    assert found.peaks == ()


def test_a_small_face_is_not_asked_about() -> None:
    found = made(20, side=40)
    assert {(one.probabilities, one.label, one.reason) for one in found.moments} == {(None, None, "too small")}
    assert made(20, side=50).moments[0].label == "happy"
    assert made(20, side=40, min_face=0).moments[0].label == "happy"


def test_a_face_that_comes_near_is_told_from_then_on() -> None:
    track = Answering(Settings(1.0, 1.0), LABELS, 32)
    for number in range(30):
        side = 20.0 if number < 10 else 100.0
        for window in track.add(number, number / 10, Box(0, 0, side, side), crop(number)):
            learn(track, window)
    for window in track.finish(0.1):
        learn(track, window)
    assert [moment.reason for moment in track.timeline(1).moments] == ["too small", "", ""]


def test_a_short_track_is_not_asked_about() -> None:
    found = made(4)
    assert [(one.probabilities, one.label, one.reason) for one in found.moments] == [(None, None, "too short")]
    assert (found.moments[0].start, found.moments[0].end) == pytest.approx((1.0, 1.4))
    assert made(4, min_seconds=0.4).moments[0].label == "happy"


def test_a_single_frame_lasts_as_long_as_it_is_shown() -> None:
    assert made(1).end == pytest.approx(1.1)
    assert made(1).moments[0].reason == "too short"
    assert made(1, min_seconds=0).moments[0].label == "happy"


def test_peaks_are_the_surest_moments_with_the_frames_of_their_window() -> None:
    found = made(40)
    happy, sad = found.peaks
    assert (happy.label, happy.start, happy.end, happy.confidence) == ("happy", 1.0, 1.5, pytest.approx(0.8))
    assert (sad.label, sad.start, sad.end, sad.confidence) == ("sad", 3.5, 4.0, pytest.approx(0.9))
    strip = np.asarray(Image.open(io.BytesIO(sad.strip)))
    assert strip.shape[0] == 72
    assert abs(int(strip[36, 36, 0]) - 20) <= 3, "the window from 3 s begins with frame 20"
    assert abs(int(strip[36, -36, 0]) - 29) <= 3


def test_a_peak_in_the_last_step_ends_with_the_track() -> None:
    (peak,) = made(7).peaks
    assert peak.end <= made(7).end == pytest.approx(1.7)


@pytest.mark.parametrize("smoothing", [0.0, 0.4])
def test_peaks_are_among_the_moments(smoothing: float) -> None:
    class Drawing(FaceTrack):
        def answer(self, window: Window) -> np.ndarray:
            return np.random.default_rng(window.first).dirichlet(np.full(3, 0.5))

    track = Drawing(Settings(1.0, 0.25, smoothing=smoothing), LABELS, 32)
    follow(track, 300)
    found = track.timeline(1)
    for label in LABELS:
        said = [moment for moment in found.moments if moment.label == label]
        surest = max(said, key=lambda moment: moment.confidence)
        (peak,) = [peak for peak in found.peaks if peak.label == label]
        assert (peak.start, peak.end, peak.confidence) == pytest.approx((surest.start, surest.end, surest.confidence))


def test_smoothing_reaches_the_neighbours() -> None:
    plain, smooth = made(40), made(40, smoothing=0.5)
    assert smooth.moments[3].probabilities[1] > plain.moments[3].probabilities[1]
    assert len(smooth.moments) == len(plain.moments)


def test_frames_are_those_that_the_transform_would_make() -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (61, 47, 3), dtype=np.uint8) for _ in range(6)]
    track = FaceTrack(Settings(None), LABELS, 32)
    for number, picture in enumerate(pictures):
        assert list(track.add(number, float(number), Box(0, 0, 99, 99), picture)) == []
    kept = track.frames.read(np.arange(6))
    np.testing.assert_array_equal(np.stack(kept).transpose(0, 3, 1, 2), resize(pictures, 32).numpy())


def test_frames_and_strips_held_do_not_grow() -> None:
    track = Answering(Settings(1.0, 0.5, smoothing=0.5), LABELS, 8)
    for number in range(3000):
        for window in track.add(number, number / 10, Box(0, 0, 99, 99), crop(number)):
            learn(track, window)
        assert len(track.frames) <= 12
        assert len(track._strips) <= 2 * (1 + 5 * 0.5 + 1)


@pytest.mark.parametrize(("settings", "words"), [
    ({"step": 0.0}, "step 0.0"),
    ({"step": float("nan")}, "step nan"),
    ({"window": 0.1}, "window 0.1"),
    ({"window": float("inf")}, "window inf"),
    ({"min_face": -1}, "min_face -1"),
    ({"min_seconds": float("nan")}, "min_seconds nan"),
    ({"unsure": 1.5}, "unsure 1.5"),
    ({"smoothing": -1.0}, "smoothing -1.0"),
])  # fmt: skip
def test_settings_without_sense_are_refused(settings: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Settings(**settings)  # type: ignore[arg-type]
