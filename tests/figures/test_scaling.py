"""Weights of the losses and the step, per epoch."""

import numpy as np
import pytest

from dfer.figures import render, scaling


def test_panels_series_and_scales() -> None:
    panels = {
        "weight": {"CE": [0.5, 0.6, 0.7], "SC": [0.5, 0.4, 0.3]},
        "g": {"g": [1.0, 0.1, 0.01]},
        "trace": {"t": [1, 2, 3]},
    }
    figure = scaling([0, 1, 2], panels, log=["g"])
    weight, norm, trace, empty = figure.axes
    np.testing.assert_allclose([line.get_ydata() for line in weight.lines], [[0.5, 0.6, 0.7], [0.5, 0.4, 0.3]])
    assert [text.get_text() for text in weight.get_legend().get_texts()] == ["CE", "SC"]
    assert norm.get_legend() is None
    assert [axes.get_yscale() for axes in (weight, norm, trace)] == ["linear", "log", "linear"]
    assert not empty.axison
    assert [axes.get_xlabel() for axes in (weight, norm, trace)] == ["", "epoch", "epoch"]
    assert render(figure, "svg")


@pytest.mark.parametrize("values", [[12.0, 25.0], [2.0, 0.0004], [3.0, 3.0]])
def test_a_logarithmic_axis_has_few_plain_numbers(values: list[float]) -> None:
    figure = scaling([0, 1], {"g": {"g": values}}, log=["g"])
    render(figure, "svg")
    axes = figure.axes[0]
    low, high = axes.get_ylim()
    shown = [label.get_text() for label in axes.get_yticklabels() if low <= label.get_position()[1] <= high]
    assert 1 <= len(shown) <= 6
    assert all(float(text) > 0 for text in shown)
    assert not any(label.get_text() for label in axes.get_yticklabels(minor=True))


def test_an_epoch_without_a_value_leaves_a_gap() -> None:
    assert render(scaling([0, 1, 2], {"g": {"g": [1.0, float("nan"), 0.1]}}, log=["g"]), "svg")


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="no panel"):
        scaling([0], {})


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="2 values of a for 3 epochs"):
        scaling([0, 1, 2], {"p": {"a": [1, 2]}})
