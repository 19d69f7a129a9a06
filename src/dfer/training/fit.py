"""From a recipe to a trained model in a run folder."""

import json
import logging
import os
import platform
import shlex
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl
import torch
from torch import nn

from dfer.datasets.faces.record import read_faces
from dfer.datasets.synthetic.mark import is_drawn
from dfer.errors import InputError
from dfer.models import checkpoint
from dfer.models.build import build as build_model
from dfer.models.cost import dry_run
from dfer.runs import RunFolder, write_atomically
from dfer.training.callbacks import ResumeState, RunKeeper, TrainingProgress
from dfer.training.configuration import Configured, configure
from dfer.training.data import ClipData
from dfer.training.module import Recognition
from dfer.training.resume import AtomicCheckpointIO, changed_setting

log = logging.getLogger("dfer")

PACKAGES = ("dfer", "torch", "torchvision", "lightning", "numpy")


def build(arguments: Sequence[str]) -> tuple[Recognition, ClipData]:
    """Build what a recipe and options describe, without opening data or training."""
    configured = configure(arguments)
    return configured.module, configured.data


def fit(arguments: Sequence[str], *, out: Path, resume: bool = False, init: Path | None = None) -> RunFolder:
    """Train what a recipe and options describe; leave checkpoints, curves and a manifest in ``out``.

    Args:
        arguments: a recipe's name or file, then options such as ``--data.root DIR``.
        resume: go on after the last whole epoch of an interrupted run; on a CPU the end is the same, bit for bit.
        init: a checkpoint or run folder of ours to start from; other labels get a new classifier.

    Raises:
        InputError: bad recipe, option, data or folder; a loss that is not finite.
        KeyboardInterrupt: stopped by Ctrl-C or SIGTERM, after a usable checkpoint was written.
    """
    folder = RunFolder(out)
    state = _check_folder(folder, resume)
    configured = configure(arguments)
    module, data, seed = configured.module, configured.data, configured.seed
    data.open(module.input_spec, seed, module.mix)
    labels = data.train_set.labels
    config = configured.model_config
    begun_from = _begun_from(folder, init) if resume else init and str(init)
    if resume:
        _check_same(folder, configured.text)
        if begun_from:  # the model may be another than the recipe's; its weights come with the trainer's state
            config = _config_of(folder)
            module.model = build_model(config)
    elif init is not None:
        config = _start_from(module, init, labels)
    if module.input_spec.labels != labels:
        config = _take_labels(module.model, config, labels)
    try:
        module.bind(data.train_set, data.train_rows)
        with suppress(RuntimeError):  # a model of one's own need not run without computing
            module.check_output(dry_run(module.model))  # do its parts fit each other?
    except ValueError as error:
        raise InputError(f"{configured.recipe}: {error}") from error
    about = _about(arguments, configured, data) | {"init": begun_from}
    keeper = RunKeeper(folder, config, about, data.validation_name)
    trainer = _trainer(configured.trainer, [keeper, TrainingProgress(data.validation_name), ResumeState(folder)])
    module.build_optimizer(trainer)  # refuses what does not go together before anything is written
    write_atomically(folder.config, configured.text)
    if state == "finished":
        return folder
    if reads := about["data"]["reads"]:
        print(f"training clips are read from: {reads}", file=sys.stderr)
    ckpt = str(folder.resume_state) if resume else None
    with _terminable(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")  # tips about workers and precision
        try:
            trainer.fit(module, datamodule=data, ckpt_path=ckpt, weights_only=True if resume else None)
        except (SystemExit, KeyboardInterrupt) as end:  # Lightning turns Ctrl-C into an exit
            epochs = len(keeper.rows)
            hint = "the same command with --resume goes on" if epochs else "no epoch was whole"
            raise KeyboardInterrupt(f"interrupted after {epochs} whole epochs; {hint}") from end
    return folder


def _check_folder(folder: RunFolder, resume: bool) -> str | None:
    exists = folder.manifest.is_file()
    if resume:
        if not exists:
            raise InputError(f"{folder.path} holds no run to resume; leave out --resume")
        state = str(folder.read_manifest().get("state"))
        if state != "finished" and not folder.resume_state.is_file():
            raise InputError(f"{folder.path} stopped before its first epoch was whole; delete it and start again")
        return state
    if exists:
        state = str(folder.read_manifest().get("state"))
        raise InputError(f"{folder.path} already holds a run ({state}); go on with --resume, or choose another --out")
    if folder.path.exists() and not folder.path.is_dir():
        raise InputError(f"{folder.path} is a file; choose another folder with --out")
    write_atomically(folder.path / ".writable", "")
    (folder.path / ".writable").unlink()
    return None


def _check_same(folder: RunFolder, text: str) -> None:
    if not folder.config.is_file():
        raise InputError(f"{folder.path} has lost its {folder.config.name}; delete the folder and start again")
    if changed := changed_setting(folder.config.read_text(), text):
        raise InputError(f"{folder.path} was started with other settings ({changed}); give the same options")


def _begun_from(folder: RunFolder, init: Path | None) -> str | None:
    before: str | None = folder.read_manifest().get("init")
    if init is not None and str(init) != before:
        raise InputError(
            f"{folder.path} was started from {before or 'fresh weights'}, not {init}; give the same --init"
        )
    return before


def _config_of(folder: RunFolder) -> dict[str, Any]:
    description = folder.checkpoint("last").with_suffix(".json")
    try:
        content = json.loads(description.read_text())
        return {"class_path": content["class_path"], "init_args": content["init_args"]}
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{description} is missing or damaged; delete {folder.path} and start again") from error


def _start_from(module: Recognition, init: Path, labels: tuple[str, ...]) -> dict[str, Any]:
    path = RunFolder(init).checkpoint() if init.is_dir() else init
    loaded = checkpoint.load_for_finetuning(path, labels)
    wanted, found = module.input_spec, loaded.input_spec
    if (wanted.frames, wanted.size) != (found.frames, found.size):
        raise InputError(
            f"{path} takes {found.frames} frames of {found.size} pixels, the recipe {wanted.frames} of {wanted.size}; "
            f"add --model.model.frames {found.frames} --model.model.size {found.size}"
        )
    module.model = loaded.model.train()
    print(loaded.note or f"starting from {path}", file=sys.stderr)
    return loaded.config


def _take_labels(model: nn.Module, config: dict[str, Any], labels: tuple[str, ...]) -> dict[str, Any]:
    classifier = getattr(model, "classifier", None)
    if not isinstance(classifier, nn.Linear):
        raise InputError(f"the data has {len(labels)} labels, which {type(model).__name__} cannot take")
    if classifier.out_features != len(labels):
        print(
            f"the data has {len(labels)} labels ({', '.join(labels)}): the classifier is made for them", file=sys.stderr
        )
        model.classifier = nn.Linear(classifier.in_features, len(labels))
    model.input_spec = replace(model.input_spec, labels=labels)  # type: ignore[type-var]
    arguments = {**config["init_args"], "num_classes": len(labels), "labels": list(labels)}
    return {"class_path": config["class_path"], "init_args": arguments}


def _trainer(settings: dict[str, Any], callbacks: list[pl.Callback]) -> pl.Trainer:
    precision = settings.pop("precision") or ("bf16-mixed" if torch.cuda.is_available() else "32-true")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        plugins = [AtomicCheckpointIO()]
        return pl.Trainer(**{**settings, "callbacks": callbacks, "precision": precision, "plugins": plugins})


def _about(arguments: Sequence[str], configured: Configured, data: ClipData) -> dict[str, Any]:
    train = data.train_set
    held_out = None if data.protocol == "paper" else data.validation_rows.tolist()
    description = train.description
    root = description["args"].get("root") or description["args"].get("file")
    return {
        "recipe": configured.recipe,
        "command": shlex.join(["dfer", "train", *arguments]),
        "commit": _commit(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "hardware": _hardware(),
        "seed": configured.seed,
        "protocol": data.protocol,
        "data": {
            "description": description,
            "name": description["class"],
            "fold": description["args"].get("fold"),
            "held_out_rows": held_out,
            "train_clips": len(data.train_rows),
            "held_out_clips": 0 if held_out is None else len(held_out),
            "class_counts": dict(zip(train.labels, train.class_counts.tolist())),
            "drawn": description["class"] == "SyntheticFaces" or bool(root and is_drawn(Path(root))),
            "faces": read_faces(Path(root)) if root else None,
            "reads": train.reads(),
        },
        "sampling": data.sampling,
        "input_spec": {
            "frames": configured.module.input_spec.frames,
            "size": configured.module.input_spec.size,
            "labels": list(train.labels),
        },
        "batch_size": data.batch_size,
        "workers": data.workers,
    }


def _hardware() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()} CPU, {os.cpu_count()} cores"


def _commit() -> str | None:
    """Name the commit of this code; None where it was installed, even below a checkout of something else."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        subprocess.run([*git, "ls-files", "--error-unmatch", __file__], capture_output=True, check=True)
        done = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does."""

    def stop(number: int, frame: FrameType | None) -> None:
        # Whoever stops a whole process group stops the loader's workers too; torch would then raise from wherever the
        # main process is, in the middle of leaving a checkpoint.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
