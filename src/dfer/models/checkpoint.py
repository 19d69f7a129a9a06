"""Checkpoints: weights as safetensors, everything else as plain JSON beside them; no trainer, no pickle."""

import copy
import hashlib
import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from dfer.errors import InputError
from dfer.labels import label_map
from dfer.models.build import accepts, build, resolve
from dfer.runs import write_atomically
from dfer.types import InputSpec

FORMAT = 1
FIELDS: Final = {
    "class_path": str,
    "init_args": dict,
    "input_spec": dict,
    "temperature": float,
    "about": dict,
    "sha256": str,
}

log = logging.getLogger("dfer")


@dataclass(frozen=True)
class Loaded:
    """A model from a checkpoint, in evaluation mode, and what the checkpoint says of it.

    ``note`` says what fine-tuning changed, empty otherwise. ``config`` builds the model as it is now.
    """

    model: nn.Module
    config: dict[str, Any]
    input_spec: InputSpec
    temperature: float
    about: dict[str, Any]
    note: str = ""


def save(
    model: nn.Module, path: Path, *, config: Mapping[str, Any], about: Mapping[str, Any], temperature: float = 1.0
) -> None:
    """Write ``path`` (.safetensors) and the ``.json`` beside it, each whole or not at all.

    Args:
        config: ``{"class_path": ..., "init_args": {...}}`` that builds the model.
        about: where the weights come from: the run, the data they were trained on.

    Raises:
        InputError: the folder cannot be written to, or ``config`` names a class that is not of `dfer`.
        ValueError: a path of another suffix, or a ``config`` that builds another model than this.
    """
    if path.suffix != ".safetensors":
        raise ValueError(f"checkpoint {path}: the name must end in .safetensors")
    spec = _spec_of(model)
    state = {name: value.detach().cpu().clone().contiguous() for name, value in model.state_dict().items()}
    with torch.device("meta"):  # costs nothing; better refused now than when someone wants to load it
        built = build(config)
    if difference := _difference(built, spec, state):
        raise ValueError(f"config does not build the model to save: {difference}")
    weights = safetensors.torch.save(state)
    description = {
        "format": FORMAT,
        **json.loads(json.dumps({"class_path": config["class_path"], "init_args": config.get("init_args") or {}})),
        "input_spec": asdict(spec),
        "temperature": _temperature(temperature),
        "about": dict(about),
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    write_atomically(path, weights)
    _write_description(path, description)


def load(path: Path, *, labels: Sequence[str] | None = None, size: int | None = None) -> Loaded:
    """Build the model of a checkpoint and give it its weights.

    Args:
        labels, size: of the data it is meant for; a checkpoint of others is refused.

    Raises:
        InputError: missing, damaged, of another format, labels or size, or asking for a class that is not of `dfer`.
    """
    path, description, state = _read(path)
    spec = _spec(path, description)
    if labels is not None and tuple(labels) != spec.labels:
        found, wanted = ", ".join(spec.labels), ", ".join(labels)
        raise InputError(f"{path} knows the labels {found}; the data has {wanted}; train or fine-tune on these labels")
    if size is not None and size != spec.size:
        raise InputError(f"{path} takes clips of {spec.size} pixels, the data has {size}; give size {spec.size}")
    config = {"class_path": description["class_path"], "init_args": description["init_args"]}
    model = _build(path, config)
    if difference := _difference(model, spec, state):
        raise InputError(f"{path} and its .json do not belong together: {difference}; copy both again")
    model.load_state_dict(state)
    model.input_spec = spec  # type: ignore[assignment]  # its names may be the data's
    return Loaded(model.eval(), config, spec, description["temperature"], description["about"])


def load_for_finetuning(path: Path, labels: Sequence[str]) -> Loaded:
    """Load a checkpoint as the start of training on other labels.

    The same labels keep everything. Otherwise the model gets a new classifier: the rows of classes that both know (by
    name, in whatever order) are copied, the others start fresh. ``note`` and the log say which.

    Raises:
        InputError: as `load`, or a model that cannot take other labels.
    """
    loaded = load(path)
    old, new = loaded.input_spec.labels, tuple(labels)
    if old == new:
        return loaded
    config = copy.deepcopy(loaded.config)
    part = resolve(config["class_path"])
    if not accepts(part, "num_classes") or not isinstance(getattr(loaded.model, "classifier", None), nn.Linear):
        raise InputError(f"{path}: {config['class_path']} cannot take other labels; train it from the start")
    config["init_args"]["num_classes"] = len(new)
    if accepts(part, "labels"):
        config["init_args"]["labels"] = list(new)
    model = build(config)
    state = loaded.model.state_dict()
    fresh = model.state_dict()
    source = label_map(new, old)
    for name in ("classifier.weight", "classifier.bias"):
        rows = [fresh[name][i] if j is None else state[name][j] for i, j in enumerate(source)]
        state[name] = torch.stack(rows)
    model.load_state_dict(state)
    spec = InputSpec(loaded.input_spec.frames, loaded.input_spec.size, new)
    model.input_spec = spec  # type: ignore[assignment]
    kept = [name for name, j in zip(new, source) if j is not None]
    started = [name for name, j in zip(new, source) if j is None]
    note = (
        f"new classifier: {path} knows {len(old)} labels, the data has {len(new)}; "
        f"copied {', '.join(kept) or 'none'}; fresh {', '.join(started) or 'none'}"
    )
    log.warning(note)
    return Loaded(model, config, spec, 1.0, loaded.about, note)


def set_temperature(path: Path, temperature: float) -> None:
    """Write another temperature into a checkpoint's JSON.

    Raises:
        InputError: no checkpoint there, or not writable.
        ValueError: not a positive number.
    """
    description = _read_description(path)
    description["temperature"] = _temperature(temperature)
    _write_description(path, description)


def _temperature(value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"temperature {value} is not a positive number")
    return float(value)


def _write_description(path: Path, description: Mapping[str, Any]) -> None:
    write_atomically(path.with_suffix(".json"), json.dumps(description, indent=2) + "\n")


def _read_description(path: Path) -> dict[str, Any]:
    beside = path.with_suffix(".json")
    for file in (path, beside):
        if not file.is_file():
            raise InputError(f"{file} not found; a checkpoint is two files, {path.name} and {beside.name}")
    try:
        description = json.loads(beside.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{beside} is no JSON ({error}); copy the checkpoint again") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        found = description.get("format") if isinstance(description, dict) else type(description).__name__
        raise InputError(f"{beside} is of format {found!r}, this version of dfer reads {FORMAT}; update dfer")
    for name, kind in FIELDS.items():
        if not isinstance(description.get(name), kind):
            raise InputError(f"{beside} has no usable {name!r}; copy the checkpoint again")
    return description


def _read(path: Path) -> tuple[Path, dict[str, Any], dict[str, Tensor]]:
    description = _read_description(path)
    try:
        weights = path.read_bytes()
        digest = hashlib.sha256(weights).hexdigest()
        if digest != description["sha256"]:
            raise InputError(f"{path} is not the file its .json describes (SHA-256 {digest[:12]}...); copy both again")
        return path, description, safetensors.torch.load(weights)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} is no safetensors file ({error}); copy the checkpoint again") from error


def _spec(path: Path, description: Mapping[str, Any]) -> InputSpec:
    spec = description["input_spec"]
    try:
        return InputSpec(int(spec["frames"]), int(spec["size"]), tuple(map(str, spec["labels"])))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path.with_suffix('.json')} has no usable 'input_spec'; copy the checkpoint again"
        ) from error


def _spec_of(model: nn.Module) -> InputSpec:
    spec = getattr(model, "input_spec", None)
    if not isinstance(spec, InputSpec):
        raise ValueError(f"{type(model).__name__} has no input_spec; a checkpoint must say what its model takes")
    return spec


def _build(path: Path, config: Mapping[str, Any]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):  # loading must not change what training draws next
        try:
            return build(config)
        except InputError as error:
            raise InputError(f"{path.with_suffix('.json')}: {error}") from error


def _difference(model: nn.Module, spec: InputSpec, state: Mapping[str, Tensor]) -> str:
    own = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    for name in sorted(own.keys() | state.keys()):
        found, wanted = tuple(state[name].shape) if name in state else None, own.get(name)
        if found != wanted:
            return f"{name} is {found or 'missing'} in the weights, {wanted or 'missing'} in the model described"
    built = _spec_of(model)
    if (built.frames, built.size, len(built.labels)) != (spec.frames, spec.size, len(spec.labels)):
        return f"input {spec} in the checkpoint, {built} in the model described"
    return ""
