"""What a run is worth on test clips that were damaged on purpose."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from dfer.datasets import ClipDataset
from dfer.errors import InputError
from dfer.evaluation.predict import predict
from dfer.evaluation.source import Source, in_labels
from dfer.metrics import evaluate as measure
from dfer.models import checkpoint
from dfer.predictions import Predictions
from dfer.runs import RunFolder, write_atomically
from dfer.transforms.corrupt import CORRUPTIONS, Corruption, corruption

FIGURES: Final = ("war", "uar", "ece", "nll", "brier")

PLAIN: Final = ("test", "test-uar", "held-out")
"""Saved predictions of clips as they are."""


def predictions_name(damage: Corruption) -> str:
    """Name the saved predictions of damaged test clips.

    Example:
        >>> predictions_name(corruption("frame_drop", 3))
        'test-frame_drop-3'
    """
    return f"test-{damage.name}-{damage.severity}"


def named(predictions: str) -> Corruption | None:
    """Read a corruption off the name of saved predictions; None for those of clips as they are.

    Raises:
        InputError: no name of predictions, or of a corruption or severity that there is not.

    Example:
        >>> damage = named("test-frame_drop-3")
        >>> (damage.name, damage.severity), named("test"), named("held-out")
        (('frame_drop', 3), None, None)
    """
    if predictions in PLAIN:
        return None
    split, _, rest = predictions.partition("-")
    name, _, severity = rest.rpartition("-")
    if split != "test" or not rest:
        raise InputError(
            f"no predictions {predictions!r}; {', '.join(PLAIN)} or test-NAME-SEVERITY, as test-frame_drop-3"
        )
    damage = asked(name or severity, severity if name else 3)
    if predictions_name(damage) != predictions:
        raise InputError(f"no predictions {predictions!r}; did you mean {predictions_name(damage)}?")
    return damage


def by_uar(predictions: str) -> str:
    """Name the same clips' predictions by the epoch that is best by UAR, which the paper's protocol keeps as well.

    Example:
        >>> by_uar("test"), by_uar("test-frame_drop-3")
        ('test-uar', 'test-uar-frame_drop-3')
    """
    return predictions.replace("test", "test-uar", 1)


def weights_of(run: RunFolder) -> str | None:
    """Name the weights of a run's best checkpoints by their digests; None where there are none to be read."""
    found = []
    for name in ("best", "best-uar"):
        if run.checkpoint(name).is_file():
            try:
                found.append(str(json.loads(run.checkpoint(name).with_suffix(".json").read_text())["sha256"])[:16])
            except (OSError, ValueError, KeyError, TypeError):
                return None
    return " ".join(found) or None


def up_to_date(run: RunFolder, predictions: str) -> bool:
    """Say whether saved predictions are there, can be read, and are of the weights that the run has now.

    A run that was resumed may have others. Predictions that do not say their weights are believed.
    """
    try:
        weights = Predictions.load(run.predictions(predictions)).about.get("weights")
    except InputError:
        return False
    return weights is None or weights == weights_of(run)


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

    The clips are those of the run's predictions on clean ones, by id. Under the paper's protocol the best model by UAR
    predicts them too, as it does clean clips.

    Raises:
        InputError: as `dfer.evaluation.evaluate_run`; never evaluated, or evaluated on clips that are not there.
    """
    source = Source.open(run, data)
    clips = source.clips("test").with_corruption(damage)
    rows = _rows(run, clips)
    settings: dict[str, Any] = {"batch_size": batch_size, "workers": min(workers, os.cpu_count() or 1)}
    settings["description"] = f"test clips, {damage.name} {damage.severity}"
    spec, name = source.loaded.input_spec, predictions_name(damage)
    about = {"run": run.path.name, "split": "test", "corruption": damage.name, "severity": damage.severity}
    about["weights"] = weights_of(run)
    if source.manifest.get("protocol") == "paper" and run.checkpoint("best-uar").is_file():
        other = checkpoint.load(run.checkpoint("best-uar"))
        uar, _ = in_labels(predict(other.model, clips, rows, **settings), spec)
        replace(uar, about=about).save(run.predictions(by_uar(name)))
    raw, _ = in_labels(predict(source.loaded.model, clips, rows, **settings), spec)
    predictions = replace(raw, temperature=source.loaded.temperature, about=about)
    predictions.save(run.predictions(name))
    return predictions


def _rows(run: RunFolder, clips: ClipDataset) -> list[int]:
    """Find the clips that the run's clean predictions are of."""
    clean = Predictions.load(run.predictions("test")).clip_id.tolist()
    row_of = {clips.clip_id(row): row for row in range(len(clips))}
    if absent := [clip for clip in clean if clip not in row_of]:
        raise InputError(
            f"{run.path} was evaluated on other clips than there are here ({absent[0]} is not); give their --data, "
            "or evaluate it on these first, without --corrupt"
        )
    return [row_of[clip] for clip in clean]


def robustness(
    run: RunFolder, damages: Sequence[Corruption], *, data: Path | None = None, batch_size: int = 32, workers: int = 0
) -> dict[str, dict[str, float]]:
    """Measure a run, evaluated before, on damaged test clips; leave ``robustness.json`` and the predictions.

    Returns:
        figures as trained by kind of clips: ``clean`` first, then ``NAME SEVERITY``.

    Raises:
        InputError: as `corrupted`, or the figures that are there cannot be read.
    """
    path = run.path / "robustness.json"
    before: Any = {}
    if path.is_file():
        try:
            before = json.loads(path.read_text())
        except ValueError as error:
            raise InputError(f"{path} is no JSON ({error}); delete it") from error
        if not isinstance(before, dict):
            raise InputError(f"{path} holds no table; delete it")
    found = {"clean": _figures(run, "test")}
    for damage in damages:
        corrupted(run, damage, data=data, batch_size=batch_size, workers=workers)
        found[f"{damage.name} {damage.severity}"] = _figures(run, predictions_name(damage))
    if before.get("clean") == found["clean"]:  # of the same checkpoint
        found = {**before, **found}
    write_atomically(path, json.dumps(found, indent=2) + "\n")
    return found


def asked_for(names: Sequence[str], severity: int) -> list[Corruption]:
    """Build the corruptions of ``--corrupt``; ``all`` stands for every one.

    Raises:
        InputError: there is none of that name or severity.
    """
    given = [asked(name, severity) for name in dict.fromkeys(names) if name != "all"]
    return [asked(name, severity) for name in CORRUPTIONS] if "all" in names else given


def print_robustness(found: Mapping[str, Mapping[str, float]], title: str) -> None:
    """Print what `robustness` found as a table."""
    table = Table("test clips", "WAR", "UAR", "ECE", title=title, title_justify="left")
    for name, figures in found.items():
        table.add_row(name, *(f"{100 * figures[one]:.2f} %" for one in ("war", "uar")), f"{figures['ece']:.4f}")
    Console().print(table)


def _figures(run: RunFolder, name: str) -> dict[str, float]:
    predictions = Predictions.load(run.predictions(name))
    measured = measure(predictions.probabilities(1.0), predictions.label)
    found = {figure: float(measured[figure]) for figure in FIGURES}
    if run.predictions(by_uar(name)).is_file():  # the paper's protocol chooses another epoch for UAR
        other = Predictions.load(run.predictions(by_uar(name)))
        found["uar"] = float(measure(other.probabilities(1.0), other.label)["uar"])
    return found
