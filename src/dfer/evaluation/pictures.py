"""``dfer figures``: the pictures of a run from what it saved, or a sheet of drawn faces."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dfer import figures as draw
from dfer.datasets.collate import collate
from dfer.errors import InputError
from dfer.figures import Figure
from dfer.metrics import reliability
from dfer.predictions import Predictions
from dfer.runs import RunFolder, write_atomically
from dfer.transforms import ClipMix, EvalTransform
from dfer.transforms.mix import mix_generator


def figures(source: str, *, name: list[str] | None = None, out: Path | None = None) -> int:
    """Draw the figures of a run; or, of drawn faces, a sheet of samples and one of mixed clips.

    Args:
        source: a run folder, ``synthetic/easy`` or ``synthetic/wild``.
        name: which figures; all that the source has unless given.
        out: the folder they go to; the run's own ``figures`` unless given.
    """
    made = _sheet(source) if source.startswith("synthetic/") else run_figures(RunFolder(Path(source)))
    if unknown := [one for one in name or [] if one not in made]:
        raise InputError(f"no figure {', '.join(unknown)} of {source}; there are {', '.join(made)}")
    folder = out or (Path("figures") if source.startswith("synthetic/") else RunFolder(Path(source)).figures)
    for one in name or made:
        figure = made[one]()
        suffixes = {"samples": ("png",), "mix": ("jpg",)}.get(one, ("svg", "pdf"))
        for suffix in suffixes:
            path = folder / f"{one}.{suffix}"
            write_atomically(path, draw.render(figure, suffix))
            print(path)
    return 0


def run_figures(run: RunFolder) -> dict[str, Callable[[], Figure]]:
    """Name the figures of a run and how to draw each, from its saved predictions and curves."""
    manifest = run.read_manifest()
    predictions = Predictions.load(run.predictions("test"))
    found = json.loads(run.evaluation.read_text())
    rows = list(csv.DictReader(run.metrics.read_text().splitlines()))
    split = "test" if manifest["protocol"] == "paper" else "held_out"
    epochs = [int(row["epoch"]) for row in rows]
    by = ("war", "uar") if split == "test" else ("war",)
    chosen = {name.upper(): int(manifest["best"][name]["epoch"]) for name in by if name in manifest["best"]}
    shown = split.replace("_", "-")

    def column(name: str) -> list[float]:
        return [float(row[name]) for row in rows]

    bins = {"as trained": reliability(predictions.probabilities(1.0), predictions.label)}
    if predictions.temperature != 1.0:
        after = reliability(predictions.probabilities(), predictions.label)
        bins[f"temperature {predictions.temperature:.2f}"] = after
    rates = {
        "train WAR": column("train_war"),
        f"{shown} WAR": column(f"{split}_war"),
        f"{shown} UAR": column(f"{split}_uar"),
    }
    losses = {"train": column("train_loss"), shown: column(f"{split}_loss")}
    return {
        "confusion": lambda: draw.confusion(np.array(found["confusion"]), predictions.labels),
        "reliability": lambda: draw.reliability(bins),
        "curves": lambda: draw.curves(epochs, rates, "recall", chosen, percent=True),
        "loss": lambda: draw.curves(epochs, losses, "loss", chosen),
    }


def _sheet(source: str) -> dict[str, Callable[[], Figure]]:
    from dfer.datasets import SyntheticFaces
    from dfer.figures.samples import contact_sheet

    preset = source.removeprefix("synthetic/")

    def faces() -> SyntheticFaces:
        return SyntheticFaces("test", 112, 0, preset=preset, clips=70)  # type: ignore[arg-type]

    def samples() -> Figure:
        drawn = faces()
        rows = [int(np.flatnonzero(drawn.truth["true_label"] == k)[0]) for k in range(len(drawn.labels))]
        clips = [
            np.stack(drawn.read(row, np.linspace(0, drawn.frame_count(row) - 1, 10).round().astype(np.int64)))
            for row in rows
        ]
        return contact_sheet(clips, list(drawn.labels))

    def mixes() -> Figure:
        drawn = faces().with_transform(EvalTransform(6, 112))
        pair = [drawn[int(row)] for row in np.flatnonzero(drawn.targets == 0)[:2]]
        batch = collate(pair)
        shown = {"clip": batch.clip[0], "partner": batch.clip[1]}
        for strategy in ("random", "frame", "videomix", "tam"):
            shown[strategy] = ClipMix(strategy, ratio=1.0)(batch.clip, batch.label, mix_generator(0, 0, 0))[0]
        return contact_sheet([clip.permute(1, 2, 3, 0).numpy() for clip in shown.values()], list(shown), columns=6)

    return {"samples": samples, "mix": mixes}
