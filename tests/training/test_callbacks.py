"""What a run writes, epoch by epoch."""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from dfer.models import checkpoint
from dfer.runs import RunFolder
from dfer.training.module import Recognition

Fit = Callable[..., RunFolder]


def scripted(monkeypatch: pytest.MonkeyPatch, figures: list[tuple[float, float]]) -> None:
    """Let validation find these WAR and UAR, epoch by epoch."""
    real = Recognition.on_validation_epoch_end

    def end(self: Recognition) -> None:
        real(self)
        war, uar = figures[self.current_epoch]
        self.validation_metrics |= {"war": war, "uar": uar}

    monkeypatch.setattr(Recognition, "on_validation_epoch_end", end)


@pytest.mark.parametrize(
    ("figures", "chosen"),
    [
        ([(0.5, 0.2), (0.6, 0.1), (0.4, 0.9)], 1),  # the best WAR
        ([(0.6, 0.2), (0.6, 0.3), (0.6, 0.1)], 1),  # ties by UAR
        ([(0.6, 0.3), (0.6, 0.3), (0.5, 0.1)], 0),  # the first of equals
    ],
)
def test_held_out_clips_choose_one_epoch(
    fit: Fit, monkeypatch: pytest.MonkeyPatch, figures: list[tuple[float, float]], chosen: int
) -> None:
    scripted(monkeypatch, figures)
    run = fit("a")
    assert checkpoint.load(run.checkpoint("best")).about["epoch"] == chosen
    assert not run.checkpoint("best-uar").exists()
    assert checkpoint.load(run.checkpoint("last")).about["epoch"] == 2


def test_the_paper_protocol_chooses_war_and_uar_separately(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [(0.5, 0.2), (0.6, 0.1), (0.4, 0.9)])
    run = fit("a", "--data.protocol", "paper")
    assert checkpoint.load(run.checkpoint("best")).about["epoch"] == 1
    assert checkpoint.load(run.checkpoint("best-uar")).about["epoch"] == 2
    header = next(csv.reader(run.metrics.read_text().splitlines()))
    assert "test_war" in header
    assert "held_out_war" not in header


def test_an_interrupted_run_says_so_and_leaves_weights(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Recognition, "training_step", stop)
    with pytest.raises(KeyboardInterrupt):
        fit("a")
    run = RunFolder(tmp_path / "runs" / "a")
    assert run.read_manifest()["state"] == "interrupted"
    checkpoint.load(run.checkpoint("last"))


@pytest.mark.parametrize("torn", ["last", "best"])
def test_a_stop_between_a_checkpoints_two_files_leaves_a_whole_one(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torn: str
) -> None:
    scripted(monkeypatch, [(0.5, 0.2), (0.6, 0.1), (0.4, 0.9)])
    real = checkpoint._write_description
    hits: list[Path] = []

    def stop(path: Path, description: dict[str, object]) -> None:
        if path.stem == torn:
            hits.append(path)
            if len(hits) == 2:  # the second epoch's weights lie beside the first epoch's JSON
                raise KeyboardInterrupt
        real(path, description)

    monkeypatch.setattr(checkpoint, "_write_description", stop)
    with pytest.raises(KeyboardInterrupt):
        fit("a")
    run = RunFolder(tmp_path / "runs" / "a")
    assert len(hits) == 3
    assert checkpoint.load(run.checkpoint(torn)).about["epoch"] == 1


def test_an_epoch_is_one_line_of_a_log_file(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    fit("a", "--trainer.max_epochs", "1")
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch"))
    assert re.search(r" UAR \d+\.\d%$", line)


def test_a_failed_run_says_why(fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(Recognition, "training_step", fail)
    with pytest.raises(ZeroDivisionError):
        fit("a")
    manifest = RunFolder(tmp_path / "runs" / "a").read_manifest()
    assert manifest["state"] == "failed"
    assert manifest["error"] == "by nothing"
