"""Mixing costs a small part of loading."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_mixing_is_a_small_part_of_loading() -> None:
    script = Path(__file__).parents[1] / "benchmarks" / "mix.py"
    command = [sys.executable, str(script), "--clips", "16", "--json"]
    result = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert set(result["shares"]) == {"tam", "random", "frame", "videomix", "none"}
    assert max(result["shares"].values()) < 0.15
