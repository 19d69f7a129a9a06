"""How much weight HDF's kernels leave on the negatives of a finished run."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike

from dfer.errors import InputError
from dfer.losses import log_negative_weight
from dfer.losses.robust_supcon import Kernel
from dfer.losses.supcon import unit_length
from dfer.predictions import Predictions
from dfer.runs import RunFolder

ETAS: Final = (0.1, 0.2, 0.5, 1.0)
TEMPERATURE: Final = 0.07
SIZE: Final = 32
ROUNDS: Final = 20

ABOUT: Final = (
    f"Test clips are shuffled {ROUNDS} times into batches of {SIZE}, as `dfew/hdf` has them. The kernel weighs each "
    "clip of another class by how near its similarity to the anchor is to η. `tempered`, the paper's: it is the cosine "
    f"over {TEMPERATURE}; `cosine`: it is the cosine; `none`: all weights are 1, the plain supervised contrastive "
    "loss. Shown are the mean of these weights, the share of them above 0.01, and the part of the denominator of Eq. "
    "13 that these clips hold, averaged over anchors with a positive."
)


@dataclass(frozen=True)
class Share:
    """What one kernel leaves: the mean weight, the share of weights above 0.01, the part of the denominator."""

    kernel_on: Kernel
    eta: float | None
    weight: float
    above: float
    denominator: float


@dataclass(frozen=True)
class Negatives:
    """All kernels on one run's clips, and the cosines between classes that they saw: mean, 5th and 95th percentile."""

    cosine: tuple[float, float, float]
    shares: tuple[Share, ...]


def negatives(
    embedding: ArrayLike,
    label: ArrayLike,
    temperature: float = TEMPERATURE,
    etas: Sequence[float] = ETAS,
    size: int = SIZE,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Negatives:
    """Measure in random batches how much each kernel leaves of the negatives.

    Paper: HDF, Eq. 13; the kernels are those of `dfer.losses.log_negative_weight`.

    Args:
        size: of a batch; one batch of all clips where there are fewer.
        rounds: how often the clips are shuffled; what fills no batch is left out.

    Shape:
        embedding ``(N, D)`` of any scale, label ``(N,)``.

    Raises:
        InputError: no clip with both a clip of its class and one of another beside it.

    Example:
        >>> found = negatives(np.repeat(np.eye(2), 4, axis=0), np.repeat([0, 1], 4), etas=[0.2])
        >>> [(share.kernel_on, round(share.weight, 2)) for share in found.shares]
        [('tempered', 0.61), ('cosine', 0.61), ('none', 1.0)]
    """
    z, y = unit_length(torch.as_tensor(np.asarray(embedding, np.float64))), torch.as_tensor(np.asarray(label))
    size, generator = max(1, min(size, len(z))), torch.Generator().manual_seed(seed)
    chosen = [torch.randperm(len(z), generator=generator)[: len(z) // size * size] for _ in range(rounds)]
    rows = torch.cat(chosen).view(-1, size)  # (batches, B)
    cosine = z[rows] @ z[rows].mT  # (batches, B, B)
    same = y[rows][:, :, None] == y[rows][:, None, :]
    others = ~torch.eye(size, dtype=torch.bool)
    anchor = (same & others).any(dim=2)  # (batches, B)
    negative = ~same & anchor[:, :, None]
    if not negative.any():
        raise InputError(f"{len(z)} clips in batches of {size}: none has both a positive and a negative beside it")

    def share(kernel_on: Kernel, eta: float | None) -> Share:
        log_weight = log_negative_weight(cosine, temperature, eta or ETAS[0], kernel_on)
        weight = log_weight.exp()[negative]
        logit = (cosine / temperature + log_weight.masked_fill(same, 0.0)).masked_fill(~others, -math.inf)
        held = logit.masked_fill(same, -math.inf).logsumexp(dim=2) - logit.logsumexp(dim=2)  # (batches, B)
        above = (weight > 0.01).double().mean().item()
        return Share(kernel_on, eta, weight.mean().item(), above, held.exp()[anchor].mean().item())

    asked = [(kernel, eta) for kernel in get_args(Kernel) for eta in ([None] if kernel == "none" else etas)]
    between = cosine[negative].numpy()
    low, high = np.percentile(between, [5, 95]).tolist()
    return Negatives((float(between.mean()), low, high), tuple(share(kernel, eta) for kernel, eta in asked))


def negatives_of(run: RunFolder, predictions: str = "test") -> Negatives:
    """Measure the kernels on the embeddings that a run saved with its predictions.

    Raises:
        InputError: not a run folder, no such predictions, or none of their clips has a positive and a negative.
    """
    run.read_manifest()
    found = Predictions.load(run.predictions(predictions))
    return negatives(found.embedding, found.label)


def markdown(found: dict[str, Negatives], command: str) -> str:
    """Write one table per run, below the command that made it."""
    parts = ["## The weight that HDF's kernels leave on negatives", f"```bash\n{command}\n```"]
    header = "| similarity | η | mean weight % | above 0.01 % | of the denominator % |\n|---|---:|---:|---:|---:|"
    for name, one in found.items():
        mean, low, high = one.cosine
        parts.append(f"### {name}")
        parts.append(f"Cosine between classes: {mean:.2f} on average, 90 % between {low:.2f} and {high:.2f}.")
        parts.append("\n".join([header, *map(_row, one.shares)]))
    return "\n\n".join([*parts, ABOUT]) + "\n"


def comma_separated(found: dict[str, Negatives]) -> str:
    """Write one line per run and kernel, as fractions."""
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(["run", "kernel_on", "eta", "weight", "above", "denominator"])
    for name, one in found.items():
        for share in one.shares:
            numbers = (share.weight, share.above, share.denominator)
            writer.writerow([name, share.kernel_on, share.eta or "", *(f"{number:.6g}" for number in numbers)])
    return content.getvalue()


def _row(share: Share) -> str:
    numbers = " | ".join(f"{100 * number:.2f}" for number in (share.weight, share.above, share.denominator))
    return f"| {share.kernel_on} | {'–' if share.eta is None else share.eta} | {numbers} |"
