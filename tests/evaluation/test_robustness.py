"""A run on damaged clips."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dfer.cli import main
from dfer.errors import InputError
from dfer.evaluation import evaluate_run
from dfer.evaluation.robustness import asked_for, corrupted, named, robustness, up_to_date
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


def other_weights(run: RunFolder, name: str = "best") -> None:
    """Train on, so to say."""
    loaded = checkpoint.load(run.checkpoint())
    loaded.model.classifier.weight.data.neg_()  # type: ignore[union-attr, operator]
    checkpoint.save(loaded.model, run.checkpoint(name), config=loaded.config, about={})


@pytest.mark.usefixtures("unreported")
def test_after_more_training_everything_is_predicted_anew(own_run: RunFolder) -> None:
    command = ["evaluate", str(own_run.path), "--corrupt", "frame_drop"]
    assert main([*command, "--severity", "1"]) == 0
    assert up_to_date(own_run, "test-frame_drop-1")
    before = json.loads(own_run.evaluation.read_text())["metrics"]
    other_weights(own_run)
    assert not up_to_date(own_run, "test")
    assert not up_to_date(own_run, "test-frame_drop-1")
    assert main(command) == 0
    assert json.loads(own_run.evaluation.read_text())["metrics"] != before
    assert list(json.loads((own_run.path / "robustness.json").read_text())) == ["clean", "frame_drop 3"]
    assert up_to_date(own_run, "test")
    assert up_to_date(own_run, "test-frame_drop-3")
    assert not up_to_date(own_run, "test-frame_drop-1")


def test_predictions_that_are_missing_or_damaged_are_not_up_to_date(own_run: RunFolder) -> None:
    assert not up_to_date(own_run, "test-frame_drop-1")
    own_run.predictions("test-frame_drop-1").write_bytes(b"x")
    assert not up_to_date(own_run, "test-frame_drop-1")


@pytest.mark.usefixtures("unreported")
def test_the_papers_protocol_damages_clips_for_the_best_epoch_by_uar_too(fit: Callable[..., RunFolder]) -> None:
    paper_run = fit("paper", "--data.protocol", "paper", "--trainer.max_epochs", "2")
    other_weights(paper_run, "best-uar")
    evaluate_run(paper_run)
    found = robustness(paper_run, asked_for(["frame_drop"], 3))
    assert found["clean"] == pytest.approx(json.loads(paper_run.evaluation.read_text())["metrics"])
    by_war, by_uar = (Predictions.load(paper_run.predictions(f"{kind}-frame_drop-3")) for kind in ("test", "test-uar"))
    assert found["frame_drop 3"]["war"] == evaluate(by_war.probabilities(1.0), by_war.label)["war"]
    assert found["frame_drop 3"]["uar"] == evaluate(by_uar.probabilities(1.0), by_uar.label)["uar"]
    assert np.abs(by_war.logits - by_uar.logits).max() > 1e-3


def moved(run: RunFolder, to: Path) -> Path:
    old = Path(run.read_manifest()["data"]["description"]["args"]["root"])
    return Path(shutil.copytree(old, to))


def test_data_that_moved_are_found(own_run: RunFolder, tmp_path: Path) -> None:
    (damage,) = asked_for(["gaussian_noise"], 3)
    here = corrupted(own_run, damage)
    there = corrupted(own_run, damage, data=moved(own_run, tmp_path / "moved"))
    np.testing.assert_array_equal(here.logits, there.logits)


@pytest.mark.usefixtures("unreported")
def test_labels_that_the_model_does_not_know_are_left_out(own_run: RunFolder, tmp_path: Path) -> None:
    other = moved(own_run, tmp_path / "other")
    for split in ("train", "test"):
        (other / split / "angry").rename(other / split / "contempt")
        (other / split / "sad").rename(other / split / "Sadness")
    with pytest.raises(InputError, match=r"on other clips.*without --corrupt"):
        robustness(own_run, asked_for(["frame_drop"], 3), data=other)
    assert not own_run.predictions("test-frame_drop-3").exists()
    evaluate_run(own_run, data=other)
    robustness(own_run, asked_for(["frame_drop"], 3), data=other)
    clean, damaged = (Predictions.load(own_run.predictions(name)) for name in ("test", "test-frame_drop-3"))
    assert len(damaged) == 6
    assert damaged.clip_id.tolist() == clean.clip_id.tolist()
    assert damaged.label.tolist() == clean.label.tolist()
    assert damaged.labels == ("happy", "sad", "angry")


@pytest.mark.usefixtures("unreported")
def test_json_is_json_where_a_class_has_no_clip(
    own_run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = moved(own_run, tmp_path / "other")
    for split in ("train", "test"):
        (other / split / "angry").rename(other / split / "contempt")
    command = ["evaluate", str(own_run.path), "--data", str(other), "--json"]
    for more in ([], ["--corrupt", "frame_drop"]):
        assert main([*command, *more]) == 0
        found = json.loads(capsys.readouterr().out, parse_constant=lambda text: pytest.fail(text))
        assert found["per_class"][2] is None


def test_figures_of_another_checkpoint_are_dropped(own_run: RunFolder) -> None:
    robustness(own_run, asked_for(["frame_drop"], 3))
    path = own_run.path / "robustness.json"
    path.write_text(path.read_text().replace('"nll": ', '"nll": 1'))
    assert list(robustness(own_run, asked_for(["gaussian_noise"], 3))) == ["clean", "gaussian_noise 3"]


def test_the_command_measures_and_leaves_clean_figures_alone(
    own_run: RunFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = own_run.evaluation.stat().st_mtime_ns
    monkeypatch.setattr("dfer.evaluation.evaluate.predict", lambda *_, **__: pytest.fail("clean clips were read"))
    for severity, names in ((2, ["all"]), (4, ["gaussian_noise", "frame_drop"])):
        asked = [part for name in names for part in ("--corrupt", name)]
        assert main(["evaluate", str(own_run.path), *asked, "--severity", str(severity)]) == 0
        shown = capsys.readouterr().out
        for one in ("WAR", "UAR", "ECE", "clean", f"gaussian_noise {severity}", f"frame_drop {severity}"):
            assert one in shown
    assert own_run.evaluation.stat().st_mtime_ns == before
    assert main(["evaluate", str(own_run.path), "--corrupt", "frame_drop", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "frame_drop 3" in found["robustness"][str(own_run.path)]
    assert found["metrics"]["war"] == found["robustness"][str(own_run.path)]["clean"]["war"]


@pytest.mark.usefixtures("unreported")
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
        (["--corrupt", "all", "--corrupt", "frame_drp"], "did you mean frame_drop"),
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


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("robustness.json", "{", "is no JSON"),
        ("robustness.json", "[]", "holds no table; delete it"),
        ("evaluation.json", "{", "is no JSON"),
        ("evaluation.json", "{}", "holds no figures"),
        ("evaluation.json", "[]", "holds no figures"),
    ],
)
def test_a_damaged_file_is_one_line(
    file: str, text: str, said: str, own_run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_run.path / file).write_text(text)
    assert main(["evaluate", str(own_run.path), "--corrupt", "frame_drop"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert file in line
    assert said in line


def test_names_of_predictions_say_the_damage() -> None:
    assert [named(one) for one in ("test", "test-uar", "held-out")] == [None, None, None]
    for damage in asked_for(["all"], 2):
        found = named(f"test-{damage.name}-2")
        assert found is not None
        assert (found.name, found.severity) == (damage.name, 2)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("test-noise", "no corruption 'noise'"),
        ("test-frame_drop-x", "severity x"),
        ("test-frame_drop-6", "severity 6"),
        ("test-frame_drop", "did you mean test-frame_drop-3"),
        ("test-frame_drop-03", "did you mean test-frame_drop-3"),
        ("test-", "no predictions 'test-'"),
        ("tset", "no predictions 'tset'; test, test-uar, held-out or"),
        ("train-frame_drop-3", "no predictions 'train-frame_drop-3'"),
        ("", "no predictions ''"),
    ],
)
def test_names_that_no_predictions_have_are_refused(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        named(name)


def test_data_that_are_gone_are_one_line(own_run: RunFolder, tmp_path: Path) -> None:
    manifest = own_run.read_manifest()
    manifest["data"]["description"]["args"]["root"] = str(tmp_path / "gone")
    own_run.write_manifest(manifest)
    with pytest.raises(InputError, match="gone"):
        corrupted(own_run, asked_for(["frame_drop"], 3)[0])
