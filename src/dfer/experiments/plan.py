"""From a declared grid to the list of runs, each with the folder that its configuration names."""

import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dfer.datasets.synthetic.knobs import GENERATOR_VERSION
from dfer.errors import InputError
from dfer.experiments.budget import Budget, applied, has
from dfer.experiments.declaration import Grid
from dfer.experiments.statistics import Unit
from dfer.runs import RunFolder

Resolve = Callable[[Sequence[str]], Mapping[str, Any]]
"""From a recipe and options to the whole configuration, defaults included."""


@dataclass(frozen=True)
class Planned:
    """One training of one row; rows and grids of the same configuration plan the same folder.

    Args:
        key: of the resolved configuration without seed and fold.
        predictions: which of the run's predictions the row reads.
    """

    row: str
    seed: int
    fold: int | None
    arguments: tuple[str, ...]
    key: str
    store: Path
    predictions: str = "test"

    @property
    def unit(self) -> Unit:
        """Seed and fold."""
        return self.seed, self.fold

    @property
    def folder(self) -> RunFolder:
        """Where the run lies."""
        fold = "" if self.fold is None else f"-fold{self.fold}"
        return RunFolder(self.store / f"{self.key}-seed{self.seed}{fold}")

    def __str__(self) -> str:
        return f"{self.row}, seed {self.seed}" + ("" if self.fold is None else f", fold {self.fold}")


@dataclass(frozen=True)
class Plan:
    """All runs of a table in the order in which they are made, and what the budget could not say to some row."""

    runs: tuple[Planned, ...]
    remarks: tuple[str, ...]


def resolve(arguments: Sequence[str]) -> Mapping[str, Any]:
    """Let ``dfer train``'s own parser resolve a recipe and options.

    Raises:
        InputError: an unknown recipe or option; the nearest names are listed.
    """
    from dfer.training.configuration import configure  # Lightning takes seconds to import

    content = yaml.safe_load(configure(list(arguments)).text)
    if not isinstance(content, dict):
        raise InputError(f"{arguments[0]} holds no configuration")
    return content


def plan(
    grid: Grid,
    budget: Budget,
    store: Path,
    *,
    seeds: int | None = None,
    folds: Sequence[int] = (),
    extra: Sequence[str] = (),
    resolve: Resolve = resolve,
) -> Plan:
    """List a grid's runs, seeds outermost, then folds, then rows: stopped at any time, rows have equal shares.

    A row's settings come in this order, the last wins: recipe, budget, the grid's options for that budget, the grid's
    overrides, the row's, the command line's.

    Args:
        seeds: for every row, instead of what the grid and its rows say.
        extra: options for every run, such as ``--data.root DIR``.

    Raises:
        InputError: a row's recipe or option is unknown, or there are folds where the data have none.
    """
    wanted: dict[str, tuple[int, tuple[str, ...], str, str]] = {}
    remarks: list[str] = []
    for row in grid.rows:
        if row.published_only:
            continue
        try:
            given, missing = applied(budget, resolve([row.recipe, *row.arguments, *extra]))
            arguments = (row.recipe, *given, *(grid.budgets or {}).get(budget.name, ()), *row.arguments, *extra)
            config = resolve(arguments)
        except InputError as error:
            raise InputError(f"row {row.name!r}: {error}") from error
        if folds and not has(config, "data.dataset.fold"):
            raise InputError(f"row {row.name!r}: {row.recipe} trains on data without folds; leave out folds")
        if missing:
            remarks.append(
                f"row {row.name!r}: budget {budget.name} leaves {', '.join(missing)}, which it does not have"
            )
        count = 1 if budget.one_seed and seeds is None else seeds or row.seeds or grid.seeds
        wanted[row.name] = count, arguments, configuration_key(config), row.predictions
    all_folds: list[int | None] = list(folds) or [None]
    runs = [
        Planned(name, seed, fold, _with_unit(arguments, seed, fold), key, store, predictions)
        for seed in range(max(count for count, *_ in wanted.values()))
        for fold in all_folds
        for name, (count, arguments, key, predictions) in wanted.items()
        if seed < count
    ]
    return Plan(tuple(runs), tuple(remarks))


def configuration_key(config: Mapping[str, Any]) -> str:
    """Hash a resolved configuration, data included; seed, fold and what cannot change a result are left out.

    The version of the generator of drawn faces is in it. That of the code is not: a table names the commits that its
    runs were made with.

    Example:
        >>> one = {"seed_everything": 1, "model": {"lr": 0.1}, "data": {"workers": 4}}
        >>> other = {"seed_everything": 2, "model": {"lr": 0.1}, "data": {"workers": 0}}
        >>> configuration_key(one) == configuration_key(other)
        True
    """
    bare = {**copy.deepcopy(dict(config)), "generator": GENERATOR_VERSION}
    bare.pop("seed_everything", None)
    data = bare.get("data") or {}
    data.pop("workers", None)
    dataset = data.get("dataset")
    if isinstance(dataset, dict):
        dataset.get("init_args", dataset).pop("fold", None)
    return hashlib.sha256(json.dumps(bare, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _with_unit(arguments: tuple[str, ...], seed: int, fold: int | None) -> tuple[str, ...]:
    unit = (
        (f"--seed_everything={seed}",) if fold is None else (f"--seed_everything={seed}", f"--data.dataset.fold={fold}")
    )
    return (*arguments, *unit)
