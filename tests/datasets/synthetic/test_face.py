"""Each unit moves what FACS says it moves."""

import numpy as np
import pytest

from dfer.datasets.synthetic.action_units import COLUMN, UNITS
from dfer.datasets.synthetic.face import Muscles, face, mix
from dfer.datasets.synthetic.identity import Identity, make_identity

WHO = make_identity(0, 0)


def pixels(who: Identity, blink: float = 0.0, **strength: float) -> np.ndarray:
    from dfer.datasets.synthetic.draw import _paint  # the one place where shapes become pixels

    units = np.zeros(len(UNITS))
    for name, value in strength.items():
        units[COLUMN[int(name.removeprefix("au"))]] = value
    from PIL import Image

    shapes = face(who, Muscles((units, units), blink, 0.0, (0.0, 0.0)))
    return np.asarray(_paint(Image.new("RGB", (192, 192)), shapes, (0.0, 0.0, 0.0), 1.0, (0.5, 0.49), 96)).astype(int)


def changed_rows(**strength: float) -> tuple[float, float]:
    """Where the picture changes, from the top 0 to the bottom 1."""
    rows = np.flatnonzero((np.abs(pixels(WHO, **strength) - pixels(WHO)).sum(axis=-1) > 30).any(axis=1)) / 96
    assert len(rows)
    return float(rows.min()), float(rows.max())


@pytest.mark.parametrize("unit", [1, 2, 4])
def test_brows_and_forehead(unit: int) -> None:
    assert changed_rows(**{f"au{unit}": 1.0})[1] < 0.5


@pytest.mark.parametrize("unit", [12, 16, 20, 23, 25, 26])
def test_mouth(unit: int) -> None:
    assert changed_rows(**{f"au{unit}": 1.0})[0] > 0.45


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_shows_the_more_the_stronger(unit: int) -> None:
    still = pixels(WHO)
    weak, strong = (np.abs(pixels(WHO, **{f"au{unit}": amount}) - still).sum() for amount in (0.3, 1.0))
    assert 0 < weak < strong


def test_a_blink_hides_the_iris() -> None:
    who = make_identity(0, 1)
    assert (np.abs(pixels(who, blink=1.0) - pixels(who)).sum(axis=-1) > 60).sum() > 20


def test_mix() -> None:
    assert mix((0, 0, 0), (10, 20, 30), 1.0) == (10, 20, 30)
