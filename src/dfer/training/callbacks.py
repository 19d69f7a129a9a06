"""What a run leaves behind, epoch by epoch, and what a person sees of it."""

import csv
import io
import time
from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from dfer.datasets.base import ClipDataset
from dfer.errors import InputError, one_line
from dfer.models import checkpoint
from dfer.reweight import VERDICTS, AgreementReweighting
from dfer.runs import RunFolder, write_atomically
from dfer.training.module import Recognition
from dfer.training.resume import random_state, set_random_state

COLUMNS = ("war", "uar", "ece", "nll", "brier", "loss")


class RunKeeper(pl.Callback):
    """Write metrics, checkpoints, the resume state and the manifest after every epoch, each whole or not at all.

    Args:
        config: the model's ``class_path`` and ``init_args``, for its checkpoints.
        about: what ``run.json`` says from the start.
        validation: ``held_out`` or ``test``: what the curves show. With ``test`` (the paper's protocol) the best
            epochs by WAR and by UAR are kept separately; else the best by WAR, ties by UAR.
    """

    def __init__(self, folder: RunFolder, config: Mapping[str, Any], about: Mapping[str, Any], validation: str) -> None:
        self.folder = folder
        self.config = config
        self.about = dict(about)
        self.validation = validation
        self.rows: list[dict[str, float]] = []
        self.best: dict[str, dict[str, Any]] = {}
        self.seconds = 0.0
        self._restored: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Keep what a resumed run goes on from, the random state included."""
        return {"rows": self.rows, "best": self.best, "seconds": self.seconds, "random": random_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it back; the random state is set when the next epoch starts."""
        self.rows, self.best, self.seconds = state["rows"], state["best"], state["seconds"]
        self._restored = state["random"]

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Say that the run is running."""
        self._started = time.monotonic()
        self.write_manifest(trainer, "running")

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Put a resumed run's random state back."""
        self._epoch_started = time.monotonic()
        if self._restored is not None:
            set_random_state(self._restored)
            self._restored = None

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Write down the epoch and keep its weights."""
        assert isinstance(module, Recognition)
        module.end_epoch()
        epoch = trainer.current_epoch
        now = time.monotonic()
        found = module.validation_metrics
        row = {
            "epoch": epoch,
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            "train_loss": module.training_metrics["loss"],
            "train_war": module.training_metrics["war"],
            **{f"{self.validation}_{name}": found[name] for name in COLUMNS},
            **{f"train_{name}": value for name, value in module.training_diagnostics.items()},
            "seconds": round(now - self._epoch_started, 3),
        }
        self.rows.append(row)
        self.seconds += now - self._started
        self._started = now
        if not trainer.is_global_zero:
            return
        self._save(module, "last", epoch)
        for metric, name in (("war", "best"), ("uar", "best-uar")):
            separately = self.validation == "test"
            rank = (found[metric],) if separately else (found["war"], found["uar"])
            if rank > tuple(self.best.get(metric, {}).get("rank", (-1.0,))):
                self.best[metric] = {"epoch": epoch, "value": found[metric], "rank": list(rank)}
                if metric == "war" or separately:
                    self._save(module, name, epoch)
        write_atomically(self.folder.metrics, as_csv(self.rows))
        if any(module.step_log):
            self._write_steps(epoch, module.step_log)
        if module.reweight is not None:
            self._write_agreement(module.reweight, module.train_set)
        with SummaryWriter(str(self.folder.path / "tensorboard")) as board:
            for name, value in row.items():
                board.add_scalar(name, value, epoch)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Say that the run is finished."""
        self.write_manifest(trainer, "finished")

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Leave a usable checkpoint whatever happened, and say what did."""
        assert isinstance(module, Recognition)
        stopped = isinstance(exception, (KeyboardInterrupt, SystemExit))
        if stopped and trainer.is_global_zero:
            for name in ("last", "best", "best-uar"):
                if self._is_torn(name) or (name == "last" and not self.folder.checkpoint(name).is_file()):
                    self._save(module, name, trainer.current_epoch)
        self.write_manifest(trainer, "interrupted" if stopped else "failed", error=one_line(exception))

    def write_manifest(self, trainer: pl.Trainer, state: str, error: str | None = None) -> None:
        """Write ``run.json``."""
        if not trainer.is_global_zero:
            return
        best = {name: {"epoch": of["epoch"], "value": of["value"]} for name, of in self.best.items()}
        content = {**self.about, "state": state, "epochs": len(self.rows), "best": best}
        content["seconds"] = round(self.seconds, 1)
        if error:
            content["error"] = error
        self.folder.write_manifest(content)

    def _write_steps(self, epoch: int, steps: list[dict[str, float]]) -> None:
        """Add the epoch's steps to those of the epochs before, which a resumed run finds in the file."""
        path = self.folder.steps
        before = list(csv.DictReader(path.read_text().splitlines())) if path.is_file() else []
        kept: list[Mapping[str, Any]] = [row for row in before if int(row["epoch"]) < epoch]
        write_atomically(path, as_csv(kept + [{"epoch": epoch, "step": at, **row} for at, row in enumerate(steps)]))

    def _write_agreement(self, reweight: AgreementReweighting, clips: ClipDataset) -> None:
        """Write how each training clip was seen last, and what became of it."""
        agreement, loss, verdict = reweight.agreement.numpy(), reweight.loss.numpy(), reweight.verdict().tolist()
        rows = [
            {
                "clip_id": clips.clip_id(row),
                "label": clips.labels[clips.targets[row]],
                "agreement": str(agreement[row]),  # a float32 in as many digits as it needs
                "loss": str(loss[row]),
                "verdict": VERDICTS[verdict[row]],
            }
            for row in np.flatnonzero(~np.isnan(agreement)).tolist()
        ]
        write_atomically(self.folder.agreement, as_csv(rows))

    def _is_torn(self, name: str) -> bool:
        """Tell whether a stop came between a checkpoint's two files: then it held this epoch's weights."""
        path = self.folder.checkpoint(name)
        if not path.is_file():
            return False
        try:
            checkpoint.load(path)
        except InputError:
            return True
        return False

    def _save(self, module: Recognition, name: str, epoch: int) -> None:
        about = {
            key: self.about.get(key)
            for key in ("recipe", "init", "commit", "seed", "protocol", "data", "sampling", "versions")
        }
        about["epoch"] = epoch
        checkpoint.save(module.model, self.folder.checkpoint(name), config=self.config, about=about)


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write rows as CSV; a value that a row lacks is left empty."""
    names = dict.fromkeys(name for row in rows for name in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


class ResumeState(pl.Callback):
    """Keep the trainer's state after every epoch; it comes last, when the other callbacks have done their part."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Write it; a run killed while writing keeps the epoch before."""
        trainer.save_checkpoint(self.folder.resume_state)


class TrainingProgress(pl.Callback):
    """Show the steps of the whole run with the time left, and a line per epoch."""

    def __init__(self, validation: str) -> None:
        self.validation = validation.replace("_", "-")

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Start the bar."""
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        console = Console(stderr=True)
        self.bar = Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)
        total = int(trainer.estimated_stepping_batches)
        self.task = self.bar.add_task("epoch 0", total=total, completed=trainer.global_step)
        self.bar.start()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Move the bar."""
        self.bar.update(self.task, completed=trainer.global_step, description=f"epoch {trainer.current_epoch}")

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Say how the epoch went."""
        assert isinstance(module, Recognition)
        train, found = module.training_metrics, module.validation_metrics
        self.bar.console.print(
            f"epoch {trainer.current_epoch:3d}  train loss {train['loss']:.3f} WAR {train['war']:.1%}  "
            f"{self.validation} loss {found['loss']:.3f} WAR {found['war']:.1%} UAR {found['uar']:.1%}",
            highlight=False,
            soft_wrap=True,  # one line in a log file too
        )

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Take the bar away."""
        self.bar.stop()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Take the bar away."""
        if hasattr(self, "bar"):
            self.bar.stop()
