"""Expressions are the EMFACS combinations, and only those."""

import numpy as np
import pytest

from dfer.datasets.synthetic.action_units import COLUMN, EMFACS, UNITS, strengths
from dfer.labels import BASIC


def test_every_expression_has_its_units() -> None:
    assert tuple(EMFACS) == BASIC
    assert {unit for units in EMFACS.values() for unit in units} <= set(UNITS)


@pytest.mark.parametrize("expression", BASIC)
def test_other_units_rest(expression: str) -> None:
    drawn = strengths(expression, np.random.default_rng(1))
    active = {unit for unit in UNITS if drawn[COLUMN[unit]] > 0}
    assert active - {25} == set(EMFACS[expression])
    assert drawn.max(initial=0) <= 1


def test_every_expression_uses_as_many_random_numbers() -> None:
    after = []
    for expression in BASIC:
        rng = np.random.default_rng(0)
        strengths(expression, rng)
        after.append(rng.random())
    assert len(set(after)) == 1
