"""How far probabilities can be trusted."""

import numpy as np
from numpy.typing import NDArray


def expected_calibration_error(probabilities: NDArray[np.float64], label: NDArray[np.int64], bins: int = 15) -> float:
    """Average the distance of confidence from accuracy over bins of confidence, each weighted by its clips.

    Paper: SAFE, Eq. 11-12. Equal bins, closed on the right: ``((m-1)/M, m/M]``. torchmetrics closes them on the left,
    which differs for confidences on an edge (and puts a confidence of 1 into a bin of its own), so this counts itself.

    Shape:
        probabilities ``(N, K)``, label ``(N,)`` -> fraction.

    Example:
        >>> expected_calibration_error(np.array([[0.75, 0.25], [0.25, 0.75]]), np.array([0, 0]))
        0.25
    """
    confidence, correct, count = reliability(probabilities, label, bins)
    return float(np.abs(confidence - correct).sum() / count.sum())


def reliability(
    probabilities: NDArray[np.float64], label: NDArray[np.int64], bins: int = 15
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Sum confidence, sum correct and count clips in each bin of confidence, ``(bins,)`` each.

    Example:
        >>> [part.tolist() for part in reliability(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([0, 1]), bins=2)]
        [[0.5, 1.0], [0.0, 1.0], [1, 1]]
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == label
    edges = np.arange(1, bins) / bins
    which = np.searchsorted(edges, confidence, side="left")  # an edge belongs to the bin it ends
    return (
        np.bincount(which, weights=confidence, minlength=bins).astype(np.float64),
        np.bincount(which, weights=correct, minlength=bins).astype(np.float64),
        np.bincount(which, minlength=bins),
    )


def negative_log_likelihood(probabilities: NDArray[np.float64], label: NDArray[np.int64]) -> float:
    """Average ``-log p_y``; a probability of 0 counts as float64's epsilon, as in scikit-learn.

    Paper: SAFE, Eq. 13.

    Example:
        >>> round(negative_log_likelihood(np.array([[0.5, 0.5]]), np.array([0])), 4)
        0.6931
    """
    true = probabilities[np.arange(len(label)), label]
    return float(-np.log(np.maximum(true, np.finfo(np.float64).eps)).mean())


def brier_score(probabilities: NDArray[np.float64], label: NDArray[np.int64]) -> float:
    """Average the squared distance of the probabilities from the truth, summed over classes: 0 to 2.

    Paper: SAFE, Eq. 14.

    Example:
        >>> brier_score(np.array([[0.5, 0.5]]), np.array([0]))
        0.5
    """
    truth = np.eye(probabilities.shape[1])[label]
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())
