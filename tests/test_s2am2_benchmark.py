"""S2AM2 against nn.LSTM: at most twice its time, looser by a fifth for a busy machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_s2am2_takes_at_most_twice_the_time_of_an_lstm() -> None:
    script = Path(__file__).parents[1] / "benchmarks" / "s2am2.py"
    results = json.loads(
        subprocess.run([sys.executable, str(script), "--json"], capture_output=True, check=True).stdout
    )
    sizes = {(row["directions"], row["batch"], row["steps"]) for row in results}
    assert sizes == {(d, b, t) for d in (1, 2) for b in (1, 32) for t in (7, 16)}
    for row in results:
        assert row["ratio"] == pytest.approx(row["s2am2_ms"] / row["lstm_ms"], rel=0.5)
        assert row["ratio"] < 1.2 * 2.0, row
