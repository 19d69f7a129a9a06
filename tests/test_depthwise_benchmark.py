"""Depthwise convolutions of our own must earn their place."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_step_of_x3d_is_faster_than_with_torchs_convolutions() -> None:
    script = Path(__file__).parents[1] / "benchmarks" / "depthwise.py"
    command = [sys.executable, str(script), "--json", "--rounds", "3", "--width", "0.5"]
    result = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert result["float32"]["ratio"] > 1.2, result
    assert result["bfloat16"]["ratio"] > 2, result
