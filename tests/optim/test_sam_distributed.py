"""SAM in two processes that average their gradients; run as a script, this file is one of the two."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.testing import assert_close

from dfer.optim import SAM

STEPS, BATCH = 5, 8


def trained(model: nn.Module, data: list[tuple[Tensor, Tensor]]) -> dict[str, Any]:
    """Train, and give the weights and each step's norm."""
    build = partial(torch.optim.AdamW, lr=1e-2, fused=True)
    optimizer = SAM(model.parameters(), build, rho=0.3)
    norms = []
    for x, y in data:

        def closure(x: Tensor = x, y: Tensor = y) -> Tensor:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            return loss

        optimizer.step(closure)
        norms.append(float(optimizer.grad_norm))
    return {"weights": [p.detach().clone() for p in model.parameters()], "norms": norms}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def batches() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(STEPS, BATCH, 4, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (STEPS, BATCH), generator=generator)
    return list(zip(x, y))


def one_process(rank: int, folder: Path) -> None:
    """Train on every other clip, and leave what came out."""
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    found = trained(DistributedDataParallel(network()), [(x[rank::2], y[rank::2]) for x, y in batches()])
    torch.save(found, folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_are_one_on_the_whole_batch(tmp_path: Path) -> None:
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen([sys.executable, __file__, str(rank), str(tmp_path)], env=environment) for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=120) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert first["norms"] == second["norms"]
    assert all(torch.equal(a, b) for a, b in zip(first["weights"], second["weights"], strict=True))
    alone = trained(network(), batches())
    assert first["norms"] == pytest.approx(alone["norms"], rel=1e-6)
    assert_close(first["weights"], alone["weights"], rtol=0, atol=1e-6)
    half = trained(network(), [(x[::2], y[::2]) for x, y in batches()])
    assert (first["weights"][0] - half["weights"][0]).abs().max() > 1e-3  # the other half counts


if __name__ == "__main__":
    one_process(int(sys.argv[1]), Path(sys.argv[2]))
