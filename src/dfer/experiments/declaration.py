"""A declared grid: which runs make a table, as a plain YAML file, read into frozen dataclasses.

```yaml
title: SAFE, Table III on drawn faces
recipe: synthetic/safe          # of every row that names none
overrides: {data.workers: 0}    # options of `dfer train` for every row: a mapping, or a list of arguments
budgets: {small: {data.batch_size: 32}}   # what a budget needs here beside its usual settings
baseline: none
columns: [war, uar, ece, nll, brier, recall, gmac, parameters, seconds]
differences: [war, uar]         # to the baseline, with intervals; the first metric unless given
seeds: 1
folds: 5                        # or 1-5; left out where the data have none
note: Printed below the table.
rows:
  - name: none
    seeds: 3
    overrides: {model.mix.strategy: none}
    published: {war: 71.02, uar: 59.61}   # percent, as printed; [72.08, 0.43] with a deviation
  - name: none, noisy clips
    overrides: {model.mix.strategy: none}
    predictions: test-gaussian_noise-3    # the same run on damaged clips: test-NAME-SEVERITY
  - name: TAM, noisy clips
    predictions: test-gaussian_noise-3
    baseline: none, noisy clips           # compared with this row instead of the grid's baseline
  - name: M3DFEL
    published_only: true
    published: {war: 69.25}
```

A grid for several data sets writes its recipes as ``"{dataset}/safe"``; ``dfer table --dataset`` says which
(``synthetic`` unless given). What belongs to one of them stands under its name, added after the general settings; a
row may have ``datasets`` of its own, with overrides:

```yaml
datasets:
  synthetic: {overrides: {model.mix.block_size: 8}, budgets: {small: {trainer.precision: bf16-mixed}}}
  dfew: {folds: 5}
rows:
  - name: MC3-18
    overrides: {model.model.backbone: dfer.backbones.mc3_18}
    datasets: {dfew: {overrides: {model.model.backbone.weights: KINETICS400_V1}}}
```
"""

import difflib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml

from dfer.errors import InputError
from dfer.evaluation.robustness import named
from dfer.experiments.budget import BUDGETS
from dfer.experiments.statistics import METRICS
from dfer.training.recipes import recipe_names

COSTS: Final = ("parameters", "gmac", "seconds")
"""Columns that say what a row costs; ``seconds`` is a run's training time."""

COLUMNS: Final = (*METRICS, "recall", *COSTS)
"""Every column a grid may ask for; ``recall`` stands for one column per class."""

GRID_KEYS: Final = (
    *("title", "note", "recipe", "overrides", "budgets", "baseline"),
    *("columns", "differences", "seeds", "folds", "rows", "datasets"),
)
ROW_KEYS: Final = (
    *("name", "recipe", "overrides", "published", "published_only"),
    *("seeds", "predictions", "baseline", "datasets"),
)
RUN_KEYS: Final = ("recipe", "overrides", "seeds", "predictions", "baseline", "datasets")
DATASET_KEYS: Final = ("overrides", "budgets", "folds")
DATASET: Final = "{dataset}"
DEFAULT_DATASET: Final = "synthetic"


@dataclass(frozen=True)
class Row:
    """One row: a recipe with overrides, trained once per seed and fold.

    Args:
        arguments: the grid's overrides, then the row's, as options of ``dfer train``.
        published: mean, or mean and standard deviation, by metric, in the paper's units (percent for rates).
        published_only: someone else's system: shown, never run.
        seeds: of this row where the grid's number does not hold.
        predictions: which of a run's saved predictions the row reads; rows that differ in this alone share runs.
        baseline: the row it is compared with, where that is not the grid's.
    """

    name: str
    recipe: str = ""
    arguments: tuple[str, ...] = ()
    published: Mapping[str, tuple[float, ...]] | None = None
    published_only: bool = False
    seeds: int | None = None
    predictions: str = "test"
    baseline: str | None = None


@dataclass(frozen=True)
class Grid:
    """A table to be made: rows, the one they are compared with, and what is measured.

    Args:
        name: the file's, without suffix; the table's files are named after it.
        budgets: options that a budget needs in this grid beside its usual ones.
        differences: metrics whose paired difference to the baseline is shown.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    baseline: str
    columns: tuple[str, ...]
    differences: tuple[str, ...]
    seeds: int = 1
    folds: str | None = None
    note: str = ""
    budgets: Mapping[str, tuple[str, ...]] | None = None

    def baseline_of(self, row: Row) -> str:
        """Name the row that a row is compared with."""
        return row.baseline or self.baseline


def grid_names() -> list[str]:
    """List the packaged grids, such as ``synthetic/dynamic``."""
    root = Path(str(files("dfer.experiments") / "grids"))
    return sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.yaml"))


def load_grid(file: Path | str, dataset: str | None = None) -> Grid:
    """Read and check a grid, given as a file or as a packaged grid's name.

    Args:
        dataset: of a grid for several; ``synthetic`` unless given.

    Raises:
        InputError: not found, no YAML, or a key, metric, row, baseline or data set that does not fit.

    Example:
        >>> load_grid("synthetic/dynamic").baseline
        'one random frame'
    """
    path = Path(file)
    if not path.is_file():
        names = grid_names()
        if str(file) not in names:
            raise InputError(f"no grid {str(file)!r}, neither a file nor packaged; {_nearest(str(file), names)}")
        path = Path(str(files("dfer.experiments") / "grids" / f"{file}.yaml"))
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read as YAML: {error}") from error
    name = path.with_suffix("").name if path.is_file() and Path(file) == path else str(file).replace("/", "-")
    return parse_grid(content, name, where=str(path), dataset=dataset)


def parse_grid(content: object, name: str, *, where: str, dataset: str | None = None) -> Grid:
    """Make a grid of what its YAML file says.

    Raises:
        InputError: as ``load_grid``.
    """
    table = _mapping(content, where)
    _known_keys(table, GRID_KEYS, where)
    if not table.get("title"):
        raise InputError(f"{where} has no title; say in one line what the table shows")
    declared = table.get("rows")
    if not isinstance(declared, list) or not declared:
        raise InputError(f"{where} declares no rows; give a list of {{name, recipe, overrides}}")
    recipes = [place.get("recipe") for place in (table, *declared) if isinstance(place, dict)]
    if any(DATASET in recipe for recipe in recipes if isinstance(recipe, str)):
        name = f"{name}.{dataset or DEFAULT_DATASET}"
        table = _of_dataset(table, dataset or DEFAULT_DATASET, where)
        declared = table["rows"]
    elif dataset is not None:
        raise InputError(f"{where} is a grid for one kind of data; leave out --dataset {dataset}")
    elif "datasets" in table:
        raise InputError(f"{where} has datasets, but no recipe of the kind {DATASET}/NAME; leave them out")
    shared = options(table.get("overrides"), where)
    rows = tuple(_row(row, table.get("recipe"), shared, f"{where}, row {i + 1}") for i, row in enumerate(declared))
    names = [row.name for row in rows]
    if twice := sorted({row for row in names if names.count(row) > 1}):
        raise InputError(f"{where} has two rows named {twice[0]!r}; give each its own name")
    ours = [row.name for row in rows if not row.published_only]
    baseline = str(table.get("baseline", ""))
    if baseline not in ours:
        raise InputError(f"{where}: baseline {baseline!r} is none of the rows that run; {_nearest(baseline, ours)}")
    for row in rows:
        if row.baseline is not None and row.baseline not in ours:
            near = _nearest(row.baseline, ours)
            raise InputError(
                f"{where}, row {row.name!r}: baseline {row.baseline!r} is none of the rows that run; {near}"
            )
    columns = _metrics(table.get("columns", ["war", "uar"]), COLUMNS, f"{where}, columns")
    measured = [column for column in columns if column in METRICS]
    differences = _metrics(table.get("differences", measured[:1]), METRICS, f"{where}, differences")
    budgets = _mapping(table.get("budgets") or {}, f"{where}, budgets")
    _known_keys(budgets, tuple(BUDGETS), f"{where}, budgets")
    folds = table.get("folds")
    return Grid(
        name=name,
        title=str(table["title"]),
        rows=rows,
        baseline=baseline,
        columns=columns,
        differences=differences,
        seeds=_count(table.get("seeds", 1), f"{where}, seeds"),
        folds=None if folds is None else str(folds),
        note=str(table.get("note", "")).strip(),
        budgets={str(key): options(value, f"{where}, budget {key}") for key, value in budgets.items()},
    )


def options(overrides: object, where: str) -> tuple[str, ...]:
    """Write overrides as options of ``dfer train``: a mapping (dotted or nested keys) or a list of arguments.

    Example:
        >>> options({"trainer": {"max_epochs": 5}, "data.dataset.clips": {"train": 80}}, "here")
        ('--trainer.max_epochs=5', '--data.dataset.clips={"train": 80}')
    """
    if overrides is None:
        return ()
    if isinstance(overrides, list):
        return tuple(str(item) for item in overrides)
    found: list[str] = []
    for key, value in _mapping(overrides, where).items():
        nested = isinstance(value, dict) and value and "." not in key and "class_path" not in value
        if nested:
            found += [f"--{key}.{option.removeprefix('--')}" for option in options(value, where)]
        else:
            found.append(f"--{key}={value if isinstance(value, str) else json.dumps(value)}")
    return tuple(found)


def _of_dataset(table: dict[str, Any], dataset: str, where: str) -> dict[str, Any]:
    """Write one data set's name into the recipes, and its settings after the general ones."""
    known = sorted({name.split("/")[0] for name in recipe_names()})
    if dataset not in known:
        raise InputError(f"no recipes for data set {dataset!r}; {_nearest(dataset, known)}")
    every = _mapping(table.get("datasets") or {}, f"{where}, datasets")
    _known_keys(every, known, f"{where}, datasets")
    settings = {one: _mapping(value or {}, f"{where}, datasets, {one}") for one, value in every.items()}
    for one, keys in settings.items():
        _known_keys(keys, DATASET_KEYS, f"{where}, datasets, {one}")
    own = settings.get(dataset, {})
    general, special = (_mapping(part.get("budgets") or {}, f"{where}, budgets") for part in (table, own))
    merged = {**table, "title": f"{table['title']}, {dataset}", "folds": own.get("folds", table.get("folds"))}
    merged["overrides"] = [*options(table.get("overrides"), where), *options(own.get("overrides"), where)]
    merged["budgets"] = {
        name: [*options(general.get(name), where), *options(special.get(name), where)]
        for name in dict.fromkeys([*general, *special])
    }
    merged["rows"] = [dict(row) if isinstance(row, dict) else row for row in table["rows"]]
    for place in (merged, *[row for row in merged["rows"] if isinstance(row, dict)]):
        if isinstance(place.get("recipe"), str):
            place["recipe"] = place["recipe"].replace(DATASET, dataset)
    for row in merged["rows"]:
        if isinstance(row, dict) and "datasets" in row and not row.get("published_only"):
            here = f"{where}, row {row.get('name')!r}, datasets"
            chosen = _of_row(row.pop("datasets"), dataset, known, here)
            row["overrides"] = [*options(row.get("overrides"), where), *chosen]
    return merged


def _of_row(content: object, dataset: str, known: Sequence[str], where: str) -> tuple[str, ...]:
    """Write what a row sets for one data set as options."""
    every = _mapping(content or {}, where)
    _known_keys(every, known, where)
    for one, settings in every.items():
        _known_keys(_mapping(settings or {}, f"{where}, {one}"), ("overrides",), f"{where}, {one}")
    return options((every.get(dataset) or {}).get("overrides"), f"{where}, {dataset}")


def _row(content: object, recipe: object, shared: tuple[str, ...], where: str) -> Row:
    table = _mapping(content, where)
    _known_keys(table, ROW_KEYS, where)
    if not table.get("name"):
        raise InputError(f"{where} has no name; the table needs one")
    where = f"{where} ({table['name']})"
    published = _published(table.get("published") or {}, where)
    name, only = str(table["name"]), bool(table.get("published_only", False))
    if only:
        if needless := [key for key in RUN_KEYS if key in table]:
            raise InputError(f"{where} is published_only, it runs nothing; leave out {', '.join(needless)}")
        if not published:
            raise InputError(f"{where} is published_only; it needs published numbers")
        return Row(name, published=published, published_only=True)
    predictions = str(table.get("predictions", "test"))
    try:
        named(predictions)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    if "datasets" in table:
        raise InputError(f"{where} has datasets, but the grid is for one kind of data; give it overrides")
    own = table.get("recipe", recipe)
    if not isinstance(own, str) or not own:
        raise InputError(f"{where} has no recipe; give one to the row or to the whole grid")
    return Row(
        name=name,
        recipe=own,
        arguments=(*shared, *options(table.get("overrides"), where)),
        published=published,
        seeds=_count(table["seeds"], f"{where}, seeds") if table.get("seeds") is not None else None,
        predictions=predictions,
        baseline=None if table.get("baseline") is None else str(table["baseline"]),
    )


def _published(content: object, where: str) -> dict[str, tuple[float, ...]]:
    found: dict[str, tuple[float, ...]] = {}
    for metric, value in _mapping(content, where).items():
        if metric not in COLUMNS:
            raise InputError(f"{where}: published {metric!r} is no metric; {_nearest(metric, COLUMNS)}")
        numbers = value if isinstance(value, list) else [value]
        plain = all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers)
        if not plain or len(numbers) not in (1, 2):
            raise InputError(f"{where}: published {metric} is {value!r}; write a number, or [mean, deviation]")
        found[metric] = tuple(float(number) for number in numbers)
    return found


def _metrics(content: object, known: Sequence[str], where: str) -> tuple[str, ...]:
    names = content if isinstance(content, list) else [content]
    for name in names:
        if name not in known:
            raise InputError(f"{where}: {name!r} is none; {_nearest(str(name), known)}")
    return tuple(dict.fromkeys(names))


def _count(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{where} is {value!r}; write how many, 1 or more")
    return value


def _mapping(content: object, where: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise InputError(f"{where} holds {type(content).__name__}, not a table of `key: value` lines")
    return {str(key): value for key, value in content.items()}


def _known_keys(table: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise InputError(f"{where}: unknown key {key!r}; {_nearest(key, known)}")


def _nearest(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(known)}"
