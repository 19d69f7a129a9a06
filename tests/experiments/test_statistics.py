import math
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from dfer.experiments.statistics import METRICS, figures, paired_difference, summary
from dfer.metrics import evaluate
from dfer.predictions import Predictions

Make = Callable[..., Predictions]


def subset(predictions: Predictions, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return predictions.probabilities(1.0)[rows], predictions.label[rows]


@pytest.mark.parametrize("metric", METRICS)
def test_one_seed_equals_a_plain_loop_over_the_same_draws(metric: str, predictions: Make) -> None:
    row, base = predictions(0, 2.0), predictions(0, 1.0)
    found = paired_difference({(0, None): row}, {(0, None): base}, metric)
    assert found is not None
    rng, clips, loop = np.random.default_rng(0), len(row), []
    for _ in range(20):  # scipy draws in batches of 100
        for drawn in rng.integers(0, clips, (100, clips)):
            ours, theirs = (evaluate(*subset(one, drawn))[metric] for one in (row, base))  # type: ignore[literal-required]
            loop.append(ours - theirs)
    low, high = np.percentile(loop, [2.5, 97.5])
    assert found.value == pytest.approx(figures(row)[metric] - figures(base)[metric])  # type: ignore[literal-required]
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)
    assert found.n == 1


@pytest.mark.parametrize("metric", ["war", "uar", "ece"])
def test_seeds_and_folds_equal_a_plain_loop(metric: str, predictions: Make) -> None:
    units = [(seed, fold) for seed in range(3) for fold in (1, 2)]
    clips = {1: 30, 2: 44}
    row = {(s, f): predictions(10 * s + f, 1.5, clips[f]) for s, f in units}  # type: ignore[index]
    base = {(s, f): predictions(10 * s + f, 1.3, clips[f]) for s, f in units}  # type: ignore[index]
    found = paired_difference(row, base, metric)
    assert found is not None
    rng, loop = np.random.default_rng(5), []
    for _ in range(1500):
        drawn = {f: rng.integers(0, n, n) for f, n in clips.items()}
        total = 0.0
        for seed in rng.integers(0, 3, 3):
            for fold in (1, 2):
                ours = evaluate(*subset(row[seed, fold], drawn[fold]))[metric]  # type: ignore[literal-required]
                theirs = evaluate(*subset(base[seed, fold], drawn[fold]))[metric]  # type: ignore[literal-required]
                total += (ours - theirs) / 6
        loop.append(total)
    mean = np.mean([figures(row[u])[metric] - figures(base[u])[metric] for u in units])  # type: ignore[literal-required]
    assert found.value == pytest.approx(float(mean))
    width = np.percentile(loop, 97.5) - np.percentile(loop, 2.5)
    assert found.low == pytest.approx(np.percentile(loop, 2.5), abs=0.08 * width)  # other draws
    assert found.high == pytest.approx(np.percentile(loop, 97.5), abs=0.08 * width)
    assert found.n == 6


def test_pairs_are_made_by_clip_whatever_the_order(predictions: Make) -> None:
    row, base = predictions(0, 2.0), predictions(1, 1.0)
    order = np.random.default_rng(3).permutation(len(row))
    arrays = {name: getattr(row, name)[order] for name in ("logits", "label", "row", "clip_id", "embedding")}
    one = paired_difference({(0, None): row}, {(0, None): base}, "war")
    other = paired_difference({(0, None): replace(row, **arrays)}, {(0, None): base}, "war")
    assert one == other


def test_other_clips_cannot_be_paired(predictions: Make) -> None:
    row = predictions(0, 2.0)
    foreign = replace(row, clip_id=np.array([f"other {name}" for name in row.clip_id]))
    assert paired_difference({(0, None): row}, {(0, None): foreign}, "war") is None
    assert paired_difference({(0, None): row}, {(0, None): predictions(0, 1.0, 39)}, "war") is None
    assert paired_difference({(0, None): row}, {(1, None): row}, "war") is None
    assert paired_difference({}, {}, "war") is None


def test_seeds_that_lack_a_fold_are_left_out(predictions: Make) -> None:
    whole = {(s, f): predictions(s, 1.0) for s in range(2) for f in (1, 2)}
    part = {unit: one for unit, one in whole.items() if unit != (1, 2)}
    found = paired_difference(whole, part, "war")
    assert found is not None
    assert (found.value, found.low, found.high, found.n) == (0.0, 0.0, 0.0, 2)
    assert found.none


def test_a_clear_gain_is_a_difference(predictions: Make) -> None:
    found = paired_difference({(0, None): predictions(0, 4.0, 300)}, {(0, None): predictions(0, 0.5, 300)}, "war")
    assert found is not None
    assert not found.none
    assert found.low > 0


def test_one_clip_says_nothing(predictions: Make) -> None:
    found = paired_difference({(0, None): predictions(0, 4.0, 1)}, {(0, None): predictions(0, 0.1, 1)}, "war")
    assert found is not None
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert found.none


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    labels = ("a", "b")
    rng, inside, trials = np.random.default_rng(1), 0, 200
    for _ in range(trials):
        right = rng.random((2, 100)) < np.array([[0.7], [0.6]])  # true difference 0.1
        zeros, names = np.zeros(100, np.int64), np.array([f"{i:03d}" for i in range(100)])
        pair = [
            Predictions(
                np.stack([one, ~one], 1).astype(np.float32), zeros, zeros, names, np.zeros((100, 1), np.float32), labels
            )
            for one in right
        ]
        found = paired_difference({(0, None): pair[0]}, {(0, None): pair[1]}, "war")
        assert found is not None
        inside += found.low <= 0.1 <= found.high
    assert 0.90 <= inside / trials <= 0.99


def test_a_real_test_set_takes_moments(predictions: Make) -> None:
    runs = {(seed, None): predictions(seed, 1.0, 2300) for seed in range(3)}
    start = time.perf_counter()
    paired_difference(runs, runs, "uar")
    assert time.perf_counter() - start < 20


def test_one_run_has_no_deviation() -> None:
    assert summary([0.5]).deviation is None
    assert summary([1.0, 2.0, 3.0]).deviation == pytest.approx(1.0)


def test_an_unknown_metric_is_refused(predictions: Make) -> None:
    with pytest.raises(ValueError, match="got 'accuracy'"):
        paired_difference({(0, None): predictions(0, 1.0)}, {(0, None): predictions(0, 1.0)}, "accuracy")
