"""The loss of a model around its weights."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn
from torch.nn import functional as F

from dfer.errors import InputError
from dfer.evaluation.beside import same_data
from dfer.evaluation.source import Source

CLIPS = 64
STEPS = 15

Direction = dict[str, Tensor]


def filter_normalised(model: nn.Module, generator: torch.Generator) -> Direction:
    """Draw a random direction in the space of weights whose filters are as long as the model's.

    Paper: Li et al. 2018, "Visualizing the Loss Landscape of Neural Nets", Sec. 4: a network computes the same with one
    layer scaled up and the next scaled down, so that equal steps would mean different things in two networks; scaled
    filter by filter they mean the same. A filter is what makes one output: a weight's first index. Biases, the weights
    of normalisation and all else of one dimension stay where they are.

    Shape:
        parameters by name, each as the model's.
    """
    found = {}
    for name, weight in model.named_parameters():
        if weight.ndim < 2:
            found[name] = torch.zeros_like(weight, device="cpu")
            continue
        own = weight.detach().cpu().flatten(1)  # (filters, D)
        drawn = torch.randn(own.shape, generator=generator)
        length = own.norm(dim=1, keepdim=True) / drawn.norm(dim=1, keepdim=True).clamp_min(1e-12)
        found[name] = (drawn * length).view_as(weight)
    return found


def surface(
    model: nn.Module,
    clips: Tensor,
    label: Tensor,
    *,
    steps: int = STEPS,
    reach: float = 1.0,
    seed: int = 0,
    batch_size: int = 16,
    device: str | None = None,
    description: str = "loss surface",
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure the mean cross-entropy on a grid around a model's weights, along two filter-normalised directions.

    The model is in evaluation mode with the running statistics that training left, as in the paper's own pictures;
    plain cross-entropy whatever the run trained with, so that runs can be compared. The model is left as it was.

    Args:
        steps: along each direction; odd, so that the middle is the model itself.
        reach: how far to go either way, in multiples of each filter's length.
        seed: of the directions; two models of one build are shaken in the same way.

    Shape:
        clips ``(N, 3, T, S, S)`` uint8, label ``(N,)`` -> coordinates ``(steps,)``, losses ``(steps, steps)`` with the
        second direction in rows.

    Raises:
        ValueError: an even number of steps or 1, no clip, or as many labels as clips are not given.
    """
    if steps % 2 == 0 or steps < 3:
        raise ValueError(f"steps {steps} have no middle between ends; give an odd number from 3")
    if not len(clips) or len(clips) != len(label):
        raise ValueError(f"{len(clips)} clips and {len(label)} labels; wanted the same number, at least 1")
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    generator = torch.Generator().manual_seed(seed)
    first, second = ({name: one.to(where) for name, one in filter_normalised(model, generator).items()} for _ in "12")
    moved = copy.deepcopy(model).to(where).eval()
    start = {name: weight.detach().clone() for name, weight in moved.named_parameters()}
    coordinates = np.linspace(-reach, reach, steps)
    losses = np.empty((steps, steps))
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar, torch.inference_mode():
        for place in bar.track(range(steps * steps), description=description):
            row, column = divmod(place, steps)
            for name, weight in moved.named_parameters():
                weight.copy_(start[name] + coordinates[column] * first[name] + coordinates[row] * second[name])
            total = 0.0
            for start_at in range(0, len(clips), batch_size):
                batch = slice(start_at, start_at + batch_size)
                logits = moved(clips[batch].to(where)).logits.float()
                total += float(F.cross_entropy(logits, label[batch].to(where), reduction="sum"))
            losses[row, column] = total / len(label)
    return coordinates, losses


def training_clips(sources: Sequence[Source], names: Sequence[str], count: int = CLIPS) -> list[tuple[Tensor, Tensor]]:
    """Read the same training clips for several runs, as each wants to see them, without augmentation.

    They are drawn once from those that every run trained on: none that was held out.

    Shape:
        per run clips ``(N, 3, T, S, S)`` uint8, label ``(N,)``.

    Raises:
        InputError: runs of different data or labels, or no clip that all of them trained on.
    """
    sets = [source.clips("train") for source in sources]
    for name, source, one in zip(names, sources, sets):
        if one.labels != source.loaded.input_spec.labels:
            raise InputError(f"{name} knows other labels than its data has; its loss there means nothing")
        same = same_data(source.description, sources[0].description) and np.array_equal(one.targets, sets[0].targets)
        if not same or any(one.clip_id(row) != sets[0].clip_id(row) for row in range(len(one))):
            raise InputError(f"{name} was trained on other clips than {names[0]}; compare runs of the same data")
    held_out: set[int] = set()
    for source in sources:
        held_out.update(source.manifest["data"].get("held_out_rows") or ())
    shared = np.array([row for row in range(len(sets[0])) if row not in held_out], np.int64)
    if not len(shared):
        raise InputError(f"no clip that {', '.join(names)} all trained on")
    rows = np.sort(np.random.default_rng(0).permutation(shared)[:count])
    found: list[tuple[Tensor, Tensor]] = []
    for one in sets:
        samples: list[Any] = [one[int(row)] for row in rows]
        clips = torch.stack([sample.clip.transpose(0, 1) for sample in samples])  # (N, 3, T, S, S)
        found.append((clips, torch.tensor([sample.label for sample in samples])))
    return found
