"""The model card: what a run's model is, is worth, is for and is not for, from the run's own files."""

import json
import math
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined, UndefinedError

from dfer import notices
from dfer.errors import InputError
from dfer.evaluation.report import NAMES, duration
from dfer.models import checkpoint
from dfer.runs import RunFolder, write_atomically

RATES = ("war", "uar")
FEW = 30  # test clips of a class, below which its recall may be chance
UNEQUAL = 5  # times as many training clips of one class as of another: worth a line


def write_card(run: RunFolder) -> None:
    """Write ``model_card.md`` from ``run.json``, ``evaluation.json``, the best checkpoint and ``robustness.json``.

    Paper: Mitchell et al. 2019, whose headings it has.

    Raises:
        InputError: no run there, not evaluated yet, or its files are damaged.
    """
    manifest, found = run.read_manifest(), _read(run)
    loaded = checkpoint.load(run.checkpoint("best"))
    environment = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    template = environment.from_string((files("dfer.evaluation") / "card.md.j2").read_text())
    try:
        text = template.render(_content(run, manifest, found, loaded))
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, UndefinedError) as error:
        raise InputError(
            f"{run.path}: run.json or evaluation.json is damaged ({type(error).__name__}: {error}); train it again, or "
            "evaluate it again"
        ) from error
    write_atomically(run.card, text + "\n")


def _read(run: RunFolder) -> dict[str, Any]:
    try:
        found = json.loads(run.evaluation.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{run.path} is not evaluated; run `dfer evaluate {run.path}`") from error
    if not isinstance(found, dict):
        raise InputError(f"{run.evaluation} holds no figures; run `dfer evaluate {run.path}` again")
    return found


def _content(
    run: RunFolder, manifest: Mapping[str, Any], found: Mapping[str, Any], loaded: checkpoint.Loaded
) -> dict[str, Any]:
    data, classes = manifest["data"], _classes(found)
    faces = data.get("faces") or {}
    backbone = loaded.config["init_args"].get("backbone") or {}
    drawn, held_out = bool(data["drawn"]), found["protocol"] != "paper"
    best, counts = manifest["best"], data["class_counts"]
    return {
        "run": plain(run.path.resolve().name),
        "notices": notices,
        "drawn": drawn,
        "model": loaded.config["class_path"],
        "backbone": backbone.get("class_path") if isinstance(backbone, Mapping) else None,
        "parameters": f"{sum(one.numel() for one in loaded.model.parameters()):,}",
        "spec": loaded.input_spec,
        "sampling": manifest.get("sampling", "segments"),
        "faces": plain(faces.get("detector", "")),
        "temperature": f"{found['temperature']:.3g}",
        "manifest": manifest,
        "init": manifest.get("init"),
        "commit": manifest.get("commit"),
        "found": found,
        "notes": [plain(note) for note in found["notes"]],
        "seconds": duration(manifest.get("seconds", 0)),
        "hardware": plain(manifest["hardware"]),
        "data_name": f"`{data['name']}`",
        "fold": f", fold {data['fold']}" if data.get("fold") else "",
        "kind": "drawn by the computer" if drawn else "read from files",
        "held_out_clips": data.get("held_out_clips"),
        "protocol": (
            "Held out: the epoch and the temperature were chosen on clips held out of the training set; the test "
            "clips were read once."
            if held_out
            else "As published in this field: the epoch was chosen on these very test clips, so the figures are "
            "optimistic. No clips were left to fit a temperature on."
        ),
        "chosen": (
            f"{manifest['epochs']} epochs; the weights are of epoch {best['war']['epoch']}, the best by WAR on the "
            + (
                "held-out clips."
                if held_out
                else f"test clips; UAR alone is of epoch {best['uar']['epoch']}, its best."
            )
        ),
        "counts": ", ".join(f"{plain(name)} {counts[name]}" for name in loaded.input_spec.labels if name in counts),
        "rows": _rows(found),
        "classes": classes,
        "damaged": _damaged(run, found),
        "limits": _limits(found, classes, counts, held_out=held_out),
        "versions": ", ".join(f"{name} {version}" for name, version in manifest["versions"].items()),
    }


def plain(text: object) -> str:
    """Write a name so that Markdown shows it as it is.

    Example:
        >>> print(plain("a|b *c*"))
        a\\|b \\*c\\*
    """
    line = " ".join(str(text).split())
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|#" else sign for sign in line)


def _rows(found: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "title": title,
            "value": _shown(name, found["metrics"][name]),
            "interval": " to ".join(_shown(name, bound) for bound in found["intervals"][name]),
            "after": _shown(name, found["calibrated"][name]),
        }
        for name, title in NAMES.items()
    ]


def _shown(name: str, value: float) -> str:
    return f"{100 * value:.1f} %" if name in RATES else f"{value:.3f}"


def _classes(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give each class its recall, and the class that its clips are most often taken for."""
    rows = []
    for k, (name, share, interval, line) in enumerate(
        zip(found["labels"], found["per_class"], found["per_class_intervals"], found["confusion"], strict=True)
    ):
        clips = sum(line)
        others = {other: count for place, (other, count) in enumerate(zip(found["labels"], line)) if place != k}
        most = max(others, key=lambda other: others[other], default=None)
        wrong = others[most] if most is not None else 0
        rows.append(
            {
                "name": plain(name),
                "clips": clips,
                "share": share,
                "recall": _shown("uar", share) if clips else "no clip",
                "interval": " to ".join(_shown("uar", bound) for bound in interval) if clips else "",
                "wrong": wrong,
                "other": plain(most),
                "taken_for": f"{plain(most)} ({wrong})" if wrong else "",
            }
        )
    return rows


def _damaged(run: RunFolder, found: Mapping[str, Any]) -> list[dict[str, str]]:
    """Read the figures on damaged clips, where they are of the weights that were evaluated."""
    try:
        kept = json.loads((run.path / "robustness.json").read_text())
        if not math.isclose(kept["clean"]["war"], found["metrics"]["war"]):
            return []
        return [
            {"name": name.replace("_", " "), **{figure: _shown(figure, of[figure]) for figure in ("war", "uar", "ece")}}
            for name, of in kept.items()
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _limits(
    found: Mapping[str, Any], classes: list[dict[str, Any]], counts: Mapping[str, int], *, held_out: bool
) -> list[str]:
    """Say what the numbers show."""
    seen = [one for one in classes if one["clips"]]
    few = [one for one in seen if one["clips"] < FEW]
    absent = [one["name"] for one in classes if not one["clips"]]
    weakest = min(seen, key=lambda one: one["share"])
    worst = max([one for one in seen if one not in few] or seen, key=lambda one: one["wrong"] / one["clips"])
    limits = [f"Weakest class: {weakest['name']}, recall {weakest['recall']} of {weakest['clips']} clips."]
    if worst["wrong"]:
        share = _shown("uar", worst["wrong"] / worst["clips"])
        limits.append(f"Strongest confusion: {share} of the clips of {worst['name']} are taken for {worst['other']}.")
    if few:
        listed = ", ".join(f"{one['name']} ({one['clips']})" for one in few)
        limits.append(f"Fewer than {FEW} test clips, too few for a recall to be trusted: {listed}.")
    if absent:
        limits.append(f"Never measured, for want of a test clip: {', '.join(absent)}.")
    if counts and UNEQUAL * min(counts.values()) < max(counts.values()):
        rare, often = (pick(counts, key=lambda name: counts[name]) for pick in (min, max))
        limits.append(
            f"Unequal training data: {counts[rare]} clips of {plain(rare)}, {counts[often]} of {plain(often)}."
        )
    ece = found["calibrated" if held_out else "metrics"]["ece"]
    limits.append(f"Its confidence is {100 * ece:.1f} points away from its accuracy on average (ECE).")
    if not held_out:
        limits.append("The epoch was chosen on the test clips: expect less on new ones.")
    return limits
