"""The report: one self-contained page on what was trained on what, and what it is worth."""

import base64
import math
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment
from markupsafe import Markup

from dfer import figures as draw
from dfer import notices
from dfer.datasets.base import ClipDataset
from dfer.evaluation.pictures import run_figures
from dfer.figures.style import class_colour
from dfer.predictions import Predictions
from dfer.runs import RunFolder, write_atomically

MISTAKES = 12
NAMES = {
    "war": "WAR (share of clips recognised)",
    "uar": "UAR (mean recall of the classes)",
    "ece": "ECE (confidence against accuracy)",
    "nll": "NLL",
    "brier": "Brier score",
}


def write_report(
    run: RunFolder, manifest: Mapping[str, Any], found: Mapping[str, Any], predictions: Predictions, test: ClipDataset
) -> None:
    """Write ``report.html`` and the figures of a run; pictures are inside the page, nothing is fetched."""
    pictures = {}
    for name, make in run_figures(run).items():
        figure = make()
        pictures[name] = inline(draw.render(figure, "svg"), "image/svg+xml")
        write_atomically(run.figures / f"{name}.svg", draw.render(figure, "svg"))
    counts = manifest["data"]["class_counts"]
    content = render_page(
        "report.html.j2",
        run=run.path.name,
        manifest=manifest,
        found=found,
        pictures=pictures,
        rows=_rows(found),
        classes=_classes(found),
        mistakes=_mistakes(predictions, test),
        right=round(found["metrics"]["war"] * found["clips"]),
        counts={name: counts[name] for name in manifest["input_spec"]["labels"] if name in counts},
        notices=notices,
        card=run.card.name,
        seconds=duration(manifest.get("seconds", 0)),
    )
    write_atomically(run.report, content)


def render_page(template: str, **content: Any) -> str:
    """Fill a template of this room, in the style that its pages share."""
    room = files("dfer.evaluation")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    style = Markup((room / "page.css").read_text())
    return environment.from_string((room / template).read_text()).render(style=style, **content)


def inline(content: bytes, kind: str) -> str:
    """Write a file as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _rows(found: Mapping[str, Any]) -> list[dict[str, str]]:
    rows = []
    for name, title in NAMES.items():
        scale, digits, unit = (100, 1, " %") if name in ("war", "uar") else (1, 3, "")
        low, high = found["intervals"][name]
        rows.append(
            {
                "title": title,
                "value": f"{scale * found['metrics'][name]:.{digits}f}{unit}",
                "interval": f"{scale * low:.{digits}f} – {scale * high:.{digits}f}",
                "after": f"{scale * found['calibrated'][name]:.{digits}f}{unit}",
            }
        )
    return rows


def _classes(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    counts = [sum(row) for row in found["confusion"]]
    for name, recall, interval, count in zip(
        found["labels"], found["per_class"], found["per_class_intervals"], counts, strict=True
    ):
        absent = interval is None or math.isnan(recall)
        rows.append(
            {
                "name": name,
                "colour": class_colour(name),
                "clips": count,
                "recall": None if absent else 100 * recall,
                "interval": "" if absent else f"{100 * interval[0]:.0f} – {100 * interval[1]:.0f}",
            }
        )
    return rows


def _mistakes(predictions: Predictions, test: ClipDataset) -> list[dict[str, Any]]:
    """Show the clips that the model was surest about and wrong."""
    probabilities = predictions.probabilities()
    guess = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    wrong = np.flatnonzero(guess != predictions.label)
    shown = wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES]
    strips = []
    for place in shown:
        clip = test[int(predictions.row[place])].clip.permute(0, 2, 3, 1).numpy()  # (T, H, W, C)
        strips.append(
            {
                "clip": str(predictions.clip_id[place]),
                "true": predictions.labels[predictions.label[place]],
                "guess": predictions.labels[guess[place]],
                "confidence": f"{100 * confidence[place]:.0f} %",
                "strip": inline(draw.film_strip(clip), "image/jpeg"),
            }
        )
    return strips


def duration(seconds: float) -> str:
    """Write a time as people say it.

    Example:
        >>> duration(75)
        '1 min 15 s'
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
