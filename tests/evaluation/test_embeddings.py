"""Test clips in the plane."""

import numpy as np
import pytest

from dfer.errors import InputError
from dfer.evaluation.embeddings import project


def test_groups_stay_apart_and_the_picture_is_repeatable() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(3), 20)
    found = project((10 * np.eye(3)[groups] + rng.normal(0, 0.1, (60, 3))).astype(np.float32))
    distance = np.linalg.norm(found[:, None] - found, axis=-1)
    np.fill_diagonal(distance, np.inf)
    assert (groups[distance.argmin(axis=1)] == groups).all()
    again = project((10 * np.eye(3)[groups] + np.random.default_rng(0).normal(0, 0.1, (60, 3))).astype(np.float32))
    np.testing.assert_array_equal(found, again)


@pytest.mark.parametrize(("clips", "features"), [(5, 4), (8, 1), (6, 2)])
def test_few_clips_and_features(clips: int, features: int) -> None:
    found = project(np.random.default_rng(0).normal(size=(clips, features)).astype(np.float32))
    assert found.shape == (clips, 2)
    assert np.isfinite(found).all()


def test_too_few_clips_are_refused() -> None:
    with pytest.raises(InputError, match="4 clips are too few"):
        project(np.zeros((4, 8), np.float32))
