"""Hard, noisy and ordinary clips, told apart by two ranks."""

import math
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

ORDINARY: Final = 0
HARD: Final = 1
NOISY: Final = 2
VERDICTS: Final = ("ordinary", "hard", "noisy")
"""Names of the verdicts, by their numbers."""

RankBy = Literal["agreement", "loss"]


def verdicts(
    agreement: Tensor | ArrayLike,
    loss: Tensor | ArrayLike,
    *,
    hard_fraction: float = 0.2,
    noisy_fraction: float = 0.1,
    rank_by: RankBy = "agreement",
    total: int | None = None,
) -> Tensor:
    """Tell hard and noisy clips from ordinary ones by two ranks, of agreement and of loss.

    Paper: RDFER, Sec. III-A and Sec. IV-B; Table IV for the other ranks. Hard are at most ``hard_fraction`` of the
    clips, from the lowest agreement up, the largest loss first; noisy ``noisy_fraction`` of them among the rest, from
    the highest agreement down, the largest loss first. Ties go by row. Unlike the paper, only clips with agreement
    below 1 can be hard: late in training fewer than its share disagree, and filling it up with agreed clips of large
    loss would strengthen exactly the mislabelled ones.

    ``rank_by="loss"`` looks at the loss alone: hard are the largest, noisy the largest of the rest, whatever the clips
    agree on. With ``noisy_fraction=0`` that is Table IV's strengthening of big losses, with ``hard_fraction=0`` their
    weakening.

    Args:
        agreement: NaN where there is no record: such a clip is ordinary and not ranked.
        loss: of each clip; infinity is the largest loss, NaN is no record.
        total: number of clips that the fractions are of; None is all N, those without a record too.

    Shape:
        ``(N,)``, ``(N,)`` -> ``(N,)`` int64 of `ORDINARY`, `HARD` and `NOISY`, on the CPU.

    Raises:
        ValueError: fractions outside [0, 1] or adding to more than 1, an unknown rank, lengths that differ, a negative
            total.

    Example:
        >>> verdicts([0.5, 1.0, 1.0, 1.0, 1.0], [0.1, 3.0, 0.2, 0.1, 0.3], hard_fraction=0.4, noisy_fraction=0.2)
        tensor([1, 2, 0, 0, 0])
    """
    check_fractions(hard_fraction, noisy_fraction)
    check_choice("rank_by", rank_by, ("agreement", "loss"))
    share, size = doubles(agreement), doubles(loss)
    if share.ndim != 1 or share.shape != size.shape:
        raise ValueError(f"agreement of shape {share.shape} and loss of shape {size.shape} are not both (N,)")
    if total is not None and total < 0:
        raise ValueError(f"total {total} is negative")
    of = len(share) if total is None else total
    if rank_by == "loss":
        share = np.where(np.isnan(share), np.nan, 0.0)
    found = np.full(len(share), ORDINARY)
    known = np.flatnonzero(~np.isnan(share) & ~np.isnan(size))
    can_be_hard = known[share[known] < 1]
    by_disagreement = can_be_hard[np.lexsort((-size[can_be_hard], share[can_be_hard]))]  # stable: ties stay by row
    found[by_disagreement[: _count(hard_fraction, of)]] = HARD
    rest = known[found[known] == ORDINARY]
    by_suspicion = rest[np.lexsort((-size[rest], -share[rest]))]
    found[by_suspicion[: _count(noisy_fraction, of)]] = NOISY
    return torch.from_numpy(found.astype(np.int64))


def check_fractions(hard_fraction: float, noisy_fraction: float) -> None:
    """Refuse shares of clips that cannot be.

    Raises:
        ValueError: outside [0, 1], or adding to more than 1, with the values.
    """
    for name, value in (("hard_fraction", hard_fraction), ("noisy_fraction", noisy_fraction)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} {value} is not in [0, 1]; the paper takes 0.2 for hard and 0.1 for noisy clips")
    if hard_fraction + noisy_fraction > 1 + 1e-9:
        raise ValueError(f"hard_fraction {hard_fraction} and noisy_fraction {noisy_fraction} add to more than 1")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} {value!r} is unknown; give {' or '.join(choices)}")


def _count(fraction: float, total: int) -> int:
    return math.floor(fraction * total + 1e-9)  # 0.29 * 100 is 28.999999999999996


def doubles(values: Tensor | ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values.detach().cpu().double() if isinstance(values, Tensor) else values, dtype=np.float64)
