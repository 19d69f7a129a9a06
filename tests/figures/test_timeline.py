"""Probabilities over time, face by face."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.colors import to_hex

from dfer.figures import FaceCurve, Figure, render, timeline
from dfer.figures.timeline import ROWS, class_colours, clock, ink_on, lanes
from dfer.labels import BASIC, COLOURS, EXTENDED


def curve(start: float, end: float, step: float = 0.5, name: str = "face 1", seed: int = 0) -> FaceCurve:
    begin = np.arange(start, end, step)
    shares = np.random.default_rng(seed).dirichlet(np.full(7, 0.3), len(begin))
    labels = [BASIC[k] for k in shares.argmax(1)]
    return FaceCurve(name, begin, begin + step, shares, labels, [""] * len(begin))


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def said(spans: list[tuple[float, float, str | None, str]]) -> FaceCurve:
    shares = np.tile([0.7, 0.3], (len(spans), 1))
    shares[[reason.startswith("too") for *_, reason in spans]] = np.nan
    start, end = np.array([span[0] for span in spans]), np.array([span[1] for span in spans])
    return FaceCurve("face 1", start, end, shares, [span[2] for span in spans], [span[3] for span in spans])


def test_a_row_per_face_up_to_twelve() -> None:
    figure = timeline([curve(k, k + 20, name=f"face {k}") for k in range(ROWS)], BASIC, 40)
    assert [axes.get_ylabel() for axes in figure.axes] == [f"face {k}" for k in range(ROWS)]
    assert render(figure, "pdf")


def test_more_faces_share_rows_and_are_named_there() -> None:
    faces = [curve(20 * k, 20 * k + 20, name=f"face {k}") for k in range(13)]
    figure = timeline(faces, BASIC, 260, width=12)
    assert len(figure.axes) == 1
    assert [text for text in texts(figure) if text.startswith("face")] == [f"face {k}" for k in range(13)]


def test_what_does_not_fit_is_said() -> None:
    figure = timeline([curve(0, 5, name=f"face {k}") for k in range(ROWS + 3)], BASIC, 5)
    assert len(figure.axes) == ROWS
    assert figure.axes[-1].get_xlabel() == "time; 3 more faces are not drawn"


def test_what_is_said_is_named_and_so_is_the_reason_for_silence() -> None:
    spans = [(0, 4, "happy", ""), (4, 8, None, "unsure"), (8, 12, None, "too small"), (12, 16, "happy", "")]
    figure = timeline([said(spans)], ["happy", "sad"], 20, [(16, 20)], width=7)
    areas, bar = ["Hap", "Sad"], ["happy", "unsure", "too small", "happy"]
    assert texts(figure) == ["no face", *areas, *bar]
    hatched = [patch for patch in figure.axes[0].patches if patch.get_hatch()]
    assert sorted((patch.get_x(), patch.get_width(), patch.get_y() < 0) for patch in hatched) == [
        (4, 4, True),  # the bar alone: the model was asked
        (8, 4, False),
        (8, 4, True),
    ]


def test_areas_reach_from_one_to_nought_in_the_order_of_the_legend() -> None:
    figure = timeline([curve(0, 10)], BASIC, 10)
    areas = figure.axes[0].collections
    assert [to_hex(area.get_facecolor()[0]) for area in areas] == [COLOURS[name] for name in BASIC]
    assert areas[0].get_paths()[0].vertices[:, 1].max() == pytest.approx(1)
    assert areas[-1].get_paths()[0].vertices[:, 1].min() == pytest.approx(0, abs=1e-9)
    legend = [text.get_text() for text in figure.legends[0].texts]
    assert legend == [*BASIC, "nothing said"]


def test_a_hole_in_a_face_stays_empty() -> None:
    figure = timeline([said([(0, 2, "happy", ""), (6, 8, "happy", "")])], ["happy", "sad"], 10)
    for area in figure.axes[0].collections:
        for path in area.get_paths():
            assert not ((path.vertices[:, 0] > 2.01) & (path.vertices[:, 0] < 5.99)).any()
            assert np.ptp(path.vertices[:, 0]) == pytest.approx(2)
    assert [(patch.get_x(), patch.get_width()) for patch in figure.axes[0].patches] == [(0, 2), (6, 2)]


def test_ten_hours_stay_small_and_keep_their_averages() -> None:
    long = curve(0, 36_000)
    figure = timeline([long], BASIC, 36_000)
    assert len(render(figure, "svg")) < 400_000
    middles = figure.axes[0].collections[0].get_paths()[0].vertices
    assert len(np.unique(middles[:, 0])) < 500
    top = middles[middles[:, 1] < 1]
    assert 1 - top[:, 1].mean() == pytest.approx(long.probabilities[:, 0].mean(), abs=0.02)


def test_the_bar_of_a_long_face_shows_what_was_said_longest() -> None:
    spans = [(k / 100, k / 100 + 0.01, "happy" if k % 3 else None, "" if k % 3 else "unsure") for k in range(30_000)]
    bars = timeline([said(spans)], ["happy", "sad"], 300).axes[0].patches
    assert {to_hex(patch.get_facecolor()) for patch in bars} == {COLOURS["happy"]}


@pytest.mark.parametrize("seconds", [0.04, 3, 60, 7200, 86400])
@pytest.mark.parametrize("width", [3.5, 7.2])
def test_the_axis_is_readable_at_any_length(seconds: float, width: float) -> None:
    figure = timeline([curve(0, seconds, seconds / 8)], BASIC, seconds, width=width)
    figure.draw_without_rendering()
    boxes = [tick.get_window_extent() for tick in figure.axes[-1].get_xticklabels()]
    assert boxes
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_no_face_at_all() -> None:
    assert texts(timeline([], BASIC, 5, [(0, 5)])) == ["no face"]


def test_no_text_leaves_the_figure() -> None:
    figure = timeline([curve(0, 3, 0.5, name="face 1")], EXTENDED[:7], 3.0)
    figure.draw_without_rendering()
    inside = figure.bbox
    for text in [*figure.axes[0].texts, *figure.legends[0].texts, *figure.axes[0].get_xticklabels()]:
        box = text.get_window_extent()
        assert box.x0 >= inside.x0 - 1
        assert box.x1 <= inside.x1 + 1


def test_unknown_classes_have_colours_of_their_own() -> None:
    colours = class_colours(["happy", *"abcdefgh"])
    assert len(set(colours.values())) == 9
    assert colours["happy"] == COLOURS["happy"]


def test_ink_stands_out_on_every_colour() -> None:
    def light(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        return float(np.dot([0.2126, 0.7152, 0.0722], [(part + 0.055) ** 2.4 / 1.055**2.4 for part in parts]))

    for colour in COLOURS.values():
        ink = 0.0 if ink_on(colour) == "black" else 1.0
        high, low = sorted([light(colour), ink], reverse=True)
        assert (high + 0.05) / (low + 0.05) > 4.5, colour


def test_lanes_are_few_and_never_overlap() -> None:
    rng = np.random.default_rng(1)
    spans = sorted((float(start), float(start + rng.uniform(0, 9))) for start in rng.uniform(0, 50, 60))
    found = lanes(spans)
    for lane in set(found):
        own = [span for span, k in zip(spans, found) if k == lane]
        assert all(first[1] <= second[0] for first, second in pairwise(own))
    most = max(sum(start <= at < end for start, end in spans) for at, _ in spans)
    assert len(set(found)) == most


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.96, "1:00"), (3599.9, "1:00:00"), (36000, "10:00:00")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_refused() -> None:
    with pytest.raises(ValueError, match="a video of 0 s"):
        timeline([], BASIC, 0)
    one = curve(0, 2)
    with pytest.raises(ValueError, match=r"face 1: probabilities \(4, 7\) for 2 classes, lengths \[4\]"):
        timeline([one], BASIC[:2], 2)
    broken = FaceCurve("face 1", one.start, one.end[:2], one.probabilities, one.label, one.reason)
    with pytest.raises(ValueError, match=r"lengths \[2, 4\]"):
        timeline([broken], BASIC, 2)
