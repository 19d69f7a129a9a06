"""Runs with SAM and with distribution-aware scaling: their tables, going on after a stop, refusals."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dfer.cli import main
from dfer.errors import ItemError
from dfer.models import checkpoint
from dfer.optim import SAM
from dfer.runs import RunFolder
from dfer.training.callbacks import ResumeState
from dfer.training.configuration import configure
from dfer.training.module import Recognition
from dfer.types import Batch, Output

Fit = Callable[..., RunFolder]
SAM_OPTIONS = (
    *("--model.optimizer", "dfer.optim.SAM"),
    *("--model.optimizer.rho", "0.1"),
    *("--model.optimizer.base_optimizer", "torch.optim.AdamW"),
    *("--model.optimizer.base_optimizer.lr", "1e-3"),
)
DSM_OPTIONS = ("--model.loss", "dfer.losses.DistributionAwareLoss")
ONE_EPOCH = ("--trainer.max_epochs", "1")


def test_the_table_has_the_first_passes_alone(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four batches of 27 clips."""
    losses: list[tuple[int, float, int]] = []
    said: list[Tensor] = []
    labels: list[Tensor] = []
    step, forward = Recognition.training_step, Recognition.forward

    def watched_step(self: Recognition, batch: Batch, batch_idx: int) -> Tensor:
        loss = step(self, batch, batch_idx)
        losses.append((self._pass, loss.item(), len(batch.label)))
        labels.append(batch.label)
        return loss

    def watched_forward(self: Recognition, clip: Tensor) -> Output:
        output = forward(self, clip)
        if self.training:
            said.append(output.logits.argmax(1))
        return output

    monkeypatch.setattr(Recognition, "training_step", watched_step)
    monkeypatch.setattr(Recognition, "forward", watched_forward)
    (row,) = rows_of(fit("a", *SAM_OPTIONS, *ONE_EPOCH).metrics)
    assert [number for number, _, _ in losses] == [1, 2] * 4
    wanted = sum(loss * count for number, loss, count in losses if number == 1) / 27
    assert float(row["train_loss"]) == pytest.approx(wanted, rel=1e-5)
    right = sum(int((a == b).sum()) for a, b in zip(said[::2], labels[::2], strict=True))
    assert float(row["train_war"]) == pytest.approx(right / 27)


@pytest.mark.parametrize("more", [[*SAM_OPTIONS, *DSM_OPTIONS], [*DSM_OPTIONS]], ids=["sam", "plain"])
def test_a_run_has_a_row_for_each_step_and_their_means_by_epoch(fit: Fit, more: list[str]) -> None:
    run = fit("a", *more, "--trainer.max_epochs", "2")
    steps, epochs = rows_of(run.steps), rows_of(run.metrics)
    assert [(row["epoch"], row["step"]) for row in steps] == [(str(e), str(s)) for e in range(2) for s in range(4)]
    names = ["lambda_ce", "lambda_sc", "grad_norm", "between_class_cosine", "trace"]
    assert list(steps[0]) == ["epoch", "step", *names]
    assert steps[0]["grad_norm"] == "1.0"
    assert len({row["grad_norm"] for row in steps}) == 8
    for epoch, row in enumerate(epochs):
        for name in names:
            values = [float(step[name]) for step in steps[4 * epoch : 4 * epoch + 4]]
            assert float(row[f"train_{name}"]) == pytest.approx(sum(values) / 4)


@pytest.mark.parametrize(
    "loss",
    [
        {"class_path": "dfer.losses.CrossEntropy"},
        {
            "class_path": "dfer.losses.WeightedSum",
            "init_args": {"losses": [{"class_path": "dfer.losses.CrossEntropy"}], "weights": [1.0]},
        },
    ],
    ids=["one", "sum"],
)
def test_a_loss_that_says_nothing_of_itself_leaves_no_steps(fit: Fit, loss: object) -> None:
    assert not fit("a", *SAM_OPTIONS, *ONE_EPOCH, f"--model.loss={json.dumps(loss)}").steps.exists()


@pytest.mark.parametrize(
    ("more", "where"),
    [((*SAM_OPTIONS, *DSM_OPTIONS), ["pass 1", "pass 2", "state"]), (DSM_OPTIONS, ["pass 1"])],
    ids=["sam", "plain"],
)
def test_resume_is_exact(fit: Fit, more: tuple[str, ...], where: list[str]) -> None:
    """Stopped in the second epoch: in either pass, or when its rows are written and the trainer's state is not."""
    more = (*more, "--trainer.max_epochs", "2")
    whole = fit("whole", *more)
    for place in where:
        with pytest.MonkeyPatch.context() as patch:
            if place == "state":
                stop_before_the_state(patch, epoch=1)
            else:
                stop(patch, epoch=1, number=int(place[-1]))
            with pytest.raises(KeyboardInterrupt):
                fit(place, *more)
        written = len(rows_of(RunFolder(whole.path.parent / place).steps))
        assert written == (8 if place == "state" else 4)
        assert_same(whole, fit(place, *more, resume=True))


def test_a_stop_in_the_second_pass_keeps_the_weights_of_the_first(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the first epoch, of which nothing is kept yet: the weights at the stop are."""
    for number in (1, 2):
        stop(monkeypatch, epoch=0, number=number)
        with pytest.raises(KeyboardInterrupt, match="interrupted"):
            fit(f"stopped-{number}", *SAM_OPTIONS)
        monkeypatch.undo()
    first, second = (parameters(RunFolder(tmp_path / "runs" / f"stopped-{number}")) for number in (1, 2))
    assert len(first) > 10
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_loss_that_is_not_finite_in_either_pass_leaves_the_epoch_before(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = Recognition._require_finite
    number = 0

    def require(self: Recognition, loss: Tensor, batch: Batch, where: str) -> None:
        wrong = (self.current_epoch, self._pass, where) == (1, number, "training, step 2")
        real(self, loss * float("nan") if wrong else loss, batch, where)

    monkeypatch.setattr(Recognition, "_require_finite", require)
    lines = []
    for number in (1, 2):
        command = ["train", *options, *SAM_OPTIONS, "--out", str(tmp_path / f"failed-{number}")]
        assert main(command) == ItemError.exit_status
        lines.append(capsys.readouterr().err.strip().splitlines()[-1])
    assert lines[0] == lines[1]
    assert lines[0].startswith("dfer: the loss became nan in epoch 1, training, step 2, on the clips ")
    first, second = (RunFolder(tmp_path / f"failed-{number}") for number in (1, 2))
    assert second.read_manifest()["state"] == "failed"
    assert checkpoint.load(second.checkpoint("last")).about["epoch"] == 0
    assert all(torch.equal(value, parameters(second)[name]) for name, value in parameters(first).items())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([*SAM_OPTIONS, "--trainer.accumulate_grad_batches", "2"], "SAM looks at each batch twice"),
        ([*SAM_OPTIONS, "--trainer.precision", "16-true"], "SAM reads the gradient's norm"),
        ([*SAM_OPTIONS, "--trainer.precision", "bf16-true"], "too coarse for SAM's small move"),
        ([*DSM_OPTIONS, "--trainer.precision", "16-true"], "DistributionAwareLoss reads the gradient's norm"),
        ([*SAM_OPTIONS, "--model.optimizer.rho", "0"], "rho 0.0 is not positive"),
        ([*SAM_OPTIONS, "--model.optimizer.base_optimizer.lr=-1"], "learning rate: -1.0"),
        (["--model.optimizer.lr=-1"], "learning rate: -1.0"),
        (["--model.optimizer", "dfer.optim.SAM"], "base_optimizer"),
    ],
)
def test_what_does_not_go_together_is_one_line(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    assert main(["train", *options, *more, "--out", str(tmp_path / "run")]) == 2
    lines = [line for line in capsys.readouterr().err.strip().splitlines() if not line.startswith("the data has")]
    assert len(lines) == 1
    assert lines[0].startswith("dfer: ")
    assert said in lines[0]
    assert "fault" not in lines[0]
    assert not (tmp_path / "run" / "run.json").exists()


def test_sam_and_its_settings_can_be_put_into_a_recipe() -> None:
    (weight,) = nn.Linear(2, 1, bias=False).parameters()
    optimizer = configure(["synthetic/baseline", *SAM_OPTIONS]).module.optimizer([weight])
    assert isinstance(optimizer, SAM)
    assert optimizer.rho == 0.1
    assert type(optimizer.base_optimizer) is torch.optim.AdamW
    assert optimizer.base_optimizer.param_groups[0]["lr"] == 1e-3


def test_the_written_configuration_is_read_again(tmp_path: Path) -> None:
    text = configure(["synthetic/baseline", *SAM_OPTIONS, *DSM_OPTIONS]).text
    (tmp_path / "config.yaml").write_text(text)
    assert configure([str(tmp_path / "config.yaml")]).text == text
    assert text.count("rho: 0.1") == 1


def stop(monkeypatch: pytest.MonkeyPatch, epoch: int, number: int) -> None:
    """Stop, as Ctrl-C does, after this pass over the second batch of an epoch has run forward."""
    real = Recognition.training_step

    def step(self: Recognition, batch: Batch, batch_idx: int) -> Tensor:
        loss = real(self, batch, batch_idx)
        if (self.current_epoch, batch_idx, self._pass) == (epoch, 1, number):
            raise KeyboardInterrupt
        return loss

    monkeypatch.setattr(Recognition, "training_step", step)


def stop_before_the_state(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    real = ResumeState.on_train_epoch_end

    def end(self: ResumeState, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.current_epoch == epoch:
            raise KeyboardInterrupt
        real(self, trainer, module)

    monkeypatch.setattr(ResumeState, "on_train_epoch_end", end)


def assert_same(one: RunFolder, other: RunFolder) -> None:
    """Weights bit by bit, tables byte by byte but for the seconds."""
    a, b = (load_file(run.checkpoint("last")) for run in (one, other))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert one.steps.read_bytes() == other.steps.read_bytes()
    tables = [list(csv.reader(run.metrics.read_text().splitlines())) for run in (one, other)]
    seconds = tables[0][0].index("seconds")
    assert [[*row[:seconds], *row[seconds + 1 :]] for row in tables[0]] == [
        [*row[:seconds], *row[seconds + 1 :]] for row in tables[1]
    ]


def parameters(run: RunFolder) -> dict[str, Tensor]:
    """What is kept of a run but for running statistics, which the first pass moves."""
    kept = load_file(run.checkpoint("last"))
    return {name: value for name, value in kept.items() if "running" not in name and "tracked" not in name}


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))
