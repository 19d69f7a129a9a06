"""Loss surfaces beside each other."""

import numpy as np
import pytest

from dfer.figures import landscape, render

STEPS = np.linspace(-1, 1, 5)
BOWL = 0.1 + STEPS[:, None] ** 2 + STEPS**2


def test_a_panel_per_run_on_one_scale() -> None:
    figure = landscape(STEPS, {"AdamW": BOWL, "DSM": 0.5 + 3 * BOWL})
    first, second, bar = figure.axes
    assert first.get_title() == "AdamW (0.10)"
    assert second.get_title() == "DSM (0.80)"
    filled = [axes.collections[0] for axes in (first, second)]
    assert filled[0].norm.vmin == filled[1].norm.vmin == pytest.approx(0.1)
    assert filled[0].norm.vmax == filled[1].norm.vmax == pytest.approx(0.5 + 3 * BOWL.max())
    assert bar.get_ylabel() == "cross-entropy"
    assert render(figure, "pdf")


def test_rows_are_the_second_direction() -> None:
    slope = np.repeat(np.geomspace(0.1, 10, 5)[:, None], 5, axis=1)  # grows from row to row
    filled = landscape(STEPS, {"a": slope}).axes[0].collections[0]
    highest = filled.get_paths()[-1].vertices
    assert highest[:, 1].min() > 0.5
    assert highest[:, 0].min() == -1


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_what_is_not_finite_counts_as_the_highest(bad: float) -> None:
    broken = BOWL.copy()
    broken[0, 0] = bad
    figure = landscape(STEPS, {"a": broken}, highest=1.0)
    assert figure.axes[0].collections[0].norm.vmax == 1.0
    assert render(figure, "svg")


def test_a_flat_surface_is_drawn() -> None:
    assert render(landscape(STEPS, {"a": np.full((5, 5), 2.0)}), "svg")


@pytest.mark.parametrize(
    ("surfaces", "message"),
    [
        ({}, "no surface"),
        ({"a": BOWL[:3]}, r"a: surface \(3, 5\) does not fit 5"),
        ({"a": np.full((5, 5), np.nan)}, "a: no positive, finite loss"),
    ],
)
def test_refused(surfaces: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        landscape(STEPS, surfaces)
