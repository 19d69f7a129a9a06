"""A raw video from file to timeline: quicker than it plays, in bounded memory; looser by a fifth for a busy machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "video.py"


@pytest.mark.slow
def test_a_video_is_read_quicker_than_it_plays_in_bounded_memory(test_data: Path) -> None:
    model = test_data / "models" / "blaze_face_short_range.tflite"
    command = [sys.executable, str(SCRIPT), "--seconds", "6", "--rounds", "1", "--minutes", "1", "--json"]
    done = subprocess.run([*command, "--detector-model", str(model)], capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    assert result["detector"] == "blaze_face"
    assert set(result["real_time"]) == {"float32", "bfloat16", "onnx"}
    assert max(result["real_time"].values()) > 1 / 1.2
    assert 0 < result["share_of_detection"] + result["share_of_model"] < 1
    assert result["gigabytes"] < 1.5
