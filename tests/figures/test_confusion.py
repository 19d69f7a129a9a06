"""The confusion matrix."""

import numpy as np
import pytest

from dfer.figures import confusion


def texts(figure: object) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]  # type: ignore[attr-defined]


def test_shows_per_cent_of_the_row_and_counts() -> None:
    figure = confusion(np.array([[3, 1], [0, 2]]), ["happy", "sad"])
    assert texts(figure) == ["75", "3", "25", "1", "0", "0", "100", "2"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["Hap (4)", "Sad (2)"]


def test_a_class_without_a_clip_shows_nothing() -> None:
    assert len(texts(confusion(np.array([[3, 1], [0, 0]]), ["happy", "sad"]))) == 4


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 2\) do not fit 3 labels"):
        confusion(np.zeros((2, 2)), ["a", "b", "c"])
