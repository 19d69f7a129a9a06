"""The benchmark of training from packed copies: it compares what it says that it compares."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_each_way_reads_what_it_says() -> None:
    script = Path(__file__).parents[1] / "benchmarks" / "packed_training.py"
    command = [sys.executable, str(script), "--clips", "40", "--workers", "0", "--json"]
    command += ["--model", "R3D-18 of a sixteenth"]
    (found,) = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert [run["reads"] for run in found["runs"]] == ["originals", "packed, 54 px, JPEG", "packed, 54 px, raw"]
    assert all(len(run["seconds"]) == 2 and min(run["seconds"]) > 0 for run in found["runs"])
    for run in found["runs"]:
        assert run["gain_2"] == pytest.approx(found["runs"][0]["seconds"][1] / run["seconds"][1])
