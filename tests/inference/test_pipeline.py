"""From a video to its timeline: with made-up faces, and on real videos."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfer.datasets.synthetic.mark import DRAWN_GEOMETRY
from dfer.errors import InputError, ItemError
from dfer.inference import Pipeline
from dfer.notices import DRAWN
from dfer.types import InputSpec
from dfer.video import write_video
from dfer.video.crop import FaceGeometry
from dfer.video.detect import Box, Face
from dfer.video.whole_frame import WholeFrame

LABELS = ("happy", "sad", "angry")
DRAWN_DATA = {"data": {"drawn": True}}


class Brightness:
    """Says happy of bright clips, sad of dark ones; remembers what it was shown."""

    name = "brightness"
    input_spec = InputSpec(4, 16, LABELS)
    temperature = 2.0
    details: Mapping[str, Any] = {"class": "Brightness", "runtime": "numpy"}

    def __init__(self, about: Mapping[str, Any] = DRAWN_DATA, sampling: str = "segments") -> None:
        self.about = about
        self.sampling = sampling
        self.seen: list[np.ndarray] = []

    def logits(self, clip: np.ndarray) -> np.ndarray:
        assert clip.dtype == np.uint8
        assert clip.shape[1:] == (3, 4, 16, 16)
        self.seen.append(clip)
        light = clip.mean(axis=(1, 2, 3, 4)) / 255
        return np.stack([8 * light, 8 * (1 - light), np.zeros_like(light)], axis=1).astype(np.float32)


class Marked:
    """Finds a face wherever a square of 60 pixels has a red left edge."""

    name = "marked"

    def __call__(self, frame: np.ndarray) -> list[Face]:
        red = (frame[..., 0] > 150) & (frame[..., 1:].max(axis=2) < 100)
        columns = np.flatnonzero(red.sum(axis=0) > 30)
        lefts = [left for left in columns if left - 1 not in columns]
        return [self.face(left, np.flatnonzero(red[:, left])[0]) for left in lefts]

    def face(self, left: float, top: float, side: float = 60.0) -> Face:
        box = Box(float(left), float(top), left + side, top + side)
        return Face(box, 0.9, np.array([[left + 0.3 * side, top + 0.4 * side], [left + 0.7 * side, top + 0.4 * side]]))


def picture(*faces: tuple[int, int]) -> np.ndarray:
    """Draw faces at (left, brightness) on a grey ground."""
    frame = np.full((120, 320, 3), 60, np.uint8)
    for left, light in faces:
        frame[30:90, left : left + 60] = light
        frame[30:90, left : left + 4] = (220, 0, 0)
    return frame


@pytest.fixture
def film(tmp_path: Path) -> Callable[..., Path]:
    def write(*frames: np.ndarray, fps: float = 20.0, name: str = "film.mp4") -> Path:
        write_video(tmp_path / name, frames, fps)
        return tmp_path / name

    return write


def test_two_faces_two_timelines(film: Callable[..., Path]) -> None:
    bright, both = [picture((20, 230))] * 40, [picture((20, 230), (200, 10))] * 60
    found = Pipeline(Brightness(), Marked(), window=1.0)(film(*bright, *both))
    first, second = found.faces
    assert (found.video, found.width, found.height, found.frames) == ("film.mp4", 320, 120, 100)
    assert found.seconds == pytest.approx(5.0, abs=0.01)
    assert found.labels == LABELS
    assert (first.face, second.face) == (1, 2)
    assert (first.start, first.end) == pytest.approx((0.0, 5.0), abs=0.01)
    assert (second.start, second.end) == pytest.approx((2.0, 5.0), abs=0.2)
    assert {moment.label for moment in first.moments} == {"happy"}
    assert {moment.label for moment in second.moments} == {"sad"}
    assert [peak.label for peak in first.peaks] == ["happy"]
    assert found.empty == ()
    assert first.boxes is not None
    assert first.boxes.index.tolist() == list(range(100))
    assert np.abs(first.boxes.box[50] - [20, 30, 80, 90]).max() < 8


def test_probabilities_are_after_the_temperature(film: Callable[..., Path]) -> None:
    classifier = Brightness()
    found = Pipeline(classifier, WholeFrame(), window=None)(film(*[picture()] * 20))
    (face,) = found.faces
    logits = Brightness().logits(classifier.seen[0])[0] / 2.0
    np.testing.assert_allclose(face.moments[0].probabilities, np.exp(logits) / np.exp(logits).sum(), atol=1e-6)


def test_a_video_without_faces_says_no_face_and_nothing_else(film: Callable[..., Path]) -> None:
    classifier = Brightness()
    found = Pipeline(classifier, Marked())(film(*[np.zeros((64, 96, 3), np.uint8)] * 30))
    assert found.faces == ()
    assert found.empty == ((0.0, found.seconds),)
    assert found.seconds == pytest.approx(1.5, abs=0.01)
    assert classifier.seen == []


def test_stretches_without_a_face_are_told(film: Callable[..., Path]) -> None:
    nobody, face = [picture()] * 40, [picture((100, 200))] * 40
    found = Pipeline(Brightness(), Marked(), window=1.0)(film(*nobody, *face, *nobody))
    (one,) = found.faces
    assert [pytest.approx(stretch, abs=0.2) for stretch in found.empty] == [(0.0, 2.0), (4.0, 6.0)]
    assert found.empty == ((0.0, one.start), (one.end, found.seconds))


@pytest.mark.parametrize(("settings", "reason"), [({"min_face": 70}, "too small"), ({"min_seconds": 9.0}, "too short"),
                                                  ({"unsure": 0.99}, "unsure")])  # fmt: skip
def test_nothing_is_said_with_a_reason(film: Callable[..., Path], settings: dict[str, Any], reason: str) -> None:
    classifier = Brightness()
    (face,) = Pipeline(classifier, Marked(), window=1.0, **settings)(film(*[picture((20, 200))] * 40)).faces
    assert {(moment.label, moment.reason) for moment in face.moments} == {(None, reason)}
    assert bool(classifier.seen) == (reason == "unsure")
    assert face.peaks == ()


def test_batches_hold_windows_of_all_faces_and_change_nothing(film: Callable[..., Path]) -> None:
    video = film(*[picture((20, 230), (200, 10))] * 100)
    one, eight = Brightness(), Brightness()
    small, large = Pipeline(one, Marked(), batch_size=1)(video), Pipeline(eight, Marked(), batch_size=8)(video)
    assert {len(clip) for clip in one.seen} == {1}
    assert len(one.seen) == sum(map(len, eight.seen)) == 14
    assert len(eight.seen) == 2
    assert small == large


@pytest.mark.parametrize("sampling", ["segments", "random", "m3dfel"])
def test_the_same_video_gives_the_same_answer(film: Callable[..., Path], sampling: str) -> None:
    rng = np.random.default_rng(0)
    video = film(*[picture((20, int(rng.integers(256)))) for _ in range(60)])
    pipeline = Pipeline(Brightness(sampling=sampling), Marked(), window=1.0)
    assert pipeline(video).to_dict() == pipeline(video).to_dict()


def notes_of(data: Mapping[str, Any], **settings: Any) -> tuple[str, ...]:
    return Pipeline(Brightness({"data": data}), Marked(), **settings).notes


def test_a_model_of_drawn_faces_says_so_in_every_output(film: Callable[..., Path]) -> None:
    assert notes_of({"drawn": True}) == (DRAWN,)
    found = Pipeline(Brightness(), Marked())(film(*[picture()] * 10))
    assert DRAWN in found.notes
    assert DRAWN in json.loads(found.to_json())["notes"]


def test_faces_cut_out_otherwise_than_in_training_are_noted() -> None:
    geometry = FaceGeometry(64, 0.3, 0.4).to_dict()
    assert "not known" in notes_of({"drawn": False})[0]
    assert "not known" in Pipeline(Brightness({}), Marked()).notes[0]
    assert notes_of({"drawn": False}, geometry=FaceGeometry()) == ()
    assert notes_of({"drawn": False, "faces": {"geometry": geometry, "detector": "marked"}}) == ()
    (other,) = notes_of({"drawn": False, "faces": {"geometry": geometry, "detector": "cascade"}})
    assert "found with marked, those of the training data with cascade" in other


def test_whole_frames_are_noted() -> None:
    assert "whole" in Pipeline(Brightness({}), WholeFrame()).notes[0]


def test_faces_are_cut_out_as_the_training_data_were() -> None:
    about = {"data": {"faces": {"geometry": FaceGeometry(64, 0.3, 0.4).to_dict(), "detector": "marked"}}}
    assert Pipeline(Brightness(about), Marked()).geometry == FaceGeometry(64, 0.3, 0.4)
    assert Pipeline(Brightness(about), Marked(), geometry=FaceGeometry(32)).geometry == FaceGeometry(32)
    assert Pipeline(Brightness({"data": {"drawn": False}}), Marked()).geometry == FaceGeometry()
    assert Pipeline(Brightness({"data": {"drawn": True}}), Marked()).geometry == DRAWN_GEOMETRY


def test_a_damaged_geometry_is_refused() -> None:
    with pytest.raises(InputError, match="geometry of the faces is damaged"):
        Pipeline(Brightness({"data": {"faces": {"geometry": {"size": 64}}}}), Marked())


def test_the_timeline_says_what_it_was_made_with(film: Callable[..., Path]) -> None:
    pipeline = Pipeline(Brightness(), Marked(), window=1.0, step=0.25, unsure=0.5)
    found = pipeline(film(*[picture()] * 5)).model
    assert found == pipeline.model == json.loads(json.dumps(found))
    expected = {
        "name": "brightness", "class": "Brightness", "runtime": "numpy", "labels": list(LABELS), "temperature": 2.0,
        "window": 1.0, "step": 0.25, "unsure": 0.5, "min_face": 48, "min_seconds": 0.5, "smoothing": 0.0,
        "detector": "marked", "geometry": DRAWN_GEOMETRY.to_dict(), "sampling": "segments",
    }  # fmt: skip
    assert expected.items() <= found.items()
    assert found["dfer"]


def test_a_damaged_video_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 25, (100, 120, 320, 3))
    noisy = [np.clip(picture((20, 200)) + one, 0, 255).astype(np.uint8) for one in noise]
    whole = tmp_path / "whole.mkv"
    _encode_matroska(whole, noisy)
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) // 2])
    found = Pipeline(Brightness(), Marked(), window=1.0)(whole)
    assert any("damaged" in note for note in found.notes)
    assert 0 < found.seconds < 4.5
    assert len(found.faces) == 1


def _encode_matroska(path: Path, frames: list[np.ndarray]) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20)
        stream.height, stream.width, stream.pix_fmt = 120, 320, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def test_a_single_frame_is_no_ground_for_a_guess(film: Callable[..., Path]) -> None:
    classifier = Brightness()
    found = Pipeline(classifier, WholeFrame())(film(picture((20, 200))))
    assert found.frames == 1
    assert [moment.label for face in found.faces for moment in face.moments] in ([], [None])
    assert classifier.seen == []


def test_odd_videos_are_refused_in_a_line_or_told_as_far_as_they_go(odd_case: Any) -> None:
    pipeline = Pipeline(Brightness(), WholeFrame(), min_seconds=0, unsure=0.0)
    if odd_case.refused:
        with pytest.raises(ItemError, match=odd_case.refused) as caught:
            pipeline(odd_case.path)
        assert "\n" not in str(caught.value)
        return
    found = pipeline(odd_case.path)
    (face,) = found.faces
    assert face.start == 0.0
    assert 0 < found.seconds < 60
    assert face.moments[-1].end == face.end == found.seconds
    assert all(one.end == other.start for one, other in pairwise(face.moments))
    assert all(sum(moment.probabilities or ()) == pytest.approx(1) for moment in face.moments)
    damage = [note for note in found.notes if "damaged" in note]
    assert bool(damage) == bool(odd_case.damage)
    assert not odd_case.damage or re.search(odd_case.damage, damage[0])
    found.to_json().encode()
    found.to_csv().encode()


def test_a_model_that_gives_no_numbers_is_refused(film: Callable[..., Path]) -> None:
    class Broken(Brightness):
        def logits(self, clip: np.ndarray) -> np.ndarray:
            return super().logits(clip) * np.nan

    with pytest.raises(InputError, match="brightness gives no numbers"):
        Pipeline(Broken(), WholeFrame())(film(*[picture()] * 20))


def test_names_that_are_no_text_stay_writable(film: Callable[..., Path], tmp_path: Path) -> None:
    strange = tmp_path / "a\udcff \U0001f600\n%d.mp4"
    film(*[picture()] * 5).rename(strange)
    found = Pipeline(Brightness(), Marked())(strange)
    found.to_json().encode()
    assert found.video == "a\\udcff \U0001f600\n%d.mp4"


@pytest.mark.parametrize(("settings", "words"), [
    ({"batch_size": 0}, "batch_size 0"), ({"max_rate": 0.0}, "max_rate 0.0"), ({"step": -1.0}, "step -1.0"),
    ({"window": 0.0}, "window 0.0"),
])  # fmt: skip
def test_settings_without_sense_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Pipeline(Brightness(), Marked(), **settings)


def test_importing_the_room_is_quick() -> None:
    code = "import sys, dfer.inference; assert 'torch' not in sys.modules and 'av' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_three_lines_from_a_run_to_a_table(finished: Any, film: Callable[..., Path]) -> None:
    pipeline = Pipeline.load(finished.path, detector="whole_frame", device="cpu", window=None, unsure=0.0)
    timeline = pipeline(film(*[picture()] * 20))
    header, first, second = timeline.to_csv().splitlines()
    assert header == "face,start,end,label,confidence,reason,happy,sad,angry,note"
    assert first.startswith("1,0.0,0.5,")
    assert second.startswith("1,0.5,1.0,")
    assert timeline.model["window"] is None
    assert timeline.model["geometry"] is None
    assert timeline.model["class"] == "dfer.models.Recognizer"


def test_the_room_offers_what_it_says() -> None:
    import dfer.inference as room

    assert all(getattr(room, name) for name in room.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Pipe'"):
        room.Pipe  # noqa: B018


@pytest.fixture(scope="module")
def blaze_face(test_data: Path) -> Any:
    from dfer.video.blaze_face import BlazeFace

    with BlazeFace(test_data / "models" / "blaze_face_short_range.tflite") as detector:
        yield detector


def test_a_real_face_is_one_face(test_data: Path, blaze_face: Any) -> None:
    classifier = Brightness()
    found = Pipeline(classifier, blaze_face)(test_data / "videos" / "single_face.mp4")
    (face,) = found.faces
    assert face.frames >= 0.95 * found.frames
    assert found.empty == ()
    assert {moment.reason for moment in face.moments} <= {"", "unsure"}
    assert all(sum(moment.probabilities) == pytest.approx(1) for moment in face.moments if moment.probabilities)
    assert classifier.seen


def test_a_real_video_without_a_face_is_no_guess(test_data: Path, blaze_face: Any) -> None:
    classifier = Brightness()
    found = Pipeline(classifier, blaze_face)(test_data / "videos" / "no_face.mp4")
    assert found.faces == ()
    assert found.empty == ((0.0, found.seconds),)
    assert classifier.seen == []
    assert "probabilities" not in json.dumps(found.to_dict()["faces"])


def test_a_black_video_is_no_guess(film: Callable[..., Path], blaze_face: Any) -> None:
    found = Pipeline(Brightness(), blaze_face)(film(*[np.zeros((120, 160, 3), np.uint8)] * 30))
    assert (found.faces, found.empty) == ((), ((0.0, found.seconds),))
