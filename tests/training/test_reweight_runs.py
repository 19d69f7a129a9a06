"""Runs with agreement-based reweighting: what they leave, going on after a stop, refusals."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
import yaml
from safetensors.torch import load_file

from dfer.cli import main
from dfer.errors import InputError
from dfer.reweight import AgreementReweighting
from dfer.runs import RunFolder
from dfer.training.callbacks import ResumeState
from dfer.training.configuration import configure
from dfer.training.module import Recognition
from dfer.types import Batch

Fit = Callable[..., RunFolder]
WINDOWS = ("--model.model.window", "1", "--model.loss.label_smoothing", "0.1")
REWEIGHT = (
    *("--model.reweight", "dfer.reweight.AgreementReweighting"),
    *("--model.reweight.warmup_epochs", "1"),
    *("--model.reweight.hard_fraction", "0.3"),
    *("--model.reweight.noisy_fraction", "0.2"),
)
ON = (*WINDOWS, *REWEIGHT)


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def last(run: RunFolder) -> dict[str, torch.Tensor]:
    return load_file(run.checkpoint("last"))


def same(a: RunFolder, b: RunFolder) -> bool:
    return all(torch.equal(value, last(b)[name]) for name, value in last(a).items())


def test_a_run_leaves_the_record_of_its_training_clips(trained: Fit) -> None:
    """27 clips train, 3 are held out: shares are of the 27."""
    run = trained(*ON)
    rows, epochs = rows_of(run.agreement), rows_of(run.metrics)
    assert list(rows[0]) == ["clip_id", "label", "agreement", "loss", "verdict"]
    held_out = set(run.read_manifest()["data"]["held_out_rows"])
    assert len({row["clip_id"] for row in rows}) == len(rows) == 27 == 30 - len(held_out)
    assert all(row["label"] in row["clip_id"] for row in rows)
    assert {float(row["agreement"]) for row in rows} <= {0.25, 0.5, 0.75, 1.0}
    state = torch.load(run.resume_state, weights_only=True)["reweight"]
    assert state["epochs"] == 3
    kept = [i for i in range(30) if i not in held_out]
    assert [float(row["loss"]) for row in rows] == pytest.approx(state["loss"][kept].tolist(), rel=1e-7)
    told = [row["verdict"] for row in rows]
    assert [["ordinary", "hard", "noisy"].index(name) for name in told] == state["verdict"][kept].tolist()
    assert told.count("noisy") == 5
    assert 0 < told.count("hard") <= 8
    assert float(epochs[-1]["train_hard"]) == pytest.approx(told.count("hard") / 27)
    assert float(epochs[-1]["train_noisy"]) == pytest.approx(5 / 27)
    mean = sum(float(row["agreement"]) for row in rows) / 27
    assert float(epochs[-1]["train_agreement"]) == pytest.approx(mean)


def test_during_warm_up_training_is_as_without(trained: Fit, fit: Fit) -> None:
    plain = trained(*WINDOWS)
    warm = fit("warm", *ON, "--model.reweight.warmup_epochs", "3")
    assert same(plain, warm)
    assert not same(plain, trained(*ON))
    assert {"hard", "noisy"} <= {row["verdict"] for row in rows_of(warm.agreement)}
    assert not plain.agreement.exists()
    assert "train_hard" not in rows_of(plain.metrics)[0]


def test_null_switches_it_off(trained: Fit, fit: Fit) -> None:
    assert same(trained(*WINDOWS), fit("off", *ON, "--model.reweight", "null"))


def test_a_recipe_names_it(options: list[str], tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    content = yaml.safe_load(configure([*options, *WINDOWS]).text)
    part = {"class_path": "dfer.reweight.AgreementReweighting", "init_args": {"warmup_epochs": 2, "scope": "batch"}}
    content["model"]["reweight"] = part
    recipe.write_text(yaml.safe_dump(content))
    found = configure([str(recipe)]).module.reweight
    assert isinstance(found, AgreementReweighting)
    assert (found.warmup_epochs, found.scope, found.hard_fraction) == (2, "batch", 0.2)
    other = configure([str(recipe), "--model.reweight.hard_fraction", "0.05"]).module.reweight
    assert other is not None
    assert other.hard_fraction == 0.05


def stop(patch: pytest.MonkeyPatch, where: str) -> None:
    """Stop in the second epoch: amid its steps, when its clips are ranked, or when its rows are written."""
    step, end, keep = Recognition.training_step, AgreementReweighting.end_epoch, ResumeState.on_train_epoch_end

    def stopping_step(self: Recognition, batch: Batch, batch_idx: int) -> torch.Tensor:
        if self.current_epoch == 1 and batch_idx == 2:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    def stopping_end(self: AgreementReweighting) -> None:
        end(self)
        if self.epochs == 2:
            raise KeyboardInterrupt

    def stopping_keep(self: ResumeState, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt
        keep(self, trainer, module)

    if where == "step":
        patch.setattr(Recognition, "training_step", stopping_step)
    elif where == "ranks":
        patch.setattr(AgreementReweighting, "end_epoch", stopping_end)
    else:
        patch.setattr(ResumeState, "on_train_epoch_end", stopping_keep)


SAM = (
    *("--model.optimizer", "dfer.optim.SAM"),
    *("--model.optimizer.rho", "0.1"),
    *("--model.optimizer.base_optimizer", "torch.optim.AdamW"),
    *("--model.optimizer.base_optimizer.lr", "1e-3"),
)


@pytest.mark.parametrize(
    ("more", "places"),
    [
        ((), ("step", "ranks", "state")),
        (("--model.reweight.scope", "batch"), ("step",)),
        (("--data.weighted", "true", *SAM), ("step",)),
    ],
    ids=["dataset", "batch", "sam, drawn with replacement"],
)
def test_resume_is_exact(trained: Fit, fit: Fit, more: tuple[str, ...], places: tuple[str, ...]) -> None:
    more = (*ON, *more)
    whole = trained(*more)
    for where in places:
        with pytest.MonkeyPatch.context() as patch:
            stop(patch, where)
            with pytest.raises(KeyboardInterrupt):
                fit(where, *more)
        resumed = fit(where, *more, resume=True)
        assert same(whole, resumed)
        assert resumed.agreement.read_text() == whole.agreement.read_text()
        strip = [[{**row, "seconds": ""} for row in rows_of(run.metrics)] for run in (whole, resumed)]
        assert strip[0] == strip[1]


def test_resume_without_the_record_is_not_exact(trained: Fit, fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test above: it can fail."""
    with pytest.MonkeyPatch.context() as patch:
        stop(patch, "step")
        with pytest.raises(KeyboardInterrupt):
            fit("stopped", *ON)
    monkeypatch.setattr(Recognition, "on_load_checkpoint", lambda self, checkpoint: None)
    assert not same(trained(*ON), fit("stopped", *ON, resume=True))


@pytest.mark.parametrize("rank_by", ["agreement", "loss"])
@pytest.mark.parametrize("fractions", [("0.3", "0"), ("0", "0.2")])
def test_ranks_of_table_iv_are_options(fit: Fit, rank_by: str, fractions: tuple[str, str]) -> None:
    hard, noisy = fractions
    options = ["--model.reweight.hard_fraction", hard, "--model.reweight.noisy_fraction", noisy]
    run = fit("a", *ON, "--model.reweight.rank_by", rank_by, *options, "--trainer.max_epochs", "2")
    told = [row["verdict"] for row in rows_of(run.agreement)]
    assert ("hard" in told) == (hard != "0")
    assert ("noisy" in told) == (noisy != "0")


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (("--model.reweight.hard_fraction", "1.5"), "hard_fraction 1.5 is not in [0, 1]"),
        (("--model.reweight.noisy_fraction", "0.8"), "hard_fraction 0.3 and noisy_fraction 0.8 add to more than 1"),
        (("--model.reweight.hard_weight", "-1"), "hard_weight -1.0 must be finite and not negative"),
        (("--model.reweight.warmup_epochs", "-2"), "warmup_epochs -2 must not be negative"),
        (("--model.reweight.rank_by", "margin"), "margin"),
        (("--model.reweight.scope", "epoch"), "epoch"),
        (("--model.reweight.num_samples", "12"), "a training set of 30 clips, where num_samples is 12"),
        (("--model.model.window", "null"), "Recognizer gives no clip_logits"),
    ],
)
def test_refused_in_one_line_before_a_run_folder_is_made(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: tuple[str, str], line: str
) -> None:
    assert main(["train", *options, *ON, *wrong, "--out", str(tmp_path / "a")]) == 2
    (error,) = (said for said in capsys.readouterr().err.splitlines() if not said.startswith("the data has 3 labels"))
    assert line in error
    assert len(error) < 250
    assert not (tmp_path / "a" / "run.json").exists()
    assert not (tmp_path / "a" / "config.yaml").exists()


def test_the_refusal_says_what_to_do_and_it_helps(options: list[str], fit: Fit) -> None:
    with pytest.raises(InputError, match=r"--model\.model\.window 4 .* --model\.reweight null"):
        fit("a", *REWEIGHT)
    fit("b", *REWEIGHT, "--model.model.window", "4", "--trainer.max_epochs", "1")
    fit("c", *REWEIGHT, "--model.reweight", "null", "--trainer.max_epochs", "1")


def test_another_setting_is_refused_on_resume(fit: Fit) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop(patch, "step")
        with pytest.raises(KeyboardInterrupt):
            fit("a", *ON)
    with pytest.raises(InputError, match=r"model\.reweight\.init_args\.hard_weight was 1\.5, now 2\.0"):
        fit("a", *ON, "--model.reweight.hard_weight", "2.0", resume=True)
    with pytest.raises(InputError, match=r"model\.reweight"):
        fit("a", *ON, "--model.reweight", "null", resume=True)


def test_the_whole_configuration_is_kept(fit: Fit) -> None:
    run = fit("a", *ON, "--trainer.max_epochs", "1")
    kept = yaml.safe_load(run.config.read_text())["model"]["reweight"]
    assert kept["class_path"] == "dfer.reweight.AgreementReweighting"
    assert kept["init_args"]["hard_fraction"] == 0.3
    assert json.loads(run.manifest.read_text())["state"] == "finished"
