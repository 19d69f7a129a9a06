"""``dfer audit``: which training clips to look at, because their labels may be wrong or because they are hard."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from dfer.datasets import ClipDataset
from dfer.errors import InputError
from dfer.evaluation.agreement import WHO_HAS, agreement_of
from dfer.evaluation.audit_page import KINDS, verdict_counts, write_audit_page
from dfer.evaluation.predict import predict
from dfer.evaluation.robustness import up_to_date, weights_of
from dfer.evaluation.source import Source, in_labels
from dfer.evaluation.tabular import Format, Tabular, written
from dfer.labels import label_map
from dfer.predictions import Predictions
from dfer.reweight import HARD, NOISY, VERDICTS, verdicts
from dfer.reweight.agreement import check_fractions
from dfer.runs import RunFolder, write_atomically

SHOWN: Final = 10
"""Clips that the terminal lists."""


@dataclass(frozen=True)
class Audit:
    """Every training clip of a run and what its best model makes of it, the most suspicious first.

    ``table`` is what ``audit.csv`` holds; its index is the clip's place in ``predictions``.
    """

    run: RunFolder
    source: Source
    clips: ClipDataset
    predictions: Predictions
    table: pd.DataFrame
    fractions: tuple[float, float]


def suspicion_order(verdict: ArrayLike, agreement: ArrayLike, loss: ArrayLike) -> NDArray[np.int64]:
    """Order clips by suspicion: noisy ones first, hard ones last.

    Noisy and ordinary ones go by agreement, then by loss, the largest first: clips that a model agrees on, against
    their label. Hard ones go by agreement, the smallest first, then by loss, the largest first. Ties go by place.

    Example:
        >>> suspicion_order([0, 1, 2, 1, 0], [1.0, 0.5, 1.0, 0.25, 1.0], [0.1, 2.0, 3.0, 2.0, 0.2]).tolist()
        [2, 4, 0, 3, 1]
    """
    judged, share, size = np.asarray(verdict), np.asarray(agreement, np.float64), np.asarray(loss, np.float64)
    group = np.select([judged == NOISY, judged == HARD], [0, 2], 1)
    return np.lexsort((-size, np.where(judged == HARD, share, -share), group))


def plain_loss(predictions: Predictions) -> NDArray[np.float64]:
    """Give the cross-entropy of each clip's label, without smoothing or temperature, ``(N,)``."""
    logits = predictions.logits.astype(np.float64)
    top = logits.max(axis=1)
    own = logits[np.arange(len(logits)), predictions.label]
    return np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top - own  # type: ignore[no-any-return]


def audit(
    runs: list[Path],
    *,
    data: Path | None = None,
    top: int = 100,
    hard_fraction: float = 0.2,
    noisy_fraction: float = 0.1,
    batch_size: int = 32,
    workers: int = 2,
    truth: bool = False,
    title: list[str] | None = None,
    format: Format = "terminal",
) -> int:
    """List a run's training clips, those whose labels may be wrong first.

    The best model predicts every training clip, held-out ones too. Hard is a clip whose parts it cannot agree on, noisy
    one on which they agree but the loss is large. Leaves ``audit.csv``, ``audit.html`` and the predictions in the run's
    folder; a second call predicts nothing anew.

    Args:
        runs: run folders.
        data: where the data lie now, if they moved.
        top: clips on the page, of the most suspicious and of the hardest each.
        hard_fraction: largest share of the training clips that are hard.
        noisy_fraction: share of the training clips that are noisy.
        batch_size: clips at once.
        workers: loader processes.
        truth: of drawn faces: measure the verdicts against the labels that are truly wrong, and draw no page; runs that
            differ in their seed alone are averaged.
        title: with ``--truth``: what to call each of the settings, in their order.
        format: with ``--truth``: of what is printed.
    """
    if not runs:
        raise InputError("no run given; `dfer audit runs/NAME`")
    if top < 1:
        raise InputError(f"--top {top}; give at least 1")
    if not truth and (format != "terminal" or title):
        raise InputError(
            "--format and --title are for --truth; the list of all clips is audit.csv, in the run's folder"
        )
    fractions = hard_fraction, noisy_fraction
    try:
        check_fractions(*fractions)
    except ValueError as error:
        raise InputError(str(error)) from error
    found = []
    for path in runs:
        one = audit_run(RunFolder(path), fractions=fractions, data=data, batch_size=batch_size, workers=workers)
        if truth:
            found.append(one)
            continue
        write_audit_page(one.run, one.table, one.predictions, one.clips, top)
        print_audit(one)
    if truth:
        from dfer.evaluation.known_truth import truth_text

        print(truth_text(found, title or (), format, batch_size=batch_size, workers=workers), end="")
    return 0


def audit_run(
    run: RunFolder,
    *,
    fractions: tuple[float, float] = (0.2, 0.1),
    data: Path | None = None,
    batch_size: int = 32,
    workers: int = 0,
) -> Audit:
    """Judge the training clips of one run, and write ``audit.csv``.

    The shares are of all training clips. Where the run kept a record while it trained, its last entries stand beside
    what the best model says now, in evaluation mode and on the clips as they are.

    Args:
        fractions: of hard and of noisy clips.

    Raises:
        InputError: no run there or no checkpoint yet, its data gone, or a model without clip predictions.
    """
    source = Source.open(run, data)
    clips = source.clips("train")
    predictions = _training_predictions(run, source, clips, batch_size, min(workers, os.cpu_count() or 1))
    share, loss = agreement_of(predictions, run.path), plain_loss(predictions)
    verdict = verdicts(share, loss, hard_fraction=fractions[0], noisy_fraction=fractions[1]).numpy()
    names = np.array(predictions.labels)
    table = pd.DataFrame(
        {
            "clip_id": predictions.clip_id,
            "label": names[predictions.label],
            "prediction": names[predictions.logits.argmax(axis=1)],
            "probability": np.exp(-loss),
            "agreement": share,
            "loss": loss,
            "verdict": np.array(VERDICTS)[verdict],
            "held_out": np.isin(predictions.row, source.manifest["data"].get("held_out_rows") or []),
        }
    )
    if run.agreement.is_file():
        table = table.join(_record(run.agreement), on="clip_id")
    table = table.iloc[suspicion_order(verdict, share, loss)]
    write_atomically(run.audit, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    return Audit(run, source, clips, predictions, table, fractions)


def _training_predictions(
    run: RunFolder, source: Source, clips: ClipDataset, batch_size: int, workers: int
) -> Predictions:
    """Take the saved predictions of the training clips if they are of this model and these clips, else make them."""
    spec = source.loaded.input_spec
    targets = label_map(clips.labels, spec.labels)
    if up_to_date(run, "train"):
        saved = Predictions.load(run.predictions("train"))
        known = [row for row, label in enumerate(clips.targets) if targets[label] is not None]
        if saved.clip_id.tolist() == [clips.clip_id(row) for row in known]:
            label = np.array([targets[clips.targets[row]] for row in known], np.int64)
            return replace(saved, label=label, row=np.array(known, np.int64))
    model = source.loaded.model
    if predict(model, clips, [0], description="looking at the model").clip_logits is None:
        raise InputError(f"{run.path}: {type(model).__name__} predicts whole videos only, no clips of them; {WHO_HAS}")
    raw, _ = in_labels(
        predict(model, clips, batch_size=batch_size, workers=workers, description="training clips"), spec
    )
    about = {"run": run.path.name, "split": "train", "weights": weights_of(run)}
    predictions = replace(raw, temperature=source.loaded.temperature, about=about)
    predictions.save(run.predictions("train"))
    return predictions


def _record(path: Path) -> pd.DataFrame:
    """Read what a run noted of its clips while it trained; a clip without a record has empty cells."""
    try:
        found = pd.read_csv(
            path,
            dtype={"clip_id": str, "verdict": str},
            keep_default_na=False,
            na_values={"agreement": [""], "loss": [""]},
        )
        found = found.set_index("clip_id")[["agreement", "loss", "verdict"]].astype({"agreement": float, "loss": float})
    except (ValueError, KeyError) as error:
        raise InputError(f"{path} is no record of a training ({error}); delete it") from error
    found["verdict"] = found["verdict"].where(found["agreement"].notna())
    return found.add_suffix("_in_training")


def print_audit(found: Audit) -> None:
    """Print how many clips of each class are noisy and hard, and the most suspicious ones."""
    table = found.table
    clips = len(table)
    counts = table["verdict"].value_counts()
    shares = [f"{counts.get(kind, 0)} {kind} ({100 * counts.get(kind, 0) / clips:.1f} %)" for kind in KINDS]
    print(f"{found.run.path}\n{clips} training clips, {table['held_out'].sum()} of them held out: {', '.join(shares)}")
    rows = verdict_counts(table, found.predictions.labels)
    first = table.head(SHOWN)
    listed: list[list[Any]] = first[["clip_id", "label", "prediction", "verdict", "agreement", "loss"]].values.tolist()
    headers = ["clip", "label", "prediction", "verdict", "agreement", "loss"]
    tables = [
        Tabular("classes", "By label", ["label", "clips", *KINDS], rows),
        Tabular("suspicious", f"The {len(first)} most suspicious clips", headers, listed),
    ]
    print(written(tables, "terminal", title=""), end="")
    print(f"all clips: {found.run.audit}\nfilm strips: {found.run.audit_page}")
