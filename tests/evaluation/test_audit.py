"""The label audit: ``dfer audit``."""

import json
from pathlib import Path

import pandas as pd
import pytest

from dfer.cli import main
from dfer.runs import RunFolder

COLUMNS = ["clip_id", "label", "prediction", "probability", "agreement", "loss", "verdict", "held_out"]


def test_the_command_says_what_to_look_at(own_parted: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(own_parted.path), "--top", "4"]) == 0
    shown = capsys.readouterr().out
    assert "30 training clips" in shown
    assert "3 noisy (10.0 %)" in shown
    first = pd.read_csv(own_parted.audit)["clip_id"].tolist()
    assert [word for word in shown.split() if word in first] == first[:10]
    assert str(own_parted.audit) in shown
    page = own_parted.audit_page.read_text()
    assert all(f"clip {clip}" in page for clip in first[:4])
    assert main(["agreement", str(own_parted.path), "--split", "train", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["proportion"][-1]["Sum"] == 30


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--hard-fraction", "1.2"], "hard_fraction 1.2"),
        (["--noisy-fraction", "-0.1"], "noisy_fraction -0.1"),
        (["--hard-fraction", "0.6", "--noisy-fraction", "0.5"], "0.6 and noisy_fraction 0.5 add to more than 1"),
        (["--top", "0"], "--top 0"),
        (["--batch-size", "0"], "--batch-size 0 must be at least 1"),
        (["--workers=-1"], "--workers -1 at least 0"),
        (["--format", "csv"], "--truth"),
    ],
)
def test_bad_options_are_one_line_before_anything_is_done(
    options: list[str], said: str, own_parted: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", str(own_parted.path), *options]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line
    assert not own_parted.audit.exists()


@pytest.mark.parametrize(("state", "said"), [("finished", False), ("running", True), ("interrupted", True)])
def test_a_run_that_is_not_over_says_so(
    state: str, said: bool, own_parted: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    own_parted.write_manifest({**own_parted.read_manifest(), "state": state})
    assert main(["audit", str(own_parted.path), "--top", "1"]) == 0
    assert (f"training is not over (state: {state})" in capsys.readouterr().out) is said


def test_a_model_without_clip_predictions_is_refused(own_run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(own_run.path)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "Recognizer predicts whole videos only" in line
    assert "RDFER, M3DFEL, SAFE" in line
    assert not own_run.predictions("train").exists()


def test_runs_that_cannot_be_read_are_one_line(
    own_parted: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", str(tmp_path / "nowhere")]) == 2
    assert "nowhere is no run folder" in capsys.readouterr().err
    manifest = own_parted.read_manifest()
    manifest["data"]["description"]["args"]["root"] = str(tmp_path / "gone")
    own_parted.write_manifest(manifest)
    assert main(["audit", str(own_parted.path)]) == 2
    assert "gone" in capsys.readouterr().err
    own_parted.checkpoint().unlink()
    assert main(["audit", str(own_parted.path)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "no checkpoint yet" in line
