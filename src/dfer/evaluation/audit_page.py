"""The page of an audit: film strips of the clips that are worth a look."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import pandas as pd
from rich.console import Console
from rich.progress import track
from torch import nn

from dfer import figures as draw
from dfer.datasets import ClipDataset
from dfer.evaluation.heatmaps import frames_taken
from dfer.evaluation.report import inline, render_page
from dfer.figures.style import class_colour
from dfer.labels import SHORT
from dfer.predictions import Predictions
from dfer.runs import RunFolder, write_atomically

KINDS: Final = ("noisy", "hard", "ordinary")
"""Verdicts in the order in which a reader wants them."""


def verdict_counts(table: pd.DataFrame, labels: Sequence[str]) -> list[tuple[str, int, int, int, int]]:
    """Count an audit's clips and its noisy, hard and ordinary ones by given label, and of all in the last row.

    Example:
        >>> table = pd.DataFrame({"label": ["sad", "happy", "sad"], "verdict": ["noisy", "ordinary", "hard"]})
        >>> verdict_counts(table, ["happy", "sad"])
        [('happy', 1, 0, 0, 1), ('sad', 2, 1, 1, 0), ('all', 3, 1, 1, 1)]
    """
    found = Counter(zip(table["label"], table["verdict"], strict=True))
    rows = [(label, [found[label, kind] for kind in KINDS]) for label in labels]
    rows.append(("all", [sum(counts) for counts in zip(*(counts for _, counts in rows), strict=True)]))
    return [(label, sum(counts), counts[0], counts[1], counts[2]) for label, counts in rows]


def write_audit_page(
    run: RunFolder,
    table: pd.DataFrame,
    predictions: Predictions,
    clips: ClipDataset,
    top: int = 100,
    *,
    model: nn.Module | None = None,
    fractions: tuple[float, float] = (0.2, 0.1),
) -> None:
    """Write ``audit.html``: the most suspicious clips and the hardest ones; pictures are inside the page.

    Args:
        table: an audit's, in its order; its index is the clip's place in ``predictions``.
        top: how many of the most suspicious, and how many of the hardest.
        model: of one that samples a clip itself, a second strip shows the frames that it takes.
        fractions: of hard and noisy clips, as they were judged.
    """
    hard = table["verdict"] == "hard"
    suspicious, hardest = table[~hard].head(top), table[hard].head(top)
    console = Console(stderr=True)
    places = track(
        [*suspicious.index, *hardest.index],
        "film strips",
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    cards = [_card(table.loc[place], int(place), predictions, clips, model) for place in places]
    *rows, whole = verdict_counts(table, predictions.labels)
    content = render_page(
        "audit.html.j2",
        run=run.path.name,
        manifest=run.read_manifest(),
        rows=[(class_colour(row[0]), row) for row in rows],
        whole=whole,
        held_out=int(table["held_out"].sum()),
        suspicious=cards[: len(suspicious)],
        hardest=cards[len(suspicious) :],
        hard=int(hard.sum()),
        recorded="agreement_in_training" in table,
        fractions=[f"{100 * share:g} %" for share in fractions],
    )
    write_atomically(run.audit_page, content)


def _card(
    row: "pd.Series[Any]", place: int, predictions: Predictions, clips: ClipDataset, model: nn.Module | None
) -> dict[str, Any]:
    assert predictions.clip_logits is not None
    clip = clips[int(predictions.row[place])].clip  # (T, C, H, W)
    taken = None if model is None else frames_taken(model, clip)  # (n, H, W, C)
    chosen = [predictions.labels[k] for k in predictions.clip_logits[place].argmax(axis=1)]
    training = None
    if isinstance(row.get("verdict_in_training"), str):
        training = f"{row['verdict_in_training']}, agreement {row['agreement_in_training']:.2f}"
        training += f", loss {row['loss_in_training']:.2f}"
    return {
        "clip": row["clip_id"],
        "label": _chip(row["label"]),
        "prediction": _chip(row["prediction"]),
        "agrees": row["label"] == row["prediction"],
        "probability": f"{100 * row['probability']:.0f} %",
        "verdict": row["verdict"],
        "agreement": f"{row['agreement']:.2f}",
        "loss": f"{row['loss']:.2f}",
        "held_out": bool(row["held_out"]),
        "training": training,
        "clips": [_chip(name, own=name == row["label"]) for name in chosen],
        "strip": inline(draw.film_strip(clip.permute(0, 2, 3, 1).numpy()), "image/jpeg"),
        "taken": None if taken is None else inline(draw.film_strip(taken), "image/jpeg"),
    }


def _chip(name: str, own: bool = False) -> dict[str, Any]:
    return {"name": name, "short": SHORT.get(name, name), "colour": class_colour(name), "own": own}
