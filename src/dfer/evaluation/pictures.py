"""``dfer figures``: the pictures of a run from what it saved, or a sheet of drawn faces."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from dfer import figures as draw
from dfer.datasets.collate import collate
from dfer.errors import InputError
from dfer.evaluation.agreement import agreement_of, places_by_level, samples_by_level
from dfer.evaluation.beside import names_of, predictions_of
from dfer.evaluation.source import Source
from dfer.figures import Figure
from dfer.metrics import reliability
from dfer.predictions import Predictions
from dfer.runs import RunFolder, write_atomically
from dfer.transforms import ClipMix, EvalTransform
from dfer.transforms.mix import mix_generator

SCALES: Final = {
    "weight of the loss": {"train_lambda_ce": "cross-entropy", "train_lambda_sc": "contrastive"},
    "gradient norm": {"train_grad_norm": "g"},
    "between-class cosine": {"train_between_class_cosine": "mean"},
    "trace": {"train_trace": "mean"},
}
"""Panels of the diagnostics that a run may have written per epoch: columns and what to call them."""

COMPARED: Final = ("embedding", "heatmap", "landscape")
"""Figures that take their time or compare runs: drawn when asked for by name."""

BY_NAME: Final = (*COMPARED, "agreement_samples", "agreement_embedding")
"""All that are drawn when asked for by name."""


SUFFIXES: Final = {
    "samples": ("png",),
    "agreement_samples": ("png",),
    "mix": ("jpg",),
    "heatmap": ("svg", "pdf", "jpg"),
}
"""Kinds of files of figures made of photographs; ``svg`` and ``pdf`` of the others."""


def figures(
    source: str,
    *,
    name: list[str] | None = None,
    beside: list[Path] | None = None,
    title: list[str] | None = None,
    clip: list[str] | None = None,
    data: Path | None = None,
    out: Path | None = None,
) -> int:
    """Draw the figures of a run; or, of drawn faces, a sheet of samples and one of mixed clips.

    By name only: ``embedding``, the test clips in the plane (t-SNE); ``heatmap``, where the model looks (Grad-CAM for
    the true class); ``landscape``, the loss around the weights, which takes minutes on a CPU and leaves its
    numbers in ``landscape.npz``; of a run that predicts the clips of a video, ``agreement_samples``, test clips by how
    far these agree, and ``agreement_embedding``, the plane by the same.

    Args:
        source: a run folder, ``synthetic/easy`` or ``synthetic/wild``.
        name: which figures; all that are drawn at once unless given.
        beside: other runs, for the figures by name: a panel each, in a heatmap a row each below the first run's.
        title: what to call the runs, once per run in their order; their folders' names unless given.
        clip: ids of the test clips of a heatmap; a dark, an occluded and a non-frontal one of drawn faces, else
            three that the runs recognise and are least sure of.
        data: where the data lie now, if they moved.
        out: the folder they go to; the run's own ``figures`` unless given.
    """
    drawn = source.startswith("synthetic/")
    folder = out or (Path("figures") if drawn else RunFolder(Path(source)).figures)
    if drawn and beside:
        raise InputError(f"--beside puts runs beside a run; {source} is none")
    made = _sheet(source) if drawn else run_figures(RunFolder(Path(source)))
    known = list(made) if drawn else [*made, *BY_NAME]
    if unknown := [one for one in name or [] if one not in known]:
        raise InputError(f"no figure {', '.join(unknown)} of {source}; there are {', '.join(known)}")
    if beside and (alone := [one for one in name or made if one not in COMPARED]):
        raise InputError(f"{', '.join(alone)} shows one run; --beside is for --name {', '.join(COMPARED)}")
    runs = [] if drawn else [RunFolder(Path(source)), *map(RunFolder, beside or [])]
    names = names_of(runs, title or ())
    compared: dict[str, Callable[[], Figure]] = {
        "embedding": lambda: _embedding(runs, names),
        "heatmap": lambda: _heatmap(runs, names, clip or [], data),
        "landscape": lambda: _landscape(runs, names, data, folder),
        "agreement_samples": lambda: _agreement_samples(runs[0], data),
        "agreement_embedding": lambda: _agreement_embedding(runs[0]),
    }
    for one in name or made:
        figure = (compared | made)[one]()
        suffixes = SUFFIXES.get(one, ("svg", "pdf"))
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
    made: dict[str, Callable[[], Figure]] = {
        "confusion": lambda: draw.confusion(np.array(found["confusion"]), predictions.labels),
        "reliability": lambda: draw.reliability(bins),
        "curves": lambda: draw.curves(epochs, rates, "recall", chosen, percent=True),
        "loss": lambda: draw.curves(epochs, losses, "loss", chosen),
    }
    if scales := _scales(rows):
        made["scaling"] = lambda: draw.scaling(epochs, scales, log=("gradient norm",))
    return made


def _scales(rows: list[dict[str, str]]) -> dict[str, dict[str, list[float]]]:
    """Collect what a run wrote down of its losses' weights and its steps; nothing of a run that has neither."""
    found: dict[str, dict[str, list[float]]] = {}
    for title, series in SCALES.items():
        for column, name in series.items():
            values = [float(row.get(column) or "nan") for row in rows]
            if not np.isnan(values).all():
                found.setdefault(title, {})[name] = values
    return found


def _embedding(runs: list[RunFolder], names: list[str]) -> Figure:
    from dfer.evaluation.embeddings import project

    found = predictions_of(runs)
    panels = {name: (project(one.embedding), one.label) for name, one in zip(names, found)}
    return draw.embedding(panels, found[0].labels)


def _heatmap(runs: list[RunFolder], names: list[str], ids: list[str], data: Path | None) -> Figure:
    from dfer.evaluation.heatmaps import grad_cam
    from dfer.evaluation.telling import rows_by_id, telling_clips

    found = predictions_of(runs)
    sources = [Source.open(run, data) for run in runs]
    models = [source.loaded.model for source in sources]
    spec = sources[0].loaded.input_spec
    for name, source in zip(names, sources):
        other = source.loaded.input_spec
        if (other.frames, other.size) != (spec.frames, spec.size):
            raise InputError(
                f"{name} takes {other.frames} frames of {other.size} pixels, {names[0]} {spec.frames} of {spec.size}; "
                "heatmaps stand beside each other for runs on the same clips only"
            )
    test = sources[0].clips("test")
    label_of = dict(zip(found[0].clip_id.tolist(), found[0].label.tolist()))
    chosen = [("", one) for one in ids] or telling_clips(test, found)
    rows = rows_by_id(test, [one for _, one in chosen])
    if untested := [one for one in ids if one not in label_of]:
        raise InputError(f"{names[0]} was not tested on {', '.join(untested)}; run `dfer evaluate` on it again")
    shown: list[draw.Heated] = []
    seen: set[int] = set()
    for (what, one), row in zip(chosen, rows):
        clip = test[row].clip.transpose(0, 1)  # (3, T, S, S)
        label = label_of[one]
        maps = [grad_cam(model, clip, label) for model in models]
        seen.update(stage for _, stage in maps)
        title = ": ".join(part for part in (what, f"{found[0].labels[label]} ({one})") if part)
        shown.append(draw.Heated(title, clip.permute(1, 2, 3, 0).numpy(), [heat for heat, _ in maps]))
    stages = " and ".join(map(str, sorted(seen)))
    return draw.heatmap(shown, names, note=f"Grad-CAM for the true class, stage {stages}")


def _landscape(runs: list[RunFolder], names: list[str], data: Path | None, folder: Path) -> Figure:
    from dfer.evaluation.landscape import surface, training_clips

    sources = [Source.open(run, data) for run in runs]
    surfaces = {}
    for name, source, (clips, label) in zip(names, sources, training_clips(sources, names)):
        coordinates, surfaces[name] = surface(source.loaded.model, clips, label, description=name)
    numbers = io.BytesIO()
    np.savez(numbers, coordinates=coordinates, names=np.array(names), losses=np.stack(list(surfaces.values())))
    write_atomically(folder / "landscape.npz", numbers.getvalue())
    return draw.landscape(coordinates, surfaces)


def _agreement_samples(run: RunFolder, data: Path | None) -> Figure:
    found = Predictions.load(run.predictions("test"))
    agreement_of(found, run.path)
    source = Source.open(run, data)
    return draw.agreement_sheet(samples_by_level(found, source.clips("test"), model=source.loaded.model))


def _agreement_embedding(run: RunFolder) -> Figure:
    from dfer.evaluation.embeddings import project

    found = Predictions.load(run.predictions("test"))
    levels = places_by_level(agreement_of(found, run.path))
    points = project(found.embedding)
    return draw.embedding({name: (points[at], found.label[at]) for name, at in levels.items()}, found.labels, True)


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
