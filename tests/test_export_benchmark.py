"""What an exported model gains must be what the benchmark says: every way there, none of them another model."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_an_exported_model_is_the_same_and_not_slow() -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("openvino")
    script = ROOT / "benchmarks" / "export.py"
    command = [sys.executable, str(script), "--json", "--seconds", "4", "--models", "R3D-18, quarter"]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    found = json.loads(done.stdout)["R3D-18, quarter"]
    eager, half, onnx, openvino = found
    assert (eager, half) == ("eager float32", "eager bfloat16")
    assert onnx.startswith("onnxruntime ")
    assert openvino.startswith("OpenVINO ")
    assert found[eager]["ratio"] == 1
    assert found[onnx]["difference"] < 1e-4
    assert found[openvino]["difference"] < 1e-4
    assert found[half]["difference"] > 1e-4
    assert found[openvino]["ratio"] > 0.5, found  # 1.6 on a quiet machine
