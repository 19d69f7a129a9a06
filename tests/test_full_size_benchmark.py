"""The benchmark on a tree of full size, on a small one: every step of it works, the interruptions too."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "full_size.py"


@pytest.mark.slow
def test_a_tree_is_checked_packed_interrupted_and_gone_on_with(tmp_path: Path) -> None:
    root = tmp_path / "DFEW"
    command = [sys.executable, str(SCRIPT), str(root), "--clips", "80", "--size", "48", "--loads", "10"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    first, second = (int(found) for found in re.findall(r"(\d+) of 80 clips$", shown, re.MULTILINE))
    assert 26 <= first < second < 80
    assert float(re.findall(r"([\d.]+) of 255 levels", shown)[0]) < 4
    assert [line.rsplit("   ", 1)[1] for line in shown.splitlines() if line.startswith("training clips")] == [
        "originals",
        "packed, 48 px, JPEG",
        "packed, 48 px, raw",
    ]
    assert not (root / ".dfer" / "packed").exists()


@pytest.mark.slow
def test_data_that_are_not_drawn_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "DFEW" / ".dfer").mkdir(parents=True)
    done = subprocess.run([sys.executable, str(SCRIPT), str(tmp_path / "DFEW")], capture_output=True, text=True)
    assert done.returncode == 1
    assert "is not drawn; name a folder that does not exist" in done.stderr
    assert (tmp_path / "DFEW" / ".dfer").is_dir()
