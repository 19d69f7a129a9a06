import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, log_loss
from torchmetrics.functional.classification import multiclass_calibration_error

from dfer.metrics import brier_score, expected_calibration_error, negative_log_likelihood, reliability


def draw(count: int = 400) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(1)
    return rng.dirichlet(np.full(7, 0.3), count), rng.integers(0, 6, count)  # class 6 is absent


def slow_ece(probabilities: NDArray[np.float64], label: NDArray[np.int64], bins: int) -> float:
    total = 0.0
    for m in range(1, bins + 1):
        rows = [i for i, p in enumerate(probabilities) if (m - 1) / bins < p.max() <= m / bins]
        if rows:
            accuracy = np.mean([probabilities[i].argmax() == label[i] for i in rows])
            confidence = np.mean([probabilities[i].max() for i in rows])
            total += len(rows) / len(label) * abs(accuracy - confidence)
    return total


def test_ece_equals_the_equation_and_torchmetrics() -> None:
    p, y = draw()
    assert expected_calibration_error(p, y) == pytest.approx(slow_ece(p, y, 15))
    theirs = multiclass_calibration_error(torch.tensor(p), torch.tensor(y), num_classes=7, n_bins=15, norm="l1")
    assert expected_calibration_error(p, y) == pytest.approx(float(theirs), abs=1e-6)


def test_bins_are_closed_on_the_right() -> None:
    p = np.array([[0.75, 0.25], [0.5, 0.5], [1.0, 0.0], [0.8, 0.2]])
    _, _, count = reliability(p, np.zeros(4, dtype=np.int64), bins=4)
    assert count.tolist() == [0, 1, 1, 2]
    y = np.array([0, 1, 0, 1])
    assert expected_calibration_error(p, y, bins=4) == pytest.approx(slow_ece(p, y, 4))


def test_nll_and_brier_equal_scikit_learn() -> None:
    p, y = draw()
    assert negative_log_likelihood(p, y) == pytest.approx(log_loss(y, p, labels=range(7)))
    assert brier_score(p, y) == pytest.approx(brier_score_loss(y, p, labels=range(7), scale_by_half=False))


def test_a_probability_of_zero_is_finite_as_in_scikit_learn() -> None:
    p, y = np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([1, 0])
    assert negative_log_likelihood(p, y) == pytest.approx(log_loss(y, p, labels=[0, 1]))
