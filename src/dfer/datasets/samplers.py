"""Which rows an epoch visits, in which order, and which are held out."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch.utils.data import Sampler

ORDER, SPLIT = (1,), (2,)  # spawn keys: these draws are independent of the clips' own


class EpochSampler(Sampler[tuple[int, ...]]):
    """Yield ``(epoch, row)``, so that a worker knows the epoch however long it lives.

    The order depends on ``(seed, epoch)`` alone. Lightning calls ``set_epoch``, also through its distributed wrapper.

    Args:
        weights: one per row; given, ``len(rows)`` rows are drawn with replacement in proportion to them, and
            ``(epoch, row, repeat)`` numbers the visits to a row, so that each is augmented differently.

    Example:
        >>> sampler = EpochSampler([3, 5, 8], shuffle=False, seed=0)
        >>> sampler.set_epoch(2)
        >>> list(sampler)
        [(2, 3), (2, 5), (2, 8)]
    """

    def __init__(
        self, rows: Sequence[int] | NDArray[np.int64], *, shuffle: bool, seed: int, weights: ArrayLike | None = None
    ) -> None:
        self.rows = np.asarray(rows, dtype=np.int64)
        self.shuffle = shuffle
        self.seed = seed
        self.epoch = 0
        self.probability: NDArray[np.float64] | None = None
        if weights is not None:
            weight = np.asarray(weights, dtype=np.float64)
            if weight.shape != self.rows.shape:
                raise ValueError(f"one weight per row: got {weight.shape} for {self.rows.shape}")
            if not (np.isfinite(weight).all() and (weight >= 0).all() and weight.sum() > 0):
                raise ValueError("weights must be finite, not negative, and not all zero")
            self.probability = weight / weight.sum()

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next pass."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        epoch = self.epoch
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, epoch], spawn_key=ORDER))
        if self.probability is None:
            rows = rng.permutation(self.rows) if self.shuffle else self.rows
            yield from ((epoch, int(row)) for row in rows)
            return
        visits: dict[int, int] = {}
        for row in rng.choice(self.rows, size=len(self.rows), p=self.probability).tolist():
            repeat = visits[row] = visits.get(row, -1) + 1
            yield epoch, row, repeat


def held_out_split(
    targets: NDArray[np.int64], groups: NDArray[np.str_] | None, fraction: float = 0.1, seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split rows into training and held-out ones, class by class, no group on both sides.

    Every class with at least two clips has a clip on both sides, unless all its clips belong to one group (they
    stay in training) or every choice of groups would empty a class. With groups the fraction is met as nearly
    as whole groups allow.

    Returns:
        The rows of both sides, ascending.

    Example:
        >>> train, held_out = held_out_split(np.repeat([0, 1], 10), None, 0.2)
        >>> len(train), len(held_out), np.bincount(np.repeat([0, 1], 10)[held_out])
        (16, 4, array([2, 2]))
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must lie between 0 and 1, got {fraction}")
    names = np.arange(len(targets)) if groups is None else np.asarray(groups)
    if len(names) != len(targets):
        raise ValueError(f"one group per row: got {len(names)} for {len(targets)}")
    member = np.unique(names, return_inverse=True)[1]  # (N,)
    counts = np.zeros((int(member.max(initial=-1)) + 1, int(targets.max(initial=-1)) + 1), dtype=np.int64)  # (G, K)
    np.add.at(counts, (member, targets), 1)
    total = counts.sum(axis=0)  # (K,)
    need = np.where(total >= 2, np.maximum(1, np.rint(fraction * total)), 0).astype(np.int64)
    taken = _take_groups(counts, need, np.random.default_rng(np.random.SeedSequence(seed, spawn_key=SPLIT)))
    held_out = taken[member]
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _take_groups(counts: NDArray[np.int64], need: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Fill the need of each class, the rarest first, with the group that overshoots least."""
    taken = np.zeros(len(counts), dtype=np.bool_)
    total = left = counts.sum(axis=0)
    keep = np.minimum(total, 1)  # every class keeps one clip in training
    order = rng.permutation(len(counts))
    for k in np.argsort(total, kind="stable"):
        candidates = order[counts[order, k] > 0]
        while need[k] > 0:
            candidates = candidates[~taken[candidates] & (left - counts[candidates] >= keep).all(axis=1)]
            over = np.maximum(counts[candidates] - np.maximum(need, 0), 0).sum(axis=1)
            if not len(candidates) or (left[k] < total[k] and over.min() > need[k]):
                break  # nothing fits, or the best group would miss the mark by more than taking none
            best = candidates[over.argmin()]
            taken[best] = True
            need = need - counts[best]
            left = left - counts[best]
    return taken
