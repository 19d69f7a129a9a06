"""A dense clip at 1.6 times the memory of 16 plain frames, on a smaller network, where it weighs more."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is Linux's")
def test_dense_clip_costs_little_memory() -> None:
    script = Path(__file__).parents[1] / "benchmarks" / "rdfer_memory.py"
    command = [sys.executable, str(script), "--backbone", "resnet18", "--batch", "2", "--json"]
    result = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert result["ratio"] == pytest.approx(result["dense_mb"] / result["plain_mb"])
    assert result["plain_mb"] > 200  # ResNet-18's activations for 32 frames; the peak is that of the step
    assert 1 < result["ratio"] < 1.6, result  # all 64 frames through the network: 3.0
