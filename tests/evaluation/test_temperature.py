"""Temperature scaling."""

import numpy as np
import pytest
from scipy.special import log_softmax

from dfer.evaluation import fit_temperature


def slow(logits: np.ndarray, label: np.ndarray) -> float:
    """Try many temperatures."""
    tried = np.exp(np.linspace(np.log(0.05), np.log(20), 4001))
    losses = [-log_softmax(logits / t, axis=1)[np.arange(len(label)), label].mean() for t in tried]
    return float(tried[int(np.argmin(losses))])


@pytest.mark.parametrize("seed", range(4))
def test_equals_a_search_over_a_grid(seed: int) -> None:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 5, 300)
    logits = 3 * rng.normal(size=(300, 5)) + 4 * np.eye(5)[label] * rng.random((300, 1))
    assert fit_temperature(logits.astype(np.float32), label) == pytest.approx(slow(logits, label), rel=5e-3)


def test_a_model_drawn_from_its_own_probabilities_needs_none() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20000, 4)) * 2
    label = np.array([rng.choice(4, p=np.exp(row)) for row in log_softmax(logits, axis=1)])
    assert fit_temperature(logits.astype(np.float32), label) == pytest.approx(1, abs=0.05)


def test_all_right_stays_within_bounds() -> None:
    assert 0.049 < fit_temperature(np.eye(4, dtype=np.float32), np.arange(4)) < 0.06


def test_all_wrong_stays_within_bounds() -> None:
    assert 19 < fit_temperature(np.eye(4, dtype=np.float32), np.roll(np.arange(4), 1)) < 20.1


def test_no_clip_is_refused() -> None:
    with pytest.raises(ValueError, match="no clip"):
        fit_temperature(np.zeros((0, 3), np.float32), np.zeros(0, np.int64))
