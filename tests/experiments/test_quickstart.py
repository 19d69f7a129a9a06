"""``dfer quickstart``."""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dfer.cli import main
from dfer.experiments import quickstart as module


def test_something_else_in_the_folder_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    assert main(["quickstart", "--out", str(tmp_path)]) == 2
    assert "something else" in capsys.readouterr().err
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_an_earlier_quickstart_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "run.json").write_text(json.dumps({"recipe": module.RECIPE}))
    module._clear(out)
    assert not out.exists()


@pytest.mark.slow
def test_quickstart_keeps_its_promise(tmp_path: Path) -> None:
    """Under 5 minutes and 4 GB, WAR at least 0.80 on people it never saw; a fifth more time for a busy machine."""
    start = time.monotonic()
    environment = {"PATH": "/usr/bin:/bin", "DFER_CACHE": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "dfer.cli", "quickstart", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "report.html" in done.stdout
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert set(metrics) == {"war", "uar", "ece", "nll", "brier", "seconds"}
    assert metrics["war"] >= 0.80
    assert time.monotonic() - start < 360
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 4_000_000  # kB, the largest single process
    manifest = json.loads((tmp_path / "run" / "run.json").read_text())
    assert manifest["data"]["drawn"] is True
    assert "Trained on drawn faces" in (tmp_path / "run" / "report.html").read_text()
