"""The look of all figures."""

import matplotlib as mpl

from dfer.figures.style import class_colour, new_figure, render
from dfer.labels import COLOURS


def test_rendering_is_repeatable_and_text_stays_text() -> None:
    def draw() -> bytes:
        figure = new_figure()
        figure.axes[0].set_title("hello")
        return render(figure, "svg")

    first = draw()
    assert first == draw()
    assert b"hello" in first


def test_formats() -> None:
    figure = new_figure()
    assert render(figure, "png").startswith(b"\x89PNG")
    assert render(figure, "pdf").startswith(b"%PDF")


def test_no_global_state_is_touched() -> None:
    before = dict(mpl.rcParams)
    render(new_figure(), "svg")
    assert dict(mpl.rcParams) == before


def test_colours() -> None:
    assert all(class_colour(name) == colour for name, colour in COLOURS.items())
    assert class_colour("bored") not in COLOURS.values() or class_colour("bored") == COLOURS["neutral"]
