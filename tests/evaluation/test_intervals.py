"""Bootstrap intervals."""

import numpy as np
import pytest

from dfer.evaluation import intervals
from dfer.metrics import evaluate


def made(count: int = 150) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    label = rng.integers(0, 3, count)
    logits = rng.normal(size=(count, 4)) + 1.2 * np.eye(4)[label]
    exp = np.exp(logits)
    return exp / exp.sum(axis=1, keepdims=True), label


def test_equals_plain_loops_over_resamples() -> None:
    probabilities, label = made()
    rng = np.random.default_rng(5)
    drawn = []
    for _ in range(600):
        rows = rng.integers(0, len(label), len(label))
        drawn.append(evaluate(probabilities[rows], label[rows]))
    found = intervals(probabilities, label, resamples=2000)
    for name in ("war", "uar", "ece", "nll", "brier"):
        values = np.array([one[name] for one in drawn])  # type: ignore[literal-required]
        low, high = np.percentile(values, [2.5, 97.5])
        width = high - low
        assert found[name][0] == pytest.approx(low, abs=0.15 * width), name
        assert found[name][1] == pytest.approx(high, abs=0.15 * width), name


def test_contains_the_figure_itself() -> None:
    probabilities, label = made()
    figures = evaluate(probabilities, label)
    found = intervals(probabilities, label)
    for name in ("war", "uar", "nll", "brier"):
        assert found[name][0] < figures[name] < found[name][1]  # type: ignore[literal-required]


def test_a_class_without_a_clip_has_no_interval() -> None:
    probabilities, label = made()
    per_class = intervals(probabilities, label)["per_class"]
    assert per_class[3] is None
    assert all(one is not None for one in per_class[:3])


def test_is_repeatable_and_narrows_with_clips() -> None:
    few, many = intervals(*made(60)), intervals(*made(3000))
    assert few == intervals(*made(60))
    assert many["war"][1] - many["war"][0] < few["war"][1] - few["war"][0]  # type: ignore[operator]


def test_one_clip_and_all_right() -> None:
    probabilities = np.array([[0.9, 0.1]])
    assert intervals(probabilities, np.array([0]))["war"] == (1.0, 1.0)
    assert intervals(np.repeat(probabilities, 9, axis=0), np.zeros(9, int))["war"] == (1.0, 1.0)
