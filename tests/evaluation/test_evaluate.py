"""``dfer evaluate``: what a run is worth."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, recall_score

from dfer.cli import main
from dfer.datasets.packed.command import cache
from dfer.errors import InputError
from dfer.evaluation import evaluate_run, pool
from dfer.models import checkpoint
from dfer.predictions import Predictions
from dfer.runs import RunFolder


def test_leaves_everything_behind(finished: RunFolder) -> None:
    for path in (finished.evaluation, finished.report, finished.predictions("test"), finished.predictions("held-out")):
        assert path.is_file()
    assert {path.stem for path in finished.figures.iterdir()} == {"confusion", "reliability", "curves", "loss"}


def test_equals_scikit_learn(finished: RunFolder) -> None:
    found = json.loads(finished.evaluation.read_text())
    saved = Predictions.load(finished.predictions("test"))
    guess = saved.logits.argmax(axis=1)
    assert found["metrics"]["war"] == pytest.approx(accuracy_score(saved.label, guess))
    assert found["metrics"]["uar"] == pytest.approx(recall_score(saved.label, guess, average="macro"))
    assert found["metrics"]["nll"] == pytest.approx(log_loss(saved.label, saved.probabilities(1.0), labels=range(3)))
    assert found["calibrated"]["nll"] == pytest.approx(log_loss(saved.label, saved.probabilities(), labels=range(3)))
    assert found["confusion"] == confusion_matrix(saved.label, guess).tolist()


def test_the_temperature_is_fitted_on_the_held_out_clips_and_kept(finished: RunFolder) -> None:
    found = json.loads(finished.evaluation.read_text())
    held_out = Predictions.load(finished.predictions("held-out"))
    assert held_out.row.tolist() == finished.read_manifest()["data"]["held_out_rows"]
    assert found["temperature"] == held_out.temperature == checkpoint.load(finished.checkpoint()).temperature
    assert found["temperature"] != 1.0


@pytest.mark.usefixtures("unreported")
def test_twice_gives_the_same(own_run: RunFolder) -> None:
    before = json.loads(own_run.evaluation.read_text())
    after = evaluate_run(own_run)
    assert after["metrics"] == before["metrics"]
    assert list(after["intervals"]["war"]) == before["intervals"]["war"]


@pytest.mark.usefixtures("unreported")
def test_it_says_what_test_clips_were_read_from(own_run: RunFolder, tmp_path: Path) -> None:
    before = json.loads(own_run.evaluation.read_text())
    assert before["reads"] == "originals"
    assert not any("read from" in note for note in before["notes"])
    manifest = own_run.read_manifest()
    arguments = manifest["data"]["description"]["args"]
    assert cache("folder", Path(arguments["root"]), size=32, out=tmp_path / "packed") == 0
    arguments["packed"] = str(tmp_path / "packed")
    own_run.write_manifest(manifest)
    after = evaluate_run(own_run)
    assert after["reads"] == "packed, 32 px, JPEG"
    assert after["notes"] == [*before["notes"], "test clips were read from: packed, 32 px, JPEG"]
    shutil.rmtree(tmp_path / "packed")
    assert evaluate_run(own_run)["reads"] == "originals"


@pytest.mark.usefixtures("unreported")
def test_data_that_moved_are_found(own_run: RunFolder, tmp_path: Path) -> None:
    old = Path(own_run.read_manifest()["data"]["description"]["args"]["root"])
    new = Path(shutil.copytree(old, tmp_path / "moved to ü"))
    before = json.loads(own_run.evaluation.read_text())
    manifest = own_run.read_manifest()
    manifest["data"]["description"]["args"]["root"] = str(tmp_path / "gone")
    own_run.write_manifest(manifest)
    with pytest.raises(InputError, match="gone"):
        evaluate_run(own_run)
    assert evaluate_run(own_run, data=new)["metrics"] == before["metrics"]


@pytest.mark.usefixtures("unreported")
def test_runs_pool_into_a_mean_and_a_summed_confusion(
    finished: RunFolder, own_run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(finished.path), str(own_run.path), "--json"]) == 0
    pooled = json.loads(capsys.readouterr().out)
    one = json.loads(finished.evaluation.read_text())
    assert pooled["metrics"]["war"] == pytest.approx(one["metrics"]["war"])
    assert pooled["std"]["war"] == pytest.approx(0)
    assert pooled["confusion"] == (2 * np.array(one["confusion"])).tolist()


def test_pooled_recall_skips_runs_without_the_class() -> None:
    base = {"metrics": dict.fromkeys(("war", "uar", "ece", "nll", "brier"), 0.5), "clips": 2, "labels": ["a", "b"]}
    base |= {"protocol": "held-out", "notes": []}
    runs = [
        {**base, "per_class": [1.0, float("nan")], "confusion": [[2, 0], [0, 0]]},
        {**base, "per_class": [0.0, 0.5], "confusion": [[0, 1], [0, 1]]},
    ]
    assert pool(runs)["per_class"] == [0.5, 0.5]


def test_other_labels_are_mapped_by_name(own_run: RunFolder, tmp_path: Path) -> None:
    clips = Path(own_run.read_manifest()["data"]["description"]["args"]["root"])
    other = Path(shutil.copytree(clips, tmp_path / "other"))
    for split in ("train", "test"):
        (other / split / "angry").rename(other / split / "contempt")
        (other / split / "sad").rename(other / split / "Sadness")
    found = evaluate_run(own_run, data=other)
    assert "contempt" in found["notes"][0]
    assert found["clips"] == 6
    assert sum(found["confusion"][2]) == 0
    assert any("no test clip shows angry" in note for note in found["notes"])


def test_wholly_other_labels_are_refused(own_run: RunFolder, tmp_path: Path) -> None:
    clips = Path(own_run.read_manifest()["data"]["description"]["args"]["root"])
    other = Path(shutil.copytree(clips, tmp_path / "other"))
    for split in ("train", "test"):
        for number, name in enumerate(("happy", "sad", "angry")):
            (other / split / name).rename(other / split / f"mood{number}")
    with pytest.raises(InputError, match=r"mood0.*none of the model's \(happy, sad, angry\)"):
        evaluate_run(own_run, data=other)


@pytest.mark.parametrize(
    ("damage", "wanted"),
    [
        (lambda run: run.manifest.unlink(), "is no run folder"),
        (lambda run: run.checkpoint().unlink(), "has no checkpoint yet"),
        (lambda run: run.checkpoint().write_bytes(b"x"), "copy both again"),
        (lambda run: run.checkpoint().with_suffix(".json").write_text("{"), "copy the checkpoint again"),
    ],
)
def test_a_damaged_run_is_one_line(
    own_run: RunFolder, damage: object, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(own_run)  # type: ignore[operator]
    assert main(["evaluate", str(own_run.path)]) == 2
    error = capsys.readouterr().err.strip()
    assert wanted in error
    assert len(error.splitlines()) == 1


def test_a_missing_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(tmp_path / "none")]) == 2
    assert "is no run folder" in capsys.readouterr().err
