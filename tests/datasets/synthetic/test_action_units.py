"""Expressions are the EMFACS combinations, and only those."""

import numpy as np
import pytest

from dfer.datasets.synthetic.action_units import BLENDS, COLUMN, EMFACS, EXPRESSIONS, UNITS, halves, strengths
from dfer.labels import BASIC, EXTENDED


def test_every_expression_has_its_units() -> None:
    assert tuple(EMFACS) == BASIC
    assert EXPRESSIONS == (*BASIC, *BLENDS) == (*EXTENDED, "calm")
    assert {unit for units in (*EMFACS.values(), *BLENDS.values()) for unit in units} <= set(UNITS)


@pytest.mark.parametrize("expression", BASIC)
def test_other_units_rest(expression: str) -> None:
    drawn = strengths(expression, np.random.default_rng(1))
    active = {unit for unit in UNITS if drawn[COLUMN[unit]] > 0}
    assert active - {25} == set(EMFACS[expression])
    assert drawn.max(initial=0) <= 1


@pytest.mark.parametrize("expression", BLENDS)
def test_blends(expression: str) -> None:
    drawn = strengths(expression, np.random.default_rng(1))
    assert {unit for unit in UNITS if drawn[COLUMN[unit]] > 0} == set(BLENDS[expression])
    assert drawn.max() <= 1


def test_all_expressions_differ() -> None:
    drawn = np.stack([strengths(expression, np.random.default_rng(1)) for expression in EXPRESSIONS])
    apart = np.abs(drawn[:, None] - drawn[None]).max(axis=-1)
    assert apart[~np.eye(len(EXPRESSIONS), dtype=bool)].min() > 0.4


def test_contempt_shows_on_one_side() -> None:
    drawn = strengths("contempt", np.random.default_rng(0))
    for side in (1, -1):
        shown, resting = halves("contempt", drawn, side)[::-side]
        assert (shown == drawn).all()
        assert not resting.any()
    left, right = halves("happy", drawn, 1)
    assert (left == right).all()


def test_no_such_expression() -> None:
    with pytest.raises(KeyError, match="bored"):
        strengths("bored", np.random.default_rng(0))


def test_every_expression_uses_as_many_random_numbers() -> None:
    after = []
    for expression in EXPRESSIONS:
        rng = np.random.default_rng(0)
        strengths(expression, rng)
        after.append(rng.random())
    assert len(set(after)) == 1
