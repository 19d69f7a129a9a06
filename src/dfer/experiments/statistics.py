"""What a row's saved predictions say, and whether it differs from the baseline's on the same clips.

Every metric here is a function of sums over clips of a few terms per clip; so a resample of the clips is one product
of counts with terms, and thousands of resamples take a moment.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from dfer.metrics import Figures, evaluate
from dfer.predictions import Predictions

METRICS: Final = ("war", "uar", "ece", "nll", "brier")
"""Metrics of a run, fractions; for the last three smaller is better."""

BINS: Final = 15
RESAMPLES: Final = 2000

Unit = tuple[int, int | None]
"""The seed and the fold of a run; no fold where the data has one split."""


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation (None for one run) over ``n`` runs."""

    mean: float
    deviation: float | None
    n: int


@dataclass(frozen=True)
class Difference:
    """A row minus the baseline on the same clips, over the ``n`` seeds and folds that both have."""

    value: float
    low: float
    high: float
    n: int

    @property
    def none(self) -> bool:
        """Whether the interval contains 0: then the table says "no difference"."""
        return self.low <= 0 <= self.high


def summary(values: Sequence[float]) -> Summary:
    """Average some runs' values.

    Example:
        >>> summary([1.0, 3.0])
        Summary(mean=2.0, deviation=1.4142135623730951, n=2)
    """
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Summary(float(np.mean(values)), deviation, len(values))


def figures(predictions: Predictions) -> Figures:
    """Measure one run, before any temperature, as the published figures are."""
    return evaluate(predictions.probabilities(1.0), predictions.label)


def paired_difference(
    row: Mapping[Unit, Predictions], baseline: Mapping[Unit, Predictions], metric: str, *, confidence: float = 0.95
) -> Difference | None:
    """Compare a row with the baseline, seed by seed and fold by fold, each pair on the same test clips.

    The value is the mean over folds and seeds of the difference of the metric. The interval is a percentile bootstrap
    in which seeds and clips are resampled crosswise (Owen 2007, "The pigeonhole bootstrap"): every resample draws
    clips within each fold, the same for both rows and all seeds, and, from two seeds on, draws seeds. With a single
    seed the interval says what other clips would do, not what another training would. Folds are all there are, and
    are not drawn.

    Returns:
        None where no seed and fold is common to both, or where their clips differ.
    """
    seeds, folds = _common(row.keys() & baseline.keys())
    pairs = {(s, f): (_by_clip(row[s, f]), _by_clip(baseline[s, f])) for s in seeds for f in folds}
    terms: list[NDArray[np.float64]] = []
    for fold in folds:
        clips = pairs[seeds[0], fold][0].clip_id
        if any(not np.array_equal(one.clip_id, clips) for s in seeds for one in pairs[s, fold]):
            return None
        terms.append(np.stack([[_terms(one, metric) for one in pairs[s, fold]] for s in seeds]))  # (S, 2, N, M)
    if not terms:
        return None

    def statistic(drawn: NDArray[np.int64], *clips: NDArray[np.int64], axis: int = -1) -> NDArray[np.float64]:
        # drawn (R, S) or (S,), clips (R, N) or (N,) for each fold
        total = np.zeros(np.atleast_2d(drawn).shape)  # (R, S)
        for fold_terms, index in zip(terms, clips, strict=True):
            weights = _counts(np.atleast_2d(index))  # (R, N)
            sums = np.einsum("rn,stnm->strm", weights, fold_terms, optimize=True)
            measured = _reduce(sums, weights.shape[1], metric)  # (S, 2, R)
            total += np.take_along_axis((measured[:, 0] - measured[:, 1]).T, np.atleast_2d(drawn), axis=1)
        result = np.nanmean(total, axis=1) / len(terms)
        return result if drawn.ndim > 1 else result[0]  # type: ignore[no-any-return]

    samples = [np.arange(len(seeds)), *(np.arange(one.shape[2]) for one in terms)]
    found = float(statistic(*samples))
    spread = _interval(samples, statistic, confidence)
    return Difference(found, *spread, n=len(pairs))


def _interval(samples: list[NDArray[np.int64]], statistic: Any, confidence: float) -> tuple[float, float]:
    if len(samples[0]) == 1:  # scipy wants two of everything that it draws from
        samples, only = samples[1:], samples[0]

        def with_one_seed(*clips: NDArray[np.int64], axis: int = -1) -> NDArray[np.float64]:
            return statistic(np.zeros((*clips[0].shape[:-1], 1), dtype=only.dtype), *clips)  # type: ignore[no-any-return]

        chosen: Any = with_one_seed
    else:
        chosen = statistic
    if any(len(sample) < 2 for sample in samples):
        return -math.inf, math.inf  # one clip says nothing
    interval = bootstrap(
        samples,
        chosen,
        n_resamples=RESAMPLES,
        batch=100,
        vectorized=True,
        method="percentile",
        confidence_level=confidence,
        rng=np.random.default_rng(0),  # the same table twice
    ).confidence_interval
    return float(interval.low), float(interval.high)


def _common(units: set[Unit]) -> tuple[list[int], list[int | None]]:
    """Choose seeds that have all the folds of the first seed; seeds are outermost, so the first has the most."""
    if not units:
        return [], []
    first = min(seed for seed, _ in units)
    folds = sorted((fold for seed, fold in units if seed == first), key=lambda fold: fold or 0)
    return sorted(s for s in {seed for seed, _ in units} if all((s, fold) in units for fold in folds)), folds


def _by_clip(predictions: Predictions) -> Predictions:
    order = np.argsort(predictions.clip_id, kind="stable")
    return Predictions(
        predictions.logits[order],
        predictions.label[order],
        predictions.row[order],
        predictions.clip_id[order],
        predictions.embedding[order],
        predictions.labels,
    )


def _counts(index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Count how often each clip was drawn, ``(R, N)`` indices -> ``(R, N)``."""
    R, N = index.shape
    flat = (index + N * np.arange(R)[:, None]).ravel()
    return np.bincount(flat, minlength=R * N).reshape(R, N).astype(np.float64)


def _terms(predictions: Predictions, metric: str) -> NDArray[np.float64]:
    """Give each clip's part in the sums that make the metric, ``(N, M)``."""
    p, y = predictions.probabilities(1.0), predictions.label
    terms: NDArray[np.float64]
    correct = (p.argmax(axis=1) == y).astype(np.float64)
    if metric == "war":
        terms = correct[:, None]
    elif metric == "uar":
        truth = np.eye(p.shape[1])[y]
        terms = np.concatenate([truth * correct[:, None], truth], axis=1)  # (N, 2 K)
    elif metric == "ece":
        confidence = p.max(axis=1)
        which = np.searchsorted(np.arange(1, BINS) / BINS, confidence, side="left")  # closed on the right
        terms = np.eye(BINS)[which] * (confidence - correct)[:, None]
    elif metric == "nll":
        terms = -np.log(np.maximum(p[np.arange(len(y)), y], np.finfo(np.float64).eps))[:, None]
    elif metric == "brier":
        terms = ((p - np.eye(p.shape[1])[y]) ** 2).sum(axis=1, keepdims=True)
    else:
        raise ValueError(f"metric must be one of {', '.join(METRICS)}, got {metric!r}")
    return terms


def _reduce(sums: NDArray[np.float64], clips: int, metric: str) -> NDArray[np.float64]:
    """Make the metric of sums over clips, ``(..., M)`` -> ``(...)``."""
    whole: NDArray[np.float64]
    if metric == "uar":
        hits, count = np.split(sums, 2, axis=-1)  # (..., K)
        whole = np.nanmean(np.where(count > 0, hits / np.maximum(count, 1), np.nan), axis=-1)
    elif metric == "ece":
        whole = np.abs(sums).sum(axis=-1) / clips
    else:
        whole = sums[..., 0] / clips
    return whole
