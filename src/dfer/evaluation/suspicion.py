"""Which training labels to doubt: every training clip of a run, judged by what the run's best model makes of it."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from dfer.datasets import ClipDataset
from dfer.errors import InputError
from dfer.evaluation.agreement import WHO_HAS, agreement_of
from dfer.evaluation.predict import predict
from dfer.evaluation.robustness import up_to_date, weights_of
from dfer.evaluation.source import Source, in_labels
from dfer.labels import label_map
from dfer.predictions import Predictions
from dfer.reweight import HARD, NOISY, VERDICTS, verdicts
from dfer.runs import RunFolder, write_atomically


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


def audit_run(
    run: RunFolder,
    *,
    fractions: tuple[float, float] = (0.2, 0.1),
    data: Path | None = None,
    batch_size: int = 32,
    workers: int = 0,
    write: bool = True,
) -> Audit:
    """Judge the training clips of one run, and write ``audit.csv``.

    The shares are of all training clips. Where the run kept a record while it trained, its last entries stand beside
    what the best model says now, in evaluation mode and on the clips as they are.

    Args:
        fractions: of hard and of noisy clips.
        write: False leaves the run's ``audit.csv`` as it is, or away.

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
    if write:
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
