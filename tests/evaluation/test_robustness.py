"""A run on damaged clips."""

import json
from pathlib import Path

import numpy as np
import pytest

from dfer.cli import main
from dfer.errors import InputError
from dfer.evaluation.robustness import asked_for, corrupted, named, robustness
from dfer.metrics import evaluate
from dfer.models import checkpoint
from dfer.predictions import Predictions
from dfer.runs import RunFolder


def test_predictions_of_damaged_clips_are_saved_beside_the_clean_ones(own_run: RunFolder) -> None:
    (damage,) = asked_for(["gaussian_noise"], 5)
    found = corrupted(own_run, damage)
    saved = Predictions.load(own_run.predictions("test-gaussian_noise-5"))
    clean = Predictions.load(own_run.predictions("test"))
    np.testing.assert_array_equal(saved.logits, found.logits)
    assert saved.clip_id.tolist() == clean.clip_id.tolist()
    assert np.abs(saved.logits - clean.logits).max() > 1e-3
    assert saved.temperature == checkpoint.load(own_run.checkpoint("best")).temperature
    assert (saved.about["corruption"], saved.about["severity"]) == ("gaussian_noise", 5)


def test_neither_workers_nor_batches_change_the_damage(own_run: RunFolder) -> None:
    (damage,) = asked_for(["frame_drop"], 4)
    one = corrupted(own_run, damage, batch_size=3, workers=2)
    np.testing.assert_allclose(one.logits, corrupted(own_run, damage, batch_size=32).logits, atol=1e-5)


def test_figures_are_measured_and_kept(own_run: RunFolder) -> None:
    robustness(own_run, asked_for(["frame_drop"], 3))
    found = robustness(own_run, asked_for(["gaussian_noise"], 3))
    assert list(found) == ["clean", "frame_drop 3", "gaussian_noise 3"]
    assert json.loads((own_run.path / "robustness.json").read_text()) == found
    clean = json.loads(own_run.evaluation.read_text())["metrics"]
    assert found["clean"] == pytest.approx(clean)
    noisy = Predictions.load(own_run.predictions("test-gaussian_noise-3"))
    assert found["gaussian_noise 3"]["war"] == evaluate(noisy.probabilities(1.0), noisy.label)["war"]


def test_figures_of_another_checkpoint_are_dropped(own_run: RunFolder) -> None:
    robustness(own_run, asked_for(["frame_drop"], 3))
    path = own_run.path / "robustness.json"
    path.write_text(path.read_text().replace('"nll": ', '"nll": 1'))
    assert list(robustness(own_run, asked_for(["gaussian_noise"], 3))) == ["clean", "gaussian_noise 3"]


def test_the_command_measures_and_leaves_clean_figures_alone(
    own_run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    before = own_run.evaluation.stat().st_mtime_ns
    assert main(["evaluate", str(own_run.path), "--corrupt", "all", "--severity", "2"]) == 0
    shown = capsys.readouterr().out
    assert "gaussian_noise 2" in shown
    assert "frame_drop 2" in shown
    assert own_run.evaluation.stat().st_mtime_ns == before
    assert main(["evaluate", str(own_run.path), "--corrupt", "frame_drop", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "frame_drop 3" in found["robustness"][str(own_run.path)]
    assert found["metrics"]["war"] == found["robustness"][str(own_run.path)]["clean"]["war"]


def test_a_run_that_was_never_evaluated_is_evaluated_first(own_run: RunFolder) -> None:
    own_run.evaluation.unlink()
    own_run.predictions("test").unlink()
    assert main(["evaluate", str(own_run.path), "--corrupt", "frame_drop"]) == 0
    assert own_run.evaluation.is_file()
    assert own_run.predictions("test-frame_drop-3").is_file()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--corrupt", "frame_drp"], "did you mean frame_drop"),
        (["--corrupt", "frame_drop", "--severity", "9"], "severity 9"),
    ],
)
def test_a_bad_corruption_is_one_line_before_anything_is_done(
    options: list[str], said: str, own_run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    own_run.evaluation.unlink()
    assert main(["evaluate", str(own_run.path), *options]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line
    assert not own_run.evaluation.exists()


def test_a_damaged_file_is_one_line(own_run: RunFolder) -> None:
    (own_run.path / "robustness.json").write_text("{")
    with pytest.raises(InputError, match=r"robustness\.json is no JSON"):
        robustness(own_run, asked_for(["frame_drop"], 3))


def test_names_of_predictions_say_the_damage() -> None:
    assert [named(one) for one in ("test", "test-uar", "held-out")] == [None, None, None]
    for bad in ("test-noise", "test-frame_drop-x", "test-frame_drop"):
        with pytest.raises(InputError):
            named(bad)


def test_data_that_are_gone_are_one_line(own_run: RunFolder, tmp_path: Path) -> None:
    manifest = own_run.read_manifest()
    manifest["data"]["description"]["args"]["root"] = str(tmp_path / "gone")
    own_run.write_manifest(manifest)
    with pytest.raises(InputError, match="gone"):
        corrupted(own_run, asked_for(["frame_drop"], 3)[0])
