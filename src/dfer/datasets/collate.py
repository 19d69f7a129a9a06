"""From samples to batches: the only place where time and channels change places."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate, get_worker_info

from dfer.types import Batch, Sample


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples into a batch, ``(T, C, H, W)`` each to ``(B, C, T, H, W)``.

    Raises:
        ValueError: clips of different shapes.

    Example:
        >>> collate([Sample(torch.zeros(16, 3, 8, 8, dtype=torch.uint8), 2, 40)]).clip.shape
        torch.Size([1, 3, 16, 8, 8])
    """
    return Batch(
        clip=_stack([sample.clip.transpose(0, 1) for sample in samples]),  # (B, C, T, H, W)
        label=torch.tensor([sample.label for sample in samples]),
        row=torch.tensor([sample.row for sample in samples]),
        weight=torch.ones(len(samples)),
    )


def _stack(clips: list[Tensor]) -> Tensor:
    shapes = {tuple(clip.shape) for clip in clips}
    if len(shapes) > 1:
        raise ValueError(f"clips (C, T, H, W) of different shapes {sorted(shapes)}; a batch takes one")
    batch: Tensor
    if get_worker_info() is not None:
        batch = default_collate(clips)  # straight into the memory that a worker shares with the trainer
        return batch
    batch = torch.empty((len(clips), *clips[0].shape), dtype=clips[0].dtype)
    for place, clip in zip(batch, clips):
        place.copy_(clip)  # a plane at a time; torch.stack is slow where time and channels change places
    return batch


def loader(
    dataset: Dataset[Sample],
    *,
    batch_size: int,
    sampler: Sampler[tuple[int, ...]] | None = None,
    workers: int = 0,
    persistent: bool = False,
    collate: Callable[[Sequence[Any]], Any] = collate,
) -> DataLoader[Any]:
    """Load batches; without a sampler every row once, in order, as of epoch 0. No clip is dropped.

    The batches depend on the sampler alone, not on the number or life of the workers, and loading leaves
    torch's global random state as it was.

    Args:
        collate: makes the batch; a `Batch`, unless the data set hands out more than samples.
    """
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=workers,
        persistent_workers=persistent and workers > 0,
        collate_fn=collate,
        worker_init_fn=_one_thread,
        generator=torch.Generator().manual_seed(0),
    )


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)  # workers are the parallel part; threads of each would fight over the cores
