"""Histograms of a data set's classes and lengths."""

import numpy as np
import pytest

from dfer.figures import clip_histograms, render


def test_shares_totals_and_the_line() -> None:
    counts = {"train": (6, 2, 0), "test": (1, 1, 2), "empty": (0, 0, 0)}
    figure = clip_histograms(["happy", "sad", "bored"], counts, np.array([8, 15, 16, 40, 800]), 16)
    classes, lengths = figure.axes
    widths = np.array([bar.get_width() for bar in classes.patches]).reshape(3, 3).T  # (sets, classes)
    np.testing.assert_allclose(widths, [[75, 25, 0], [25, 25, 50], [0, 0, 0]])
    assert [text.get_text() for text in classes.texts] == ["8", "4", "0"]
    assert [label.get_text() for label in classes.get_yticklabels()] == ["train", "test", "empty"]
    assert list(lengths.lines[0].get_xdata()) == [16, 16]
    assert lengths.get_title() == "2 of 5 clips are shorter than T = 16"
    assert sum(bar.get_height() for bar in lengths.patches) == 5
    assert render(figure).startswith(b"<?xml")


@pytest.mark.parametrize("lengths", [[], [1], [16, 16], [1_000_000]])
def test_few_or_odd_lengths_are_drawn(lengths: list[int]) -> None:
    figure = clip_histograms(["sad"], {"train": [len(lengths)]}, np.array(lengths, np.int64), 16)
    assert sum(bar.get_height() for bar in figure.axes[1].patches) == len(lengths)
    render(figure)


def test_the_same_figure_twice() -> None:
    one, other = (render(clip_histograms(["sad"], {"a": [3]}, np.array([3, 4, 50]), 4)) for _ in range(2))
    assert one == other


@pytest.mark.parametrize("counts", [{}, {"train": [1]}])
def test_every_set_has_all_classes(counts: dict[str, list[int]]) -> None:
    with pytest.raises(ValueError, match="classes for 2 labels"):
        clip_histograms(["happy", "sad"], counts, np.array([1]), 16)


def test_sets_without_any_class_have_no_legend() -> None:
    figure = clip_histograms([], {"train": []}, np.zeros(0, np.int64), 16)
    assert not figure.legends
