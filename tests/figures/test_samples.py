"""Contact sheets show the first and the last frame, and name their rows."""

import numpy as np
import pytest

from dfer.figures.samples import contact_sheet


def test_rows_and_columns() -> None:
    ramp = np.arange(20, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    figure = contact_sheet([ramp, ramp[:3]], ["happy", "mine"], columns=5)
    axes = figure.axes[0]
    sheet = np.asarray(axes.images[0].get_array())
    assert sheet.shape == (17, 44, 3)
    assert [int(sheet[0, x, 0]) for x in range(0, 44, 9)] == [0, 5, 10, 14, 19]
    assert [int(sheet[9, x, 0]) for x in range(0, 44, 9)] == [0, 0, 1, 2, 2]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["happy", "mine"]


@pytest.mark.parametrize(
    ("clips", "titles"),
    [
        ([], []),
        ([np.zeros((2, 8, 8, 3), np.uint8)], []),
        ([np.zeros((2, 8, 8, 3), np.uint8), np.zeros((2, 9, 8, 3), np.uint8)], ["a", "b"]),
        ([np.zeros((0, 8, 8, 3), np.uint8)], ["a"]),
    ],
)
def test_refused(clips: list[np.ndarray], titles: list[str]) -> None:
    with pytest.raises(ValueError, match="wanted"):
        contact_sheet(clips, titles)
