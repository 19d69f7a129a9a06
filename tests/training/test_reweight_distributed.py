"""Reweighting by agreement in two processes; run as a script, this file is one of the two."""

import os
import socket
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils.data import DataLoader

from dfer.backbones import r3d_18
from dfer.labels import BASIC
from dfer.losses import CrossEntropy
from dfer.models import SAFE, Recognizer
from dfer.modules import S2AM2
from dfer.optim import SAM
from dfer.reweight import AgreementReweighting
from dfer.training.module import Recognition
from dfer.types import Batch, Output

STEPS, BATCH, EPOCHS = 3, 8, 3
ROWS = STEPS * BATCH
MODELS = ("recognizer", "safe")


class Clips:
    seed, labels = 0, BASIC

    def __len__(self) -> int:
        return ROWS + 1  # one is never shown

    def clip_id(self, row: int) -> str:
        return str(row)


class Seen(nn.Module):
    """Cross-entropy that keeps the weights it is given, by row."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[dict[int, float]] = []

    def forward(self, output: Output, batch: Batch) -> Tensor:
        self.weights.append(dict(zip(batch.row.tolist(), batch.weight.tolist())))
        return CrossEntropy()(output, batch)


def network(name: str) -> nn.Module:
    """Make a small one over windows, without batch norm, which would see half a batch in each process."""
    torch.manual_seed(0)
    backbone = r3d_18(width=0.0625)
    for part in list(backbone.modules()):
        for child, layer in part.named_children():
            if isinstance(layer, nn.BatchNorm3d):
                setattr(part, child, nn.GroupNorm(1, layer.num_features))
    if name == "recognizer":
        return Recognizer(backbone, frames=8, size=16, window=2)
    temporal = partial(S2AM2, hidden_size=8)
    return SAFE(frames=8, size=16, window=4, stride=2, backbone=backbone, temporal=temporal)


def trained(name: str, rank: int | None) -> dict[str, Any]:
    """Train on the whole batches, or on every other clip of them in one of two processes."""
    optimizer = partial(SAM, base_optimizer=partial(torch.optim.AdamW, lr=1e-2, fused=True), rho=0.1)
    reweight = AgreementReweighting(warmup_epochs=1, hard_fraction=0.3, noisy_fraction=0.2)
    module = Recognition(network(name), Seen(), optimizer, min_lr=1e-2, reweight=reweight)
    module.bind(Clips(), range(ROWS))  # type: ignore[arg-type]
    data = batches()
    several: dict[str, Any] = {}
    if rank is not None:
        data = [Batch(*(field[rank::2] for field in batch)) for batch in data]
        several = {"strategy": "ddp", "devices": 2, "use_distributed_sampler": False}
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")  # as in `dfer.training.fit`
        trainer = pl.Trainer(accelerator="cpu", max_epochs=EPOCHS, precision="64-true", **quiet, **several)  # type: ignore[arg-type]
        trainer.fit(module, train_dataloaders=DataLoader(data, batch_size=None))  # type: ignore[arg-type]
    assert trainer.world_size == (1 if rank is None else 2)
    return {
        "model": {key: p.detach().clone() for key, p in module.model.named_parameters()},
        "state": reweight.state_dict(),
        "weights": module.loss.weights,
        "said": module.training_diagnostics,
    }


def batches() -> list[Batch]:
    generator = torch.Generator().manual_seed(3)
    return [
        Batch(
            torch.randint(0, 256, (BATCH, 3, 8, 16, 16), dtype=torch.uint8, generator=generator),
            torch.randint(3, (BATCH,), generator=generator),
            torch.arange(BATCH) + BATCH * number,
            torch.ones(BATCH),
        )
        for number in range(STEPS)
    ]


def one_process(rank: int, folder: Path) -> None:
    """Leave what came out."""
    torch.save({name: trained(name, rank) for name in MODELS}, folder / f"{rank}.pt")


@pytest.mark.slow
def test_two_processes_are_one(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2"}
    environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0"}
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(tmp_path)], env={**environment, "LOCAL_RANK": str(rank)}
        )
        for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=240) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for name in MODELS:
        first, second = (rank[name] for rank in ranks)
        assert_close(first["state"], second["state"], rtol=0, atol=0, equal_nan=True)
        assert_close(first["model"], second["model"], rtol=0, atol=0)
        assert first["said"] == second["said"]
        alone = trained(name, None)
        assert_close(first["state"] | {"loss": 0}, alone["state"] | {"loss": 0}, rtol=0, atol=0, equal_nan=True)
        assert_close(first["state"]["loss"], alone["state"]["loss"], rtol=1e-5, atol=1e-6, equal_nan=True)
        assert_close(first["model"], alone["model"], rtol=0, atol=1e-6)
        both = [a | b for a, b in zip(first["weights"], second["weights"], strict=True)]
        assert both == alone["weights"]
        assert {weight for step in alone["weights"] for weight in step.values()} == {0.0, 1.0, 1.5}
        assert first["state"]["agreement"].isnan().tolist() == [False] * ROWS + [True]


if __name__ == "__main__":
    one_process(int(sys.argv[1]), Path(sys.argv[2]))
