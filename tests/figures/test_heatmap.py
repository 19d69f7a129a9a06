"""Maps over frames."""

import numpy as np
import pytest

from dfer.figures import Heated, heatmap, render
from dfer.figures.heatmap import overlay

FRAMES = (np.arange(16, dtype=np.uint8)[:, None, None, None] * 10) * np.ones((1, 8, 8, 3), np.uint8)
COLD, HOT = np.zeros((16, 8, 8), np.float32), np.ones((16, 8, 8), np.float32)


def test_each_clip_has_its_frames_then_a_row_per_model() -> None:
    figure = heatmap([Heated("one", FRAMES, [COLD, HOT]), Heated("two", FRAMES, [HOT, COLD])], ["base", "HDF"], 4)
    first, second, _ = figure.axes
    assert [label.get_text() for label in first.get_yticklabels()] == ["frames", "base", "HDF"]
    assert [axes.get_title(loc="left") for axes in (first, second)] == ["one", "two"]
    sheet = np.asarray(first.images[0].get_array())
    assert sheet.shape == (3 * 9 - 1, 4 * 9 - 1, 3)
    np.testing.assert_array_equal(sheet[0, ::9, 0], [0, 50, 100, 150])  # frames 0, 5, 10, 15
    np.testing.assert_array_equal(sheet[9:17], sheet[:8])  # no heat, no colour
    assert (sheet[18:] != sheet[:8]).any()
    assert render(figure, "svg")


def test_the_scale_says_what_it_is() -> None:
    figure = heatmap([Heated("one", FRAMES, [COLD])], ["base"], note="Grad-CAM")
    assert figure.axes[-1].get_xlabel() == "Grad-CAM"


def test_more_heat_hides_more() -> None:
    frame = np.full((1, 3, 3), 40, np.uint8)
    shown = overlay(frame, np.array([[0.0, 0.5, 1.0]], np.float32)).astype(int)
    distance = np.abs(shown - 40).sum(axis=-1)[0]
    assert distance[0] == 0 < distance[1] < distance[2]


@pytest.mark.parametrize(
    ("clips", "names", "message"),
    [
        ([], ["a"], "0 clips and 1 models"),
        ([Heated("one", FRAMES, [])], [], "1 clips and 0 models"),
        ([Heated("one", FRAMES, [COLD])], ["a", "b"], "one: 1 maps for the models a, b"),
        ([Heated("one", FRAMES, [COLD[:4]])], ["a"], r"one: a map \(4, 8, 8\) for frames \(16, 8, 8, 3\)"),
    ],
)
def test_refused(clips: list[Heated], names: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        heatmap(clips, names)
