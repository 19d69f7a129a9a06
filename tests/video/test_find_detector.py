import subprocess
import sys
from pathlib import Path

import pytest

from dfer.errors import InputError
from dfer.video.find_detector import find_detector


def test_each_name_makes_its_detector(test_data: Path) -> None:
    pytest.importorskip("mediapipe", reason="the extra `face` is not installed")
    model = test_data / "models" / "blaze_face_short_range.tflite"
    assert find_detector("cascade").name == "cascade"
    assert find_detector("whole_frame").name == "whole_frame"
    assert find_detector("blaze_face", model).name == "blaze_face"
    assert find_detector("auto", model).name == "blaze_face"


def test_auto_falls_back_to_the_cascade_and_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(model: Path | None = None) -> None:
        raise InputError("BlazeFace needs MediaPipe; pip install 'dfer[face]'")

    monkeypatch.setattr(sys.modules[find_detector.__module__], "BlazeFace", gone)
    assert find_detector().name == "cascade"
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "found by the cascade" in record.getMessage()
    assert "pip install 'dfer[face]'" in record.getMessage()
    assert "\n" not in record.getMessage()
    with pytest.raises(InputError, match="needs MediaPipe"):
        find_detector("blaze_face")


def test_auto_takes_blaze_face_where_it_can_be_had(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(
        sys.modules[find_detector.__module__], "BlazeFace", lambda model=None: type("Found", (), {"name": "blaze_face"})
    )
    assert find_detector().name == "blaze_face"
    assert not caplog.records


def test_a_bad_model_is_no_reason_for_another_detector(tmp_path: Path) -> None:
    pytest.importorskip("mediapipe", reason="the extra `face` is not installed")
    with pytest.raises(InputError, match="cannot read the face detector"):
        find_detector("auto", tmp_path / "gone.tflite")


def test_unknown_names_and_models_that_nobody_takes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no face detector 'yolo'; auto, blaze_face, cascade and whole_frame"):
        find_detector("yolo")  # type: ignore[arg-type]
    for name in ("cascade", "whole_frame"):
        with pytest.raises(InputError, match=f"{name} takes no model, but .*m.tflite is given"):
            find_detector(name, tmp_path / "m.tflite")  # type: ignore[arg-type]


def test_nothing_heavy_is_imported_before_a_detector_is_made() -> None:
    code = (
        "import sys, dfer.video; print([n for n in ('mediapipe', 'skimage', 'cv2', 'torch.hub') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() in ("[]", "['torch.hub']")


@pytest.mark.slow
def test_all_extras_live_together_in_one_process(test_data: Path) -> None:
    for name in ("mediapipe", "cv2", "onnxruntime", "openvino"):
        pytest.importorskip(name, reason=f"{name} is not installed; pip install 'dfer[dev]'")
    code = f"""
import cv2, mediapipe, onnxruntime, openvino, skimage, torch
import av, fastapi, onnx
from pathlib import Path
from dfer.video import find_detector
frame = next(av.open({str(test_data / "videos" / "single_face.mp4")!r}).decode(video=0)).to_ndarray(format="rgb24")
one, = find_detector("blaze_face", Path({str(test_data / "models" / "blaze_face_short_range.tflite")!r}))(frame)
other, = find_detector("cascade")(frame)
assert abs(one.eyes - other.eyes).max() < 15
assert torch.nn.functional.conv2d(torch.ones(1, 3, 8, 8), torch.ones(1, 3, 3, 3)).sum() == 27 * 36
assert cv2.resize(frame, (64, 36)).shape == (36, 64, 3)
print("found")
"""
    done = subprocess.run(
        [sys.executable, "-W", "error::ImportWarning", "-c", code], capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout) == (0, "found\n"), done.stderr
