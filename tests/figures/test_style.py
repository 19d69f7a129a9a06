"""The look of all figures."""

import matplotlib as mpl
import pytest

from dfer.figures.style import class_colour, new_figure, new_panels, render
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


def test_panels_row_by_row_in_the_house_style() -> None:
    figure, panels = new_panels(2, 3, 3.5, 2.0)
    assert panels == figure.axes
    assert [one.get_subplotspec().get_geometry()[2] for one in panels] == list(range(6))
    assert {one.xaxis.label.get_size() for one in panels} == {8.0}
    assert not panels[0].spines["top"].get_visible()


@pytest.mark.parametrize(("rows", "columns"), [(0, 2), (2, 0)])
def test_no_panel_is_refused(rows: int, columns: int) -> None:
    with pytest.raises(ValueError, match=f"{rows} rows and {columns} columns"):
        new_panels(rows, columns, 3.5, 2.0)


def test_rows_of_panels_may_differ_in_height() -> None:
    _, (low, high) = new_panels(2, 1, 3.5, 3.0, [1.0, 3.0])
    low.figure.draw_without_rendering()
    assert high.get_position().height > 2 * low.get_position().height
