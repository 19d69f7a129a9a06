"""From a model and clips to saved predictions: the one path that every tool takes."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from torch import nn

from dfer.datasets import ClipDataset
from dfer.datasets.collate import loader
from dfer.datasets.samplers import EpochSampler
from dfer.errors import InputError
from dfer.predictions import Predictions


def check_loading(batch_size: int, workers: int) -> None:
    """Refuse numbers that no loader can work with.

    Raises:
        InputError: with the number.
    """
    if batch_size < 1 or workers < 0:
        raise InputError(f"--batch-size {batch_size} must be at least 1, --workers {workers} at least 0")


def predict(
    model: nn.Module,
    dataset: ClipDataset,
    rows: Sequence[int] | NDArray[np.int64] | None = None,
    *,
    batch_size: int = 32,
    workers: int = 0,
    device: str | None = None,
    description: str = "predicting",
) -> Predictions:
    """Run a model over clips, all of them or some rows.

    float32 on a CPU, bfloat16 on a GPU.

    Raises:
        ValueError: no clip.
    """
    wanted = np.arange(len(dataset)) if rows is None else np.asarray(rows)
    if not len(wanted):
        raise ValueError("no clip to predict")
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    model = model.to(where).eval()
    sampler = EpochSampler(wanted, shuffle=False, seed=0)
    batches = loader(dataset, batch_size=batch_size, sampler=sampler, workers=workers)
    logits, embeddings, clip_logits, labels, seen = [], [], [], [], []
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar, torch.inference_mode():
        for batch in bar.track(batches, description=description):
            with torch.autocast("cuda", torch.bfloat16, enabled=where.type == "cuda"):
                output = model(batch.clip.to(where, non_blocking=True))
            logits.append(output.logits.float().cpu().numpy())
            embeddings.append(output.embedding.float().cpu().numpy())
            labels.append(batch.label.numpy())
            seen.append(batch.row.numpy())
            if output.clip_logits is not None:
                clip_logits.append(output.clip_logits.float().cpu().numpy())
    return Predictions(
        logits=np.concatenate(logits),
        label=np.concatenate(labels),
        row=np.concatenate(seen),
        clip_id=np.array([dataset.clip_id(int(row)) for row in wanted]),
        embedding=np.concatenate(embeddings),
        labels=dataset.labels,
        clip_logits=np.concatenate(clip_logits) if clip_logits else None,
    )
