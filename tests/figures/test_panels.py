"""Panels keep the house style."""

import pytest

from dfer.figures.panels import new_panels


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
