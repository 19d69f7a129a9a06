"""Clips as points."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from dfer.figures import embedding, render
from dfer.labels import COLOURS

LABELS = ("happy", "sad", "angry")
LABEL = np.array([2, 0, 0, 1])
POINTS = np.arange(8.0, dtype=np.float32).reshape(4, 2)


@pytest.mark.parametrize(("count", "shown"), [(1, 1), (2, 2), (3, 4), (4, 4)])
def test_one_panel_per_run_two_in_a_row(count: int, shown: int) -> None:
    figure = embedding({f"run {n}": (POINTS, LABEL) for n in range(count)}, LABELS)
    assert len(figure.axes) == shown
    assert [axes.get_title() for axes in figure.axes[:count]] == [f"run {n}" for n in range(count)]
    assert [axes.axison for axes in figure.axes] == [True] * count + [False] * (shown - count)
    assert render(figure, "svg")


def test_classes_have_their_colours_order_and_points() -> None:
    figure = embedding({"a": (POINTS, LABEL)}, LABELS)
    of_class = figure.axes[0].collections
    for k, (name, drawn) in enumerate(zip(LABELS, of_class)):
        np.testing.assert_array_equal(drawn.get_offsets(), POINTS[k == LABEL])
        assert to_hex(drawn.get_facecolor()[0]) == COLOURS[name]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(LABELS)


def test_points_laid_out_together_keep_their_places() -> None:
    split = {"low": (POINTS[:1], LABEL[:1]), "high": (POINTS[1:], LABEL[1:])}
    alone, together = (embedding(split, LABELS, flag).axes for flag in (False, True))
    assert alone[0].get_xlim() != alone[1].get_xlim()
    assert together[0].get_xlim() == together[1].get_xlim()
    assert together[0].get_ylim() == together[1].get_ylim()
    for axis, limits in ((0, together[0].get_xlim()), (1, together[0].get_ylim())):
        assert limits[0] < POINTS[:, axis].min() < POINTS[:, axis].max() < limits[1]
    assert render(embedding({"one": (POINTS[:1], LABEL[:1])}, LABELS, True).axes[0].figure)


@pytest.mark.parametrize(
    ("panels", "message"),
    [
        ({}, "no panel"),
        ({"a": (POINTS, LABEL[:3])}, r"a: points \(4, 2\) for 3 classes"),
        ({"a": (POINTS[:, :1], LABEL)}, r"a: points \(4, 1\)"),
        ({"a": (POINTS, LABEL + 1)}, "class 3 of only 3"),
    ],
)
def test_refused(panels: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        embedding(panels, LABELS)
