"""The trainer's two passes in two processes; run as a script, this file is one of the two."""

import os
import socket
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils.data import DataLoader

from dfer.labels import BASIC
from dfer.losses import CrossEntropy, DistributionAwareLoss
from dfer.modules import DAM
from dfer.optim import SAM
from dfer.training.module import Recognition
from dfer.types import Batch, InputSpec, Output

STEPS, BATCH = 5, 8


class Net(nn.Module):
    def __init__(self, running: bool) -> None:
        super().__init__()
        self.input_spec = InputSpec(2, 8, BASIC)
        self.conv = nn.Conv3d(3, 6, 1)
        self.between = nn.Sequential(nn.BatchNorm3d(6), DAM(6, 2)) if running else nn.Identity()
        self.classifier = nn.Linear(6, 7)

    def forward(self, clip: Tensor) -> Output:
        feature = self.conv(clip.to(self.conv.weight.dtype) / 255)
        embedding = torch.tanh(self.between(feature)).mean((2, 3, 4))
        return Output(self.classifier(embedding), embedding)


def trained(loss: nn.Module, running: bool, rank: int | None) -> dict[str, Any]:
    """Train on the whole batches, or on every other clip of them in one of two processes."""
    torch.manual_seed(0)
    optimizer = partial(SAM, base_optimizer=partial(torch.optim.AdamW, lr=1e-2, fused=True), rho=0.3)
    module = Recognition(Net(running), loss, optimizer, min_lr=1e-2)
    module.bind(SimpleNamespace(clip_id=str, seed=0))  # type: ignore[arg-type]
    data = batches()
    several: dict[str, Any] = {}
    if rank is not None:
        data = [Batch(*(field[rank::2] for field in batch)) for batch in data]
        several = {"strategy": "ddp", "devices": 2, "use_distributed_sampler": False}
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")  # as in `dfer.training.fit`
        trainer = pl.Trainer(  # type: ignore[arg-type]
            accelerator="cpu", max_epochs=1, precision="64-true", gradient_clip_val=0.01, **quiet, **several
        )
        trainer.fit(module, train_dataloaders=DataLoader(data, batch_size=None))  # type: ignore[arg-type]
    assert trainer.global_step == STEPS
    assert trainer.world_size == (1 if rank is None else 2)
    made: Any = module.optimizers(use_pl_optimizer=False)
    return {
        "weights": {name: p.detach().clone() for name, p in module.model.named_parameters()},
        "norm": float(made.grad_norm),
        "counted": [int(value) for name, value in module.model.state_dict().items() if "tracked" in name],
        "steps": [{name: row[name] for name in ("grad_norm", "lambda_ce")} for row in module.step_log],
    }


def batches() -> list[Batch]:
    generator = torch.Generator().manual_seed(3)
    return [
        Batch(
            torch.randint(0, 256, (BATCH, 3, 2, 8, 8), dtype=torch.uint8, generator=generator),
            torch.randint(3, (BATCH,), generator=generator),
            torch.arange(BATCH),
            torch.ones(BATCH),
        )
        for _ in range(STEPS)
    ]


def one_process(rank: int, folder: Path) -> None:
    """Train both ways, and leave what came out."""
    found = [trained(CrossEntropy(), False, rank), trained(DistributionAwareLoss(), True, rank)]
    torch.save(found, folder / f"{rank}.pt")


@pytest.mark.slow
def test_two_processes_agree(tmp_path: Path) -> None:
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
    for a, b in zip(*ranks, strict=True):
        assert all(torch.equal(value, b["weights"][name]) for name, value in a["weights"].items())
        assert a["norm"] == b["norm"]
        assert a["steps"] == b["steps"]
    plain, scaled = ranks[0]
    alone = trained(CrossEntropy(), False, None)
    assert plain["norm"] == pytest.approx(alone["norm"], rel=1e-6)
    assert_close(plain["weights"], alone["weights"], rtol=0, atol=1e-6)
    assert scaled["counted"] == [STEPS]
    assert len({row["grad_norm"] for row in scaled["steps"]}) == STEPS


if __name__ == "__main__":
    one_process(int(sys.argv[1]), Path(sys.argv[2]))
