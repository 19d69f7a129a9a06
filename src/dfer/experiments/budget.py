"""Budgets of experiments: how much of a recipe is run, one name each, the same for every row of a table."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final

from dfer.errors import InputError


@dataclass(frozen=True)
class Budget:
    """Settings that shrink any recipe that has them, and what the result is good for.

    Args:
        settings: by dotted name, as on the command line.
        one_seed: whatever the grid asks for.
    """

    name: str
    meaning: str
    settings: Mapping[str, Any]
    one_seed: bool = False


BUDGETS: Final = MappingProxyType(
    {
        budget.name: budget
        for budget in (
            Budget(
                "smoke",
                "does it run: 64 clips, one epoch",
                {
                    "data.dataset.clips": 64,
                    "model.model.size": 32,
                    "model.model.backbone.width": 0.125,
                    "model.warmup_epochs": 0,
                    "trainer.max_epochs": 1,
                },
                one_seed=True,
            ),
            Budget(
                "quick",
                "a first look: one seed, about a minute a run; nothing of it is published",
                {
                    "data.dataset.clips": 320,
                    "model.model.size": 40,
                    "model.model.backbone.width": 0.25,
                    "model.warmup_epochs": 1,
                    "trainer.max_epochs": 6,
                },
                one_seed=True,
            ),
            Budget(
                "small",
                "docs/results: 800 training and 400 test clips, 48 px, quarter width, 10 epochs",
                {
                    "data.dataset.clips": 800,
                    "model.model.size": 48,
                    "model.model.backbone.width": 0.25,
                    "model.warmup_epochs": 1,
                    "trainer.max_epochs": 10,
                },
            ),
            Budget("paper", "the recipe as it stands", {}),
        )
    }
)


def budget_named(name: str) -> Budget:
    """Find a budget.

    Raises:
        InputError: there is none of that name.
    """
    if name not in BUDGETS:
        near = get_close_matches(name, BUDGETS, n=1)
        raise InputError(f"no budget {name!r}; " + (f"did you mean {near[0]}?" if near else ", ".join(BUDGETS)))
    return BUDGETS[name]


def applied(budget: Budget, config: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split a budget into the options for a recipe's resolved configuration and the settings that it does not have.

    Real data know no ``data.dataset.clips``, for instance; a table says aloud what a row's recipe leaves out.

    Example:
        >>> config = {"trainer": {"max_epochs": 100}, "model": {"model": {"init_args": {"size": 112}}}}
        >>> applied(Budget("b", "", {"trainer.max_epochs": 1, "model.model.width": 0.5}), config)
        (('--trainer.max_epochs=1',), ('model.model.width',))
    """
    have = {name: has(config, name) for name in budget.settings}
    given = (f"--{name}={json.dumps(value)}" for name, value in budget.settings.items() if have[name])
    return tuple(given), tuple(name for name, there in have.items() if not there)


def has(config: Mapping[str, Any], name: str) -> bool:
    """Say whether a configuration has the setting ``a.b.c``; ``init_args`` goes without saying."""
    place: Any = config
    for part in name.split("."):
        if isinstance(place, Mapping) and part not in place and isinstance(place.get("init_args"), Mapping):
            place = place["init_args"]
        if not isinstance(place, Mapping) or part not in place:
            return False
        place = place[part]
    return True
