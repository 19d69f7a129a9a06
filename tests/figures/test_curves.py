"""Curves per epoch."""

import numpy as np
import pytest

from dfer.figures import curves


def test_draws_series_in_per_cent_and_marks_the_chosen_epoch() -> None:
    figure = curves([0, 1, 2], {"WAR": [0.1, 0.2, 0.3]}, "recall", {"WAR": 2}, percent=True)
    series, chosen = figure.axes[0].lines
    np.testing.assert_allclose(series.get_ydata(), [10, 20, 30])
    assert list(chosen.get_xdata()) == [2, 2]
    assert figure.axes[0].get_ylabel() == "recall (%)"


def test_one_epoch_is_drawn() -> None:
    assert len(curves([0], {"loss": [1.0]}, "loss").axes[0].lines) == 1


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="2 values of a for 3 epochs"):
        curves([0, 1, 2], {"a": [1, 2]}, "loss")
