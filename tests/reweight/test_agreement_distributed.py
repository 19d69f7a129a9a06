"""Records of two processes; run as a script, this file is one of the two."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed

from dfer.reweight import AgreementReweighting

ROWS, EPOCHS, BATCH = 20, 4, 6


def steps(epoch: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Give an epoch's batches: with padding, as a distributed sampler has it, a few rows come twice."""
    generator = torch.Generator().manual_seed(epoch)
    rows = torch.randperm(ROWS - 2, generator=generator)  # two rows never come
    rows = torch.cat([rows, rows[:6]])
    share = torch.randint(1, 5, (len(rows),), generator=generator) / 4
    return list(zip(rows.split(BATCH), share.split(BATCH), torch.rand(len(rows), generator=generator).split(BATCH)))


def trained(rank: int | None) -> list[dict[str, Any]]:
    """Record every clip, or every other, and give the state after each epoch."""
    reweight = AgreementReweighting(ROWS, warmup_epochs=1)
    mine = slice(None) if rank is None else slice(rank, None, 2)
    states = []
    for epoch in range(EPOCHS):
        for row, share, loss in steps(epoch):
            reweight.record(row[mine], share[mine], loss[mine])
        reweight.end_epoch()
        states.append({**reweight.state_dict(), "weight": reweight.weight(range(ROWS))})
    return states


def contested(rank: int) -> dict[str, Any]:
    """Let both record the same rows: at the same step, one later than the other, one of them long ago."""
    reweight = AgreementReweighting(4)
    reweight.record([0, 3], [0.25, 0.25], [10 + rank, 10 + rank])
    if rank == 0:
        reweight.record([1], [0.5], [20])
    else:
        reweight.record([2], [0.5], [21])
        reweight.record([2], [0.75], [22])
    if rank == 0:
        reweight.record([2], [1.0], [23])
        reweight.record([0], [1.0], [24])
    reweight.end_epoch()
    if rank == 0:
        reweight.record([3], [1.0], [30])  # the other's record of row 3 is of the epoch before
    reweight.end_epoch()
    return reweight.state_dict()


def one_process(rank: int, folder: Path) -> None:
    """Leave what came out."""
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    torch.save({"trained": trained(rank), "contested": contested(rank)}, folder / f"{rank}.pt")
    distributed.destroy_process_group()


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return all(
        torch.equal(value.nan_to_num(-1), b[name].nan_to_num(-1)) if isinstance(value, Tensor) else value == b[name]
        for name, value in a.items()
    )


@pytest.mark.slow
def test_two_processes_are_one(tmp_path: Path) -> None:
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
    alone = trained(None)
    for a, b, c in zip(first["trained"], second["trained"], alone, strict=True):
        assert same(a, b)
        assert same(a, c)
    assert set(alone[-1]["weight"].tolist()) == {0.0, 1.0, 1.5}
    assert alone[-1]["agreement"].isnan().sum() == 2
    assert same(first["contested"], second["contested"])
    assert first["contested"]["loss"].tolist() == [24, 20, 22, 30]


if __name__ == "__main__":
    one_process(int(sys.argv[1]), Path(sys.argv[2]))
