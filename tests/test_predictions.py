"""Saved predictions."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from dfer.errors import InputError
from dfer.predictions import Predictions


def make(clip_logits: bool = True) -> Predictions:
    rng = np.random.default_rng(0)
    return Predictions(
        logits=rng.normal(size=(5, 3)).astype(np.float32),
        label=np.array([0, 1, 2, 0, 1]),
        row=np.array([4, 3, 2, 1, 0]),
        clip_id=np.array(["a/1", "b ü", "-c", "d", "e"]),
        embedding=rng.normal(size=(5, 8)).astype(np.float32),
        labels=("happy", "sad", "neutral"),
        clip_logits=rng.normal(size=(5, 4, 3)).astype(np.float32) if clip_logits else None,
        temperature=1.5,
        about={"run": "x", "split": "test"},
    )


@pytest.mark.parametrize("clip_logits", [True, False])
def test_round_trip(tmp_path: Path, clip_logits: bool) -> None:
    before = make(clip_logits)
    before.save(tmp_path / "p" / "test.npz")
    after = Predictions.load(tmp_path / "p" / "test.npz")
    for name in ("logits", "label", "row", "clip_id", "embedding"):
        assert np.array_equal(getattr(before, name), getattr(after, name))
    assert after.labels == before.labels
    assert after.temperature == 1.5
    assert after.about == {"run": "x", "split": "test"}
    assert (after.clip_logits is None) == (not clip_logits)


def test_probabilities_are_softmax_after_the_temperature() -> None:
    predictions = make()
    np.testing.assert_allclose(predictions.probabilities(), softmax(predictions.logits / 1.5, axis=1), rtol=1e-6)
    np.testing.assert_allclose(predictions.probabilities(1.0), softmax(predictions.logits, axis=1), rtol=1e-6)


def test_huge_logits_stay_finite() -> None:
    predictions = replace(make(), logits=np.array([[1e4, -1e4, 0]] * 5, dtype=np.float32))
    np.testing.assert_array_equal(predictions.probabilities(), [[1, 0, 0]] * 5)


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="5 rows of logits but 4 of label"):
        replace(make(), label=np.zeros(4, dtype=np.int64))
    with pytest.raises(ValueError, match="do not fit 2 labels"):
        replace(make(), labels=("a", "b"))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"text"])
def test_a_damaged_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "test.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="no predictions file"):
        Predictions.load(path)


def test_a_missing_file_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="dfer evaluate"):
        Predictions.load(tmp_path / "none.npz")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "test.npz"
    np.savez(path, logits=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="no predictions file"):
        Predictions.load(path)
