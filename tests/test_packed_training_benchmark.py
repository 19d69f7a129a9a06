"""The benchmark of training from packed copies: it compares what it says that it compares."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_each_way_reads_what_it_says() -> None:
    script = Path(__file__).parents[1] / "benchmarks" / "packed_training.py"
    command = [sys.executable, str(script), "--clips", "40", "--workers", "0", "--rounds", "1", "--json"]
    command += ["--model", "R3D-18 of a sixteenth"]
    (found,) = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert [run["reads"] for run in found["runs"]] == ["originals", "packed, 54 px, JPEG", "packed, 54 px, raw"]
    first = found["runs"][0]["seconds"]
    for run in found["runs"]:
        assert len(run["seconds"]) == 2
        assert run["gains"] == pytest.approx([one / two for one, two in zip(first, run["seconds"])])
