"""The reliability diagram."""

import numpy as np
import pytest

from dfer.figures import reliability


def test_draws_accuracy_over_confidence_of_the_bins_seen() -> None:
    bins = (np.array([0.0, 1.2]), np.array([0.0, 1.0]), np.array([0, 2]))
    figure = reliability({"a": bins, "b": bins})
    lines = figure.axes[0].lines
    assert len(lines) == 3
    np.testing.assert_allclose(lines[1].get_xydata(), [[0.6, 0.5]])


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="no curve"):
        reliability({})
