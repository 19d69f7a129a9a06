"""``dfer evaluate``: what a finished run is worth on clips it never saw."""

import json as json_format
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from dfer.errors import InputError
from dfer.evaluation.card import write_card
from dfer.evaluation.intervals import intervals
from dfer.evaluation.predict import check_loading, predict
from dfer.evaluation.report import write_report
from dfer.evaluation.robustness import asked_for, print_robustness, robustness, up_to_date, weights_of
from dfer.evaluation.source import Source, in_labels
from dfer.evaluation.temperature import fit_temperature
from dfer.labels import SHORT
from dfer.metrics import evaluate as measure
from dfer.models import checkpoint
from dfer.predictions import Predictions
from dfer.runs import RunFolder, write_atomically

FIGURES = ("war", "uar", "ece", "nll", "brier")
RATES = ("war", "uar")


def evaluate(
    runs: list[Path],
    *,
    data: Path | None = None,
    corrupt: list[str] | None = None,
    severity: int = 3,
    batch_size: int = 32,
    workers: int = 2,
    json: bool = False,
) -> int:
    """Measure finished runs on their test clips; several runs pool into a fold average.

    Writes each run's predictions, ``evaluation.json``, figures, ``report.html`` and ``model_card.md``; prints a table.

    Args:
        runs: run folders.
        data: where the data lie now, if they moved.
        corrupt: damage the test clips as well, ``gaussian_noise``, ``frame_drop`` or ``all``, and compare; a run that
            was evaluated before keeps its figures on clean clips.
        severity: of the damage, 1 to 5.
        batch_size: clips at once.
        workers: loader processes.
        json: print one JSON object instead of a table.
    """
    if not runs:
        raise InputError("no run given; `dfer evaluate runs/NAME`")
    check_loading(batch_size, workers)
    damages = asked_for(corrupt or [], severity)
    settings: dict[str, Any] = {"data": data, "batch_size": batch_size, "workers": workers}
    folders = [RunFolder(path) for path in runs]
    found = [_read(run) if damages and _evaluated(run) else evaluate_run(run, **settings) for run in folders]
    if len({tuple(one["labels"]) for one in found}) > 1:
        raise InputError("these runs have different labels; evaluate them one by one")
    summary = pool(found) if len(found) > 1 else found[0]
    damaged = {}
    for run in folders if damages else []:
        damaged[str(run.path)] = robustness(run, damages, **settings)
        write_card(run)
    if json:
        summary = {**summary, "robustness": damaged} if damaged else summary
        print(json_format.dumps(_no_nan({"runs": [str(path) for path in runs], **summary})))
    else:
        print_figures(summary, len(found))
        for path in runs:
            print(f"report: {RunFolder(path).report}")
        for name, of_run in damaged.items():
            print_robustness(of_run, name)
    return 0


def _evaluated(run: RunFolder) -> bool:
    return run.evaluation.is_file() and up_to_date(run, "test")


def _read(run: RunFolder) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json_format.loads(run.evaluation.read_text())
        return {**found, "per_class": [math.nan if share is None else share for share in found["per_class"]]}
    except (ValueError, KeyError, TypeError) as error:
        what = f"is no JSON ({error})" if isinstance(error, ValueError) else "holds no figures"
        raise InputError(f"{run.evaluation} {what}; run `dfer evaluate {run.path}` again") from error


def evaluate_run(run: RunFolder, *, data: Path | None = None, batch_size: int = 32, workers: int = 0) -> dict[str, Any]:
    """Measure one run: predictions, temperature, figures with intervals, report.

    Under the held-out protocol the test clips are read once, with the epoch that the held-out clips chose, and the
    temperature is fitted on the held-out clips. Under the paper's, UAR is of the best epoch by UAR, the rest of the
    best by WAR, both chosen on the test clips; no clips are left to fit a temperature on.

    Raises:
        InputError: no run there, unfinished, its data gone, or of other labels.
    """
    source = Source.open(run, data)
    manifest, loaded, spec = source.manifest, source.loaded, source.loaded.input_spec
    test, notes = source.clips("test"), []
    settings: dict[str, Any] = {"batch_size": batch_size, "workers": min(workers, os.cpu_count() or 1)}
    raw, left_out = in_labels(predict(loaded.model, test, description="test clips", **settings), spec)
    if left_out:
        notes.append(f"left out, because the model does not know them: {', '.join(left_out)}")
    held_out_rows = manifest["data"].get("held_out_rows")
    temperature = 1.0
    if held_out_rows:
        kept = source.clips("train")
        held_out, _ = in_labels(
            predict(loaded.model, kept, held_out_rows, description="held-out clips", **settings), spec
        )
        temperature = fit_temperature(held_out.logits, held_out.label)
        replace(held_out, temperature=temperature).save(run.predictions("held-out"))
        checkpoint.set_temperature(run.checkpoint("best"), temperature)
    else:
        notes.append("no temperature: the paper's protocol keeps no clips aside to fit one on")
    about = {"run": run.path.name, "split": "test", "weights": weights_of(run)}
    predictions = replace(raw, temperature=temperature, about=about)
    predictions.save(run.predictions("test"))
    found = figures_of(predictions)
    if manifest["protocol"] == "paper" and run.checkpoint("best-uar").is_file():
        other = checkpoint.load(run.checkpoint("best-uar"))
        by_uar, _ = in_labels(predict(other.model, test, description="test clips, best UAR", **settings), spec)
        by_uar.save(run.predictions("test-uar"))
        of_uar = figures_of(by_uar)
        found["metrics"]["uar"], found["intervals"]["uar"] = of_uar["metrics"]["uar"], of_uar["intervals"]["uar"]
        notes.append("UAR is of the best epoch by UAR, all else of the best by WAR, as the field does")
    if absent := [name for name, row in zip(spec.labels, found["confusion"]) if not sum(row)]:
        notes.append(f"no test clip shows {', '.join(absent)}; UAR is over the other classes")
    reads = test.reads()
    if reads and reads != "originals":
        notes.append(f"test clips were read from: {reads}")
    result = {**found, "protocol": manifest["protocol"], "temperature": temperature, "notes": notes}
    result["labels"], result["reads"] = list(spec.labels), reads
    write_atomically(run.evaluation, json_format.dumps(_no_nan(result), indent=2) + "\n")
    write_report(run, manifest, result, predictions, test)
    write_card(run)
    return result


def figures_of(predictions: Predictions) -> dict[str, Any]:
    """Measure saved predictions, before and after their temperature, with 95 % intervals."""
    plain = predictions.probabilities(1.0)
    measured = measure(plain, predictions.label)
    scaled = measure(predictions.probabilities(), predictions.label)
    spread = intervals(plain, predictions.label)
    return {
        "metrics": {name: measured[name] for name in FIGURES},  # type: ignore[literal-required]
        "calibrated": {name: scaled[name] for name in FIGURES},  # type: ignore[literal-required]
        "intervals": {name: spread[name] for name in FIGURES},
        "per_class": measured["per_class"],
        "per_class_intervals": spread["per_class"],
        "confusion": measured["confusion"],
        "clips": len(predictions),
    }


def pool(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Average runs as the field does, unweighted, and sum their confusion matrices."""
    values = {name: [one["metrics"][name] for one in found] for name in FIGURES}
    recalls = np.array([one["per_class"] for one in found], dtype=np.float64)
    seen = np.logical_not(np.isnan(recalls).all(axis=0)).tolist()
    per_class = [float(np.nanmean(recalls[:, k])) if seen[k] else math.nan for k in range(recalls.shape[1])]
    return {
        "metrics": {name: float(np.mean(of)) for name, of in values.items()},
        "std": {name: float(np.std(of, ddof=1)) for name, of in values.items()},
        "per_class": per_class,
        "confusion": np.sum([one["confusion"] for one in found], axis=0).tolist(),
        "clips": sum(one["clips"] for one in found),
        "labels": list(found[0]["labels"]),
        "protocol": " and ".join(sorted({one["protocol"] for one in found})),
        "notes": list(dict.fromkeys(note for one in found for note in one["notes"])),
    }


def print_figures(found: Mapping[str, Any], runs: int = 1) -> None:
    """Print what `evaluate_run` or `pool` found, or what ``evaluation.json`` holds, as a table."""
    table = Table("figure", "value", "95 % interval" if runs == 1 else f"std over {runs} runs", "after temperature")
    for name in FIGURES:
        scale, unit = (100, " %") if name in RATES else (1, "")
        digits = 2 if unit else 4
        value = found["metrics"][name]
        if runs == 1:
            low, high = found["intervals"][name]
            spread = f"{scale * low:.{digits}f} to {scale * high:.{digits}f}"
            after = f"{scale * found['calibrated'][name]:.{digits}f}{unit}"
        else:
            spread, after = f"{scale * found['std'][name]:.{digits}f}", ""
        table.add_row(name.upper(), f"{scale * value:.{digits}f}{unit}", spread, after)
    for name, recall in zip(found["labels"], found["per_class"]):
        table.add_row(
            f"recall {SHORT.get(name, name)}",
            "-" if recall is None or math.isnan(recall) else f"{100 * recall:.2f} %",
            "",
            "",
        )
    console = Console()
    console.print(table)
    console.print(f"{found['clips']} test clips; protocol: {found['protocol']}")
    for note in found["notes"]:
        console.print(note)


def _no_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _no_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_no_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
