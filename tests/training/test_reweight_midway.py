"""A trainer of one's own may stop and go on amid an epoch."""

import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from dfer.backbones import r3d_18
from dfer.models import Recognizer
from dfer.reweight import AgreementReweighting
from dfer.training.module import Recognition
from dfer.types import Batch


class Clips:
    """What `Recognition.bind` wants to know of twelve clips."""

    seed = 0

    def __len__(self) -> int:
        return 12

    def clip_id(self, row: int) -> str:
        return str(row)


def module() -> Recognition:
    torch.manual_seed(0)
    model: nn.Module = Recognizer(r3d_18(width=0.0625), num_classes=3, frames=4, size=16, window=2)
    made = Recognition(model, reweight=AgreementReweighting(warmup_epochs=0))
    made.bind(Clips())  # type: ignore[arg-type]
    return made


def batches() -> list[Batch]:
    torch.manual_seed(1)
    clips = torch.randint(0, 256, (12, 3, 4, 16, 16), dtype=torch.uint8)
    return [Batch(clips[at], at % 3, at, torch.ones(4)) for at in torch.arange(12).split(4)]


def train(module: Recognition, *callbacks: pl.Callback, resume: Path | None = None) -> None:
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")  # as in `dfer.training.fit`
        trainer = pl.Trainer(max_epochs=3, accelerator="cpu", limit_val_batches=0, callbacks=list(callbacks), **off)  # type: ignore[arg-type]
        loader: Any = DataLoader(batches(), batch_size=None)  # type: ignore[arg-type]
        trainer.fit(module, loader, ckpt_path=resume, weights_only=True if resume else None)


def test_going_on_amid_an_epoch_ends_it(tmp_path: Path) -> None:
    class Stop(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *given: object) -> None:
            if trainer.current_epoch == 1 and given[-1] == 1:
                trainer.save_checkpoint(tmp_path / "midway.ckpt")
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(module(), Stop())
    resumed = module()
    train(resumed, resume=tmp_path / "midway.ckpt")
    assert resumed.reweight is not None
    assert resumed.reweight.epochs == 3
    assert not resumed.reweight.agreement.isnan().any()
