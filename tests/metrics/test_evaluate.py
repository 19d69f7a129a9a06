import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dfer.metrics import evaluate


@given(st.integers(1, 40), st.integers(2, 11), st.integers(0, 99))
def test_figures_lie_in_their_ranges_and_agree(count: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, y = rng.dirichlet(np.ones(classes), count), rng.integers(0, classes, count)
    figures = evaluate(p, y)
    assert all(0 <= figures[name] <= 1 for name in ("war", "uar", "ece"))
    assert 0 <= figures["brier"] <= 2
    assert figures["nll"] >= 0
    assert np.sum(figures["confusion"]) == count
    np.testing.assert_equal(evaluate(torch.tensor(p), torch.tensor(y)), figures)


def test_plain_values_from_float32_tensors() -> None:
    p = torch.randn(50, 7).softmax(dim=1)
    figures = evaluate(p, torch.arange(50) % 7)
    assert type(figures["war"]) is float
    assert type(figures["per_class"][0]) is float
    assert type(figures["confusion"][0][0]) is int
    assert list(figures) == ["war", "uar", "ece", "nll", "brier", "per_class", "confusion"]


@pytest.mark.parametrize(
    ("probabilities", "label", "said"),
    [
        ([[2.0, -1.0]], [0], r"row 0 are \[2.0, -1.0\]"),
        ([[0.5, 0.5], [float("nan"), 1.0]], [0, 0], "row 1 are"),
        ([[0.5, 0.5], [3.0, 1.0]], [0, 0], "row 1 sum to 4, not 1"),
        ([[0.5, 0.5]], [2], "label 2 of row 0"),
        ([[0.5, 0.5]], [-1], "label -1"),
        ([[0.5, 0.5]], [0, 1], r"\(1, 2\) and label \(2,\)"),
        (np.zeros((0, 7)), [], r"\(0, 7\)"),
    ],
)
def test_bad_input_is_refused_with_its_value(probabilities: list[list[float]], label: list[int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        evaluate(probabilities, label)
