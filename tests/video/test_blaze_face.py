import logging
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import av
import numpy as np
import pytest

from dfer.errors import InputError
from dfer.video import blaze_face
from dfer.video.blaze_face import BlazeFace, inside, plausible, tiles
from dfer.video.detect import Box, Face, overlap
from dfer.video.images import Frame

SHORT, FULL = "blaze_face_short_range.tflite", "blaze_face_full_range_sparse.tflite"

pytest.importorskip("mediapipe", reason="the extra `face` is not installed")


def frames(path: Path, step: int = 1) -> list[Frame]:
    with av.open(str(path)) as container:
        shown = enumerate(container.decode(video=0))
        return [frame.to_ndarray(format="rgb24") for index, frame in shown if index % step == 0]


def same(one: list[Face], other: list[Face]) -> bool:
    return [face[:2] for face in one] == [face[:2] for face in other] and all(
        np.array_equal(a.eyes, b.eyes) for a, b in zip(one, other, strict=True)
    )


@pytest.fixture(scope="module")
def detector(test_data: Path) -> Iterator[BlazeFace]:
    with BlazeFace(test_data / "models" / SHORT) as one:
        yield one


@pytest.fixture(scope="module")
def single(test_data: Path) -> list[Frame]:
    return frames(test_data / "videos" / "single_face.mp4", step=6)


@pytest.mark.parametrize("model", [SHORT, FULL])
def test_one_face_in_videos_of_one_and_none_in_that_of_none(test_data: Path, model: str) -> None:
    with BlazeFace(test_data / "models" / model) as detector:
        for name in ("single_face", "WolfgangLanger_Pexels"):
            counts = [len(detector(frame)) for frame in frames(test_data / "videos" / f"{name}.mp4", step=4)]
            assert np.mean(np.array(counts) == 1) >= 0.95, name
            assert max(counts) == 1
        assert not any(detector(frame) for frame in frames(test_data / "videos" / "no_face.mp4"))


@pytest.mark.parametrize("model", [SHORT, FULL])
def test_two_faces_side_by_side(test_data: Path, single: list[Frame], model: str) -> None:
    others = frames(test_data / "videos" / "WolfgangLanger_Pexels.mp4", step=38)
    with BlazeFace(test_data / "models" / model) as detector:
        for one, other in zip(single, others):
            faces = detector(np.concatenate([one, other], axis=1))
            assert sorted(face.box.left < 640 for face in faces) == [False, True]
            assert faces[0].score >= faces[1].score >= 0.65


def test_tiles_find_what_the_whole_frame_shows_too_small(detector: BlazeFace, single: list[Frame]) -> None:
    wide = np.full((360, 1800, 3), 100, np.uint8)
    wide[:, 500:1140] = single[0]  # a face of 173 pixels: less than an eighth of 1800
    assert not detector._look(wide)
    (face,) = detector(wide)
    (alone,) = detector(single[0])
    np.testing.assert_allclose(face.eyes - (500, 0), alone.eyes, atol=5)
    (tall,) = detector(wide[:, 590:1000].repeat(1, axis=0))
    assert overlap(tall.box, Box(*(np.array(alone.box) - (90, 0, 90, 0)))) > 0.7


def test_eyes_are_left_of_the_picture_first_inside_the_box(detector: BlazeFace, single: list[Frame]) -> None:
    for frame in (single[0], np.ascontiguousarray(single[0][:, ::-1])):
        (face,) = detector(frame)
        (left, left_y), (right, right_y) = face.eyes.tolist()
        assert face.box.left < left < right < face.box.right
        assert face.box.top < min(left_y, right_y) < max(left_y, right_y) < face.box.bottom
        assert 0.3 < (right - left) / face.box.side < 0.6
        assert face.eyes.dtype == np.float64


def test_detecting_is_repeatable_in_threads_copies_and_forks(detector: BlazeFace, single: list[Frame]) -> None:
    first = [detector(frame) for frame in single[:3]]
    with ThreadPoolExecutor(3) as pool:
        for again in pool.map(lambda _: [detector(frame) for frame in single[:3]], range(3)):
            assert all(map(same, first, again))
    with pickle.loads(pickle.dumps(detector)) as copy:
        assert (copy.model, copy.min_score) == (detector.model, detector.min_score)
        assert all(same(one, copy(frame)) for one, frame in zip(first, single))


@pytest.mark.skipif(sys.platform == "win32", reason="nothing forks there")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_makes_a_graph_of_its_own(detector: BlazeFace, single: list[Frame]) -> None:
    first = detector(single[0])
    with get_context("fork").Pool(1, _hand_over, (detector,)) as pool:
        assert same(first, pool.apply_async(_detect, (single[0],)).get(timeout=60))


def _hand_over(detector: BlazeFace) -> None:
    global INHERITED
    INHERITED = detector


def _detect(frame: Frame) -> list[Face]:
    return INHERITED(frame)


@pytest.mark.parametrize("shape", [(1, 1), (2, 900), (900, 2), (37, 91), (128, 128)])
def test_odd_and_empty_pictures_hold_no_face(detector: BlazeFace, shape: tuple[int, int]) -> None:
    assert detector(np.zeros((*shape, 3), np.uint8)) == []


def test_a_view_of_a_frame_does(detector: BlazeFace, single: list[Frame]) -> None:
    mirrored = detector(single[0][:, ::-1])
    assert same(mirrored, detector(np.ascontiguousarray(single[0][:, ::-1])))


@pytest.mark.skipif(not hasattr(signal, "SIGPROF"), reason="no such signal there")
def test_profiling_ends_no_process_that_puts_its_signals_back(test_data: Path) -> None:
    code = f"""
import os, signal, sys
from pathlib import Path
from dfer.video import BlazeFace
before = BlazeFace(Path({str(test_data / "models" / FULL)!r}))
signal.signal(signal.SIGPROF, signal.getsignal(signal.SIGPROF))  # what Lightning does after training
os.kill(os.getpid(), signal.SIGPROF)
print("alive")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "alive\n")


@pytest.mark.parametrize("order", ["closed", "left"])
def test_nothing_is_said_on_stderr_nor_goes_wrong_at_the_end(test_data: Path, order: str) -> None:
    code = f"""
import sys
import numpy as np
from pathlib import Path
from dfer.video import BlazeFace
detector = BlazeFace(Path({str(test_data / "models" / FULL)!r}))
for size in (64, 300):
    detector(np.zeros((size, 500, 3), np.uint8))
if {order!r} == "closed":
    detector.close(); detector.close()
print("mine", file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "mine\n")


def test_a_closed_detector_says_so(test_data: Path) -> None:
    with BlazeFace(test_data / "models" / SHORT) as detector:
        pass
    with pytest.raises(ValueError, match="closed; make another"):
        detector(np.zeros((64, 64, 3), np.uint8))


def test_its_use_is_not_reported(test_data: Path) -> None:
    """MediaPipe sends a report over HTTPS, with the certificate authorities that its options name."""
    from mediapipe.tasks.python import BaseOptions

    options = blaze_face._unreported(BaseOptions(model_asset_buffer=b"model"))
    assert BaseOptions(model_asset_buffer=b"model").to_ctypes().ca_bundle_path != os.devnull.encode()
    assert options.to_ctypes().ca_bundle_path == os.devnull.encode()
    assert options.to_ctypes().model_asset_buffer == b"model"


def test_bad_models_are_refused_in_one_line(test_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = (test_data / "models" / SHORT).read_bytes()
    ways = r"; give its path with --detector-model PATH, or find faces with --detector cascade"
    for name, content, reason in (
        ("empty", b"", "is no BlazeFace model but something else"),
        ("text", b"no model at all", "is no BlazeFace model but something else"),
        ("cut", whole[: len(whole) // 2], "is no BlazeFace model that MediaPipe can run"),
        ("overwritten", whole[:60] + bytes(200) + whole[260:], "is no BlazeFace model that MediaPipe can run"),
    ):
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"{name}.tflite {reason}.*{ways}") as caught:
            BlazeFace(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"cannot read the face detector .*nowhere: No such file.*--detector-model"):
        BlazeFace(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"cannot read the face detector .*Is a directory"):
        BlazeFace(tmp_path)
    assert capfd.readouterr().err == ""
    with pytest.raises(ValueError, match=r"min_score 1\.5"):
        BlazeFace(test_data / "models" / SHORT, min_score=1.5)


def test_odd_names_of_models_are_read(test_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "a b'c\n%d é🙂.tflite"
    path.write_bytes((test_data / "models" / SHORT).read_bytes())
    BlazeFace(path).close()


def test_without_mediapipe_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(InputError, match=r"needs MediaPipe .*pip install 'dfer\[face\]', or .*--detector cascade"):
        BlazeFace()


def test_without_a_network_the_ways_on_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torch.hub

    def offline(*_: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    wanted = r"cannot fetch https://.*blaze_face_short_range.tflite \(Network is unreachable\); fetch it elsewhere and "
    with pytest.raises(InputError, match=wanted + r"give its path with --detector-model PATH, or .* cascade"):
        BlazeFace()


def test_the_model_is_fetched_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, test_data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import torch.hub

    def fetch(url: str, path: str) -> None:
        assert url == blaze_face.MODEL
        Path(path).write_bytes((test_data / "models" / SHORT).read_bytes())
        asked.append(url)

    asked: list[str] = []
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            BlazeFace().close()
    assert len(asked) == 1
    assert caplog.text.count("recorded SHA-256") == 1


@pytest.mark.parametrize(
    ("height", "width", "count"),
    [(360, 640, 3), (1080, 1920, 3), (640, 360, 3), (480, 640, 2), (360, 1280, 7), (800, 1920, 4), (100, 800, 15)],
)
def test_tiles_cover_the_frame_and_share_enough(height: int, width: int, count: int) -> None:
    squares = list(tiles(height, width))
    side = min(height, width)
    places = [left if width > height else top for top, left, _ in squares]
    assert len(squares) == count
    assert {square[2] for square in squares} == {side}
    assert (places[0], places[-1]) == (0, max(height, width) - side)
    assert min(side - step for step in np.diff(places)) >= min(0.16 * max(height, width), side / 2) - 1


@pytest.mark.parametrize(("height", "width"), [(500, 500), (1, 1), (2, 900), (900, 100)])
def test_squares_and_strips_have_no_tiles(height: int, width: int) -> None:
    assert not list(tiles(height, width))


def test_a_box_at_an_inner_edge_is_half_a_face() -> None:
    tile = (0, 140, 360, 360, 640)
    assert inside(Box(150, -20, 250, 400), *tile)  # beyond the frame's own edges
    assert not inside(Box(130, 10, 250, 100), *tile)
    assert not inside(Box(450, 10, 510, 100), *tile)


def points(lean: float = 0, apart: float = 0.4, down: float = 0.45, width: float = 100) -> np.ndarray:
    """Eyes, nose and mouth of a face in a box of that width, turned by some degrees."""
    level = np.array([(-apart / 2, 0), (apart / 2, 0), (0, down / 2), (0, down)]) * width
    turn = np.radians(lean)
    return level @ np.array([(np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn))]) + (300, 200)


@pytest.mark.parametrize("lean", [0, 30, -30, 44, -44])
def test_faces_that_lean_are_plausible(lean: float) -> None:
    assert plausible(points(lean), 100)
    assert plausible(points(lean, apart=0.2), 100)  # turned away
    assert plausible(7 * points(lean), 700)


@pytest.mark.parametrize(
    "odd",
    [
        points(50),
        points(-60),
        points(180),
        points(apart=0.1),
        points(apart=-0.4),  # the eyes changed over
        points(down=0.2),
        points(down=0.8),
        points(down=0),
        points()[[0, 3, 2, 1]],
    ],
)
def test_what_has_eyes_and_mouth_elsewhere_is_no_face(odd: np.ndarray) -> None:
    assert not plausible(odd, 100)
