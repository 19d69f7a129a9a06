"""Bootstrap intervals over clips."""

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import DegenerateDataWarning, bootstrap

Interval = tuple[float, float]


def intervals(
    probabilities: NDArray[np.float64], label: NDArray[np.int64], resamples: int = 1000, seed: int = 0
) -> dict[str, Interval | list[Interval | None]]:
    """Give the 95 % percentile interval of every figure: clips drawn again with replacement.

    ``per_class`` is a list with None for a class without a clip. A resample that misses a class leaves it out of UAR.

    Shape:
        probabilities ``(N, K)``, label ``(N,)``.
    """
    classes = probabilities.shape[1]
    correct = probabilities.argmax(axis=1) == label
    member = label == np.arange(classes)[:, None]  # (K, N)
    confidence = probabilities.max(axis=1)
    bins = 15
    which = np.searchsorted(np.arange(1, bins) / bins, confidence, side="left")
    gap = (confidence - correct) * (which == np.arange(bins)[:, None])  # (15, N)
    true = probabilities[np.arange(len(label)), label]
    nll = -np.log(np.maximum(true, np.finfo(np.float64).eps))
    brier = ((probabilities - np.eye(classes)[label]) ** 2).sum(axis=1)

    def recall(k: int, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        count = member[k][rows].sum(axis=-1)
        right = (member[k] & correct)[rows].sum(axis=-1)
        return np.where(count > 0, right / np.maximum(count, 1), np.nan)

    def uar(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.nanmean(np.stack([recall(k, rows) for k in range(classes)]), axis=0)  # type: ignore[no-any-return]

    def ece(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        parts = [np.abs(gap[b][rows].sum(axis=-1)) for b in range(bins)]
        return np.sum(parts, axis=0) / rows.shape[-1]  # type: ignore[no-any-return]

    def of(statistic: Callable[[NDArray[np.int64]], NDArray[np.float64]]) -> Interval:
        index = np.arange(len(label))
        if len(index) < 2:  # nothing to draw from
            value = float(statistic(index))
            return value, value
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DegenerateDataWarning)  # all right, or all wrong: an interval of no width
            drawn = bootstrap(
                (index,),
                lambda rows, axis: statistic(np.moveaxis(rows, axis, -1)),
                n_resamples=resamples,
                batch=100,
                vectorized=True,
                method="percentile",
                rng=np.random.default_rng(seed),
            ).bootstrap_distribution
        low, high = np.nanpercentile(drawn, [2.5, 97.5])
        return float(low), float(high)

    return {
        "war": of(lambda rows: correct[rows].mean(axis=-1)),
        "uar": of(uar),
        "ece": of(ece),
        "nll": of(lambda rows: nll[rows].mean(axis=-1)),
        "brier": of(lambda rows: brier[rows].mean(axis=-1)),
        "per_class": [of(lambda rows, k=k: recall(k, rows)) if member[k].any() else None for k in range(classes)],  # type: ignore[misc]
    }
