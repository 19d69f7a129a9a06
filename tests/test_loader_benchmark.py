"""The loader against Pillow per frame: the claim in the README, looser by a fifth for a busy machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_loader_is_faster_than_pillow_per_frame() -> None:
    script = Path(__file__).parents[1] / "benchmarks" / "loader.py"
    command = [sys.executable, str(script), "--clips", "8", "--json"]
    result = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert 12 < result["kilobytes_per_frame"] < 16
    assert sum(result["shares"].values()) == pytest.approx(1)
    assert result["ratio"] > 0.8 * 2.3
