"""DAM against X3D-M: at most 1 % of its time after stage 4, 3 % after 3 and 4, looser by a fifth for a busy machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_dam_costs_little_of_x3d() -> None:
    script = Path(__file__).parents[1] / "benchmarks" / "dam.py"
    results = json.loads(
        subprocess.run([sys.executable, str(script), "--json"], capture_output=True, check=True).stdout
    )
    shares = {row["stages"]: row["share"] for row in results}
    assert set(shares) == {"1", "2", "3", "4", "3+4"}
    for row in results:
        assert row["share"] == pytest.approx(row["dam_ms"] / row["x3d_ms"], rel=0.5)
    assert shares["4"] < 1.2 * 0.01
    assert shares["3+4"] < 1.2 * 0.03
