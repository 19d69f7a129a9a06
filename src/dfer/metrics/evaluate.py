"""All figures of a test set in one call."""

from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from dfer.metrics.calibration import brier_score, expected_calibration_error, negative_log_likelihood
from dfer.metrics.recognition import confusion_matrix, per_class_recall, uar, war


class Figures(TypedDict):
    """Fractions; ``per_class`` is the recall (nan without a clip), ``confusion`` has a row per true class."""

    war: float
    uar: float
    ece: float
    nll: float
    brier: float
    per_class: list[float]
    confusion: list[list[int]]


def evaluate(probabilities: ArrayLike | Tensor, label: ArrayLike | Tensor) -> Figures:
    """Measure predictions: recognition (WAR, UAR, recall per class, confusion) and calibration (ECE, NLL, Brier).

    Shape:
        probabilities ``(N, K)`` (not logits), label ``(N,)``.

    Raises:
        ValueError: no clips, a label out of range, or rows that are no probabilities.

    Example:
        >>> figures = evaluate([[0.75, 0.25], [0.25, 0.75]], [0, 0])
        >>> figures["war"], figures["ece"], figures["confusion"]
        (0.5, 0.25, [[1, 1], [0, 0]])
    """
    p, y = _checked(_array(probabilities), _array(label))
    confusion = confusion_matrix(p.argmax(axis=1), y, p.shape[1])
    return {
        "war": war(confusion),
        "uar": uar(confusion),
        "ece": expected_calibration_error(p, y),
        "nll": negative_log_likelihood(p, y),
        "brier": brier_score(p, y),
        "per_class": per_class_recall(confusion).tolist(),
        "confusion": confusion.tolist(),
    }


def _array(values: ArrayLike | Tensor) -> NDArray[np.generic]:
    return values.detach().cpu().double().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _checked(p: NDArray[np.generic], y: NDArray[np.generic]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    if p.ndim != 2 or y.shape != p.shape[:1] or not p.size:
        raise ValueError(f"probabilities {p.shape} and label {y.shape}; wanted (N, K) and (N,) with N > 0")
    p64, y64 = p.astype(np.float64), y.astype(np.int64)
    wrong = ~(p64 >= 0).all(axis=1)  # nan is wrong as well
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"probabilities of row {row} are {p64[row].tolist()}; none may be negative or nan")
    wrong = np.abs(p64.sum(axis=1) - 1) > 1e-3  # softmax in float32 is far closer, logits are not
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"probabilities of row {row} sum to {p64[row].sum():.6g}, not 1; apply softmax to logits first"
        )
    outside = (y64 < 0) | (y64 >= p.shape[1]) | (y64 != y)
    if outside.any():
        row = int(outside.argmax())
        raise ValueError(f"label {y[row]} of row {row} is none of the {p.shape[1]} classes 0..{p.shape[1] - 1}")
    return p64, y64
