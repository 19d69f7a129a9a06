"""Finished runs beside each other: what to call them, and whether they are of the same clips."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from dfer.errors import InputError
from dfer.predictions import Predictions
from dfer.runs import RunFolder

PLACES: Final = ("root", "file", "cache", "size")
"""Arguments of data sets that change no clip but where, or how large, it is."""


def names_of(runs: Sequence[RunFolder], titles: Sequence[str] = ()) -> list[str]:
    """Name runs by the titles given, else by their folders, with the folder above where two are called the same.

    Raises:
        InputError: as many titles as runs are not given, or two are the same.

    Example:
        >>> from pathlib import Path
        >>> names_of([RunFolder(Path("runs/a")), RunFolder(Path("runs/b"))])
        ['a', 'b']
        >>> names_of([RunFolder(Path("sam/seed0")), RunFolder(Path("adamw/seed0"))])
        ['sam/seed0', 'adamw/seed0']
    """
    if titles and len(titles) != len(runs):
        raise InputError(f"{len(titles)} titles for {len(runs)} runs; give --title once per run, RUN's first")
    names = list(titles) or [run.path.resolve().name for run in runs]
    if not titles and len(set(names)) < len(names):
        names = ["/".join(run.path.resolve().parts[-2:]) for run in runs]
    if len(set(names)) < len(names):
        raise InputError(f"two of the runs are called the same ({', '.join(names)}); give each its --title")
    return names


def predictions_of(runs: Sequence[RunFolder]) -> list[Predictions]:
    """Read the saved test predictions of runs that are to be compared.

    Raises:
        InputError: none saved, or they are of other clips or labels than the first run's.
    """
    found = [Predictions.load(run.predictions("test")) for run in runs]
    for run, one in zip(runs, found):
        if one.labels != found[0].labels:
            raise InputError(
                f"{run.path} knows the labels {', '.join(one.labels)}, {runs[0].path} knows "
                f"{', '.join(found[0].labels)}; compare runs of the same labels"
            )
        if not same_data(_data(run), _data(runs[0])) or set(one.clip_id) != set(found[0].clip_id):
            raise InputError(f"{run.path} was tested on other clips than {runs[0].path}; compare runs of the same data")
    return found


def same_data(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Tell by two data sets' descriptions whether they are of the same clips, wherever these lie and however large.

    Example:
        >>> dfew = {"class": "DFEW", "args": {"root": "/a", "fold": 1}}
        >>> same_data(dfew, {"class": "DFEW", "args": {"root": "/b", "fold": 1}})
        True
        >>> same_data(dfew, {"class": "DFEW", "args": {"root": "/a", "fold": 2}})
        False
    """
    one, other = (
        {key: value for key, value in of["args"].items() if key not in PLACES} | {"class": of["class"]}
        for of in (first, second)
    )
    return one == other


def _data(run: RunFolder) -> dict[str, Any]:
    description: dict[str, Any] = run.read_manifest()["data"]["description"]
    return description
