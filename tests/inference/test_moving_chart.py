"""The chart below an annotated picture."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from PIL import ImageColor

from dfer.inference.moving_chart import GREY, INK, LANES, MovingChart
from dfer.inference.timeline import FaceTimeline, Moment, Timeline
from dfer.labels import BASIC, COLOURS
from dfer.notices import DRAWN, SHOWN_NOT_FELT

Maker = Callable[..., Timeline]
Face = Callable[..., FaceTimeline]


def colour(name: str) -> list[int]:
    return list(ImageColor.getrgb(COLOURS[name]))


def has(pixels: np.ndarray, name: str) -> int:
    return int((pixels == colour(name)).all(axis=-1).sum())


def test_areas_are_the_probabilities(timeline: Maker, face: Face) -> None:
    chart = MovingChart(timeline(face(1, 0.0, ["sad"] * 10)), 640)
    column = chart.draw(2.5)[4 : 4 + chart.area, 100]
    assert (column == colour("sad")).all(axis=1).mean() == pytest.approx(0.7, abs=0.03)
    assert column[0].tolist() == colour("happy")
    assert column[-1].tolist() == colour("fear")


def test_the_cursor_is_now_and_the_chart_moves(timeline: Maker, face: Face) -> None:
    chart = MovingChart(timeline(face(1, 0.0, ["sad"] * 40 + ["happy"] * 40), seconds=40.0), 640)

    def cursor(seconds: float) -> float:
        return float(np.flatnonzero((chart.draw(seconds)[1] == INK).all(axis=1)).mean())

    assert cursor(0.0) <= 3
    assert cursor(3.0) == pytest.approx(160, abs=2)  # a quarter of twelve seconds
    assert cursor(20.0) == cursor(30.0) == pytest.approx(320, abs=2)
    assert cursor(40.0) > 636
    at = chart.draw(20.0)[4 + chart.area // 2]
    assert at[100].tolist() == colour("sad")
    assert at[500].tolist() == colour("happy")


def test_nothing_said_is_striped_and_named(timeline: Maker, face: Face) -> None:
    small = MovingChart(timeline(face(1, 0.0, ["too small"] * 10)), 640)
    unsure = MovingChart(timeline(face(1, 0.0, ["unsure"] * 10)), 640)
    grey = [(chart.draw(0.0)[4 : 4 + chart.area, 10:] == GREY).all(axis=-1).mean() for chart in (small, unsure)]
    assert grey[0] > 0.6
    assert grey[1] == 0  # the model was asked: its probabilities stand
    bars = [chart.draw(0.0)[chart.area + 6 : chart.row - 1] for chart in (small, unsure)]
    for bar in bars:
        assert (bar == GREY).all(axis=-1).mean() > 0.5
        assert (bar[:, 250:390] < 60).all(axis=-1).any()  # words
    assert (bars[0][:, 200:440] != bars[1][:, 200:440]).any()  # other words


def test_where_there_is_no_face_nothing_is_drawn_but_the_words(timeline: Maker, face: Face) -> None:
    chart = MovingChart(timeline(face(1, 0.0, ["happy"] * 4), empty=((2.0, 5.0),)), 640)
    pixels = chart.draw(0.0)
    right = pixels[: chart.row, 280:]
    assert has(right, "happy") == 0
    assert (right < 150).any()
    assert has(pixels[: chart.row, :250], "happy") > 1000
    assert (MovingChart(timeline(empty=((0.0, 5.0),)), 640).draw(2.0)[:40, 20:240] == 255).all()


def test_faces_that_do_not_meet_share_a_lane(timeline: Maker, face: Face) -> None:
    after = MovingChart(timeline(face(1, 0.0, ["happy"] * 4), face(2, 2.0, ["sad"] * 4)), 640)
    meeting = MovingChart(timeline(face(1, 0.0, ["happy"] * 6), face(2, 2.0, ["sad"] * 4)), 640)
    assert [len(chart.lanes) for chart in (after, meeting)] == [1, 2]
    crowd = MovingChart(timeline(*(face(k, 0.0, ["happy"] * 6) for k in range(1, 8))), 640)
    assert (len(crowd.lanes), crowd.left_out) == (LANES, 7 - LANES)
    assert crowd.draw(1.0).shape[1:] == (640, 3)


def test_codecs_can_take_its_height(timeline: Maker, face: Face) -> None:
    for faces in range(LANES + 1):
        together = timeline(*(face(number, 0.0, ["sad"] * 10) for number in range(1, faces + 1)))
        for text in range(12, 25):
            chart = MovingChart(together, 640, text)
            assert chart.draw(0.0).shape == (chart.height, 640, 3)
            assert chart.height % 2 == 0


def test_the_notes_are_there_at_any_width(timeline: Maker, face: Face) -> None:
    for width in (360, 640, 1920):
        chart = MovingChart(timeline(face(1, 0.0, ["happy"] * 4)), width)
        for note in (DRAWN, SHOWN_NOT_FELT):
            lines = chart._wrapped(note)
            assert " ".join(lines) == note
            assert max(chart.font.getlength(line) for line in lines) <= width - 12
        with_note, without = chart.height, MovingChart(timeline(face(1, 0.0, ["happy"] * 4), notes=()), width).height
        assert with_note > without
        assert chart.height % 2 == chart.plot % 2  # the words' part is even
        for name in BASIC:
            assert has(chart.draw(1.0)[chart.plot :], name) > 30


def test_one_class_and_one_moment(timeline: Maker) -> None:
    only = FaceTimeline(1, 0.0, 0.04, 1, (Moment(0.0, 0.04, (1.0,), "happy"),))
    told = Timeline("a.mp4", 0.04, 1, 32, 32, ("happy",), (only,), ())
    assert has(MovingChart(told, 360).draw(0.0)[:30], "happy") > 1000


def test_ten_hours_cost_no_more_than_ten_seconds(timeline: Maker, face: Face) -> None:
    moments = tuple(Moment(k / 2, k / 2 + 0.5, (0.9, *[0.1 / 6] * 6), "happy") for k in range(72_000))
    long = timeline(FaceTimeline(1, 0.0, 36_000.0, 1, moments), seconds=36_000.0)
    chart = MovingChart(long, 640)
    chart.draw(20_000.0)
    tracemalloc.start()
    chart.draw(20_000.0)
    assert tracemalloc.get_traced_memory()[1] < 8_000_000
    tracemalloc.stop()
