"""What a run is worth on test clips that were damaged on purpose."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from dfer.errors import InputError
from dfer.evaluation.predict import predict
from dfer.evaluation.source import Source, in_labels
from dfer.metrics import evaluate as measure
from dfer.predictions import Predictions
from dfer.runs import RunFolder, write_atomically
from dfer.transforms.corrupt import CORRUPTIONS, Corruption, corruption

FIGURES: Final = ("war", "uar", "ece", "nll", "brier")


def predictions_name(damage: Corruption) -> str:
    """Name the saved predictions of damaged test clips.

    Example:
        >>> predictions_name(corruption("frame_drop", 3))
        'test-frame_drop-3'
    """
    return f"test-{damage.name}-{damage.severity}"


def named(predictions: str) -> Corruption | None:
    """Read a corruption off the name of saved predictions; None for those of other clips.

    Raises:
        InputError: the name of a corruption or severity that there is not.

    Example:
        >>> damage = named("test-frame_drop-3")
        >>> (damage.name, damage.severity), named("test"), named("held-out")
        (('frame_drop', 3), None, None)
    """
    split, _, rest = predictions.partition("-")
    if split != "test" or rest in ("", "uar"):
        return None
    name, _, severity = rest.rpartition("-")
    return asked(name, severity)


def asked(name: str, severity: int | str) -> Corruption:
    """Build the corruption that a user asked for.

    Raises:
        InputError: there is none of that name or severity.
    """
    try:
        return corruption(name, int(severity) if str(severity).isdecimal() else severity)  # type: ignore[arg-type]
    except ValueError as error:
        raise InputError(str(error)) from error


def corrupted(
    run: RunFolder, damage: Corruption, *, data: Path | None = None, batch_size: int = 32, workers: int = 0
) -> Predictions:
    """Predict a run's test clips after damage, with its best model and its temperature, and save the predictions.

    Raises:
        InputError: as `dfer.evaluation.evaluate_run`.
    """
    source = Source.open(run, data)
    clips = source.clips("test").with_corruption(damage)
    settings: dict[str, Any] = {"batch_size": batch_size, "workers": min(workers, os.cpu_count() or 1)}
    what = f"test clips, {damage.name} {damage.severity}"
    raw, _ = in_labels(predict(source.loaded.model, clips, description=what, **settings), source.loaded.input_spec)
    about = {"run": run.path.name, "split": "test", "corruption": damage.name, "severity": damage.severity}
    predictions = replace(raw, temperature=source.loaded.temperature, about=about)
    predictions.save(run.predictions(predictions_name(damage)))
    return predictions


def robustness(
    run: RunFolder, damages: Sequence[Corruption], *, data: Path | None = None, batch_size: int = 32, workers: int = 0
) -> dict[str, dict[str, float]]:
    """Measure a run, evaluated before, on damaged test clips; leave ``robustness.json`` and the predictions.

    Returns:
        figures as trained by kind of clips: ``clean`` first, then ``NAME SEVERITY``.

    Raises:
        InputError: as `dfer.evaluation.evaluate_run`.
    """
    found = {"clean": _figures(Predictions.load(run.predictions("test")))}
    for damage in damages:
        predictions = corrupted(run, damage, data=data, batch_size=batch_size, workers=workers)
        found[f"{damage.name} {damage.severity}"] = _figures(predictions)
    path = run.path / "robustness.json"
    before: dict[str, dict[str, float]] = {}
    if path.is_file():
        try:
            before = json.loads(path.read_text())
        except ValueError as error:
            raise InputError(f"{path} is no JSON ({error}); delete it") from error
    if before.get("clean") == found["clean"]:  # of the same checkpoint
        found = {**before, **found}
    write_atomically(path, json.dumps(found, indent=2) + "\n")
    return found


def asked_for(names: Sequence[str], severity: int) -> list[Corruption]:
    """Build the corruptions of ``--corrupt``; ``all`` stands for every one.

    Raises:
        InputError: there is none of that name or severity.
    """
    wanted = CORRUPTIONS if "all" in names else dict.fromkeys(names)
    return [asked(name, severity) for name in wanted]


def print_robustness(found: Mapping[str, Mapping[str, float]], title: str) -> None:
    """Print what `robustness` found as a table."""
    table = Table("test clips", "WAR", "UAR", "ECE", title=title, title_justify="left")
    for name, figures in found.items():
        table.add_row(name, *(f"{100 * figures[one]:.2f} %" for one in ("war", "uar")), f"{figures['ece']:.4f}")
    Console().print(table)


def _figures(predictions: Predictions) -> dict[str, float]:
    measured = measure(predictions.probabilities(1.0), predictions.label)
    return {name: float(measured[name]) for name in FIGURES}
