"""A cheap stand-in for training: it writes what a run leaves, and counts what it was asked for."""

import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfer.errors import InputError
from dfer.experiments.declaration import Grid, parse_grid
from dfer.predictions import Predictions
from dfer.runs import RunFolder

LABELS = ("happy", "sad", "neutral")


def made_up(seed: int, skill: float, clips: int = 40) -> Predictions:
    """Draw predictions on always the same clips; the more skill, the more often right."""
    label = np.random.default_rng(99).integers(0, len(LABELS), clips)
    logits = np.random.default_rng([seed, int(skill * 1000)]).normal(size=(clips, len(LABELS)))
    logits[np.arange(clips), label] += skill
    return Predictions(
        logits=logits.astype(np.float32),
        label=label,
        row=np.arange(clips),
        clip_id=np.array([f"clip {i:03d}" for i in range(clips)]),
        embedding=np.zeros((clips, 2), np.float32),
        labels=LABELS,
    )


class FakeRunner:
    """Trains nothing. ``stop_at`` raises Ctrl-C in the middle of that run; arguments with ``fail`` fail."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.made: list[tuple[str, ...]] = []
        self.resumed: list[bool] = []
        self.stop_at = stop_at

    def __call__(self, arguments: Sequence[str], out: Path, *, resume: bool = False) -> RunFolder:
        folder = RunFolder(out)
        self.made.append(tuple(arguments))
        self.resumed.append(resume)
        options = dict(option.removeprefix("--").split("=", 1) for option in arguments[1:])
        manifest = {"recipe": arguments[0], "protocol": "held-out", "commit": "0123456789abcdef", "seconds": 60.0}
        manifest["data"] = {"name": "SyntheticFaces", "drawn": True}
        if options.get("fail") == "plainly":
            raise InputError("the data are\nno good; mend them")
        if options.get("fail") == "badly":
            raise RuntimeError("out of memory")
        if len(self.made) - 1 == self.stop_at:
            folder.write_manifest({**manifest, "state": "interrupted"})
            folder.resume_state.parent.mkdir(parents=True)
            folder.resume_state.write_bytes(b"state")
            raise KeyboardInterrupt
        seed = int(options["seed_everything"]) + 100 * int(options.get("data.dataset.fold", 0))
        made_up(seed, float(options.get("skill", 1.0))).save(folder.predictions())
        folder.write_manifest({**manifest, "state": "finished"})
        return folder


def fake_resolve(arguments: Sequence[str]) -> Mapping[str, Any]:
    """Resolve options without Lightning; anything is an option."""
    config: dict[str, Any] = copy.deepcopy(
        {"recipe": arguments[0], "data": {"dataset": {"class_path": "D", "init_args": {"clips": 800}}, "workers": 2}}
    )
    if arguments[0] == "folds":
        config["data"]["dataset"]["init_args"]["fold"] = 1
    if arguments[0] == "unknown":
        raise InputError("there is no recipe 'unknown'")
    for option in arguments[1:]:
        name, text = option.removeprefix("--").split("=", 1)
        place = config
        *parents, last = name.split(".")
        for part in parents:
            place = place.setdefault(part, {})
            place = place.get("init_args", place)
        try:
            place[last] = json.loads(text)
        except ValueError:
            place[last] = text
    return config


@pytest.fixture
def runner() -> type[FakeRunner]:
    return FakeRunner


@pytest.fixture
def resolver() -> Callable[[Sequence[str]], Mapping[str, Any]]:
    return fake_resolve


@pytest.fixture
def predictions() -> Callable[..., Predictions]:
    return made_up


@pytest.fixture
def content() -> dict[str, Any]:
    """A small grid, as its YAML file would say it."""
    return {
        "title": "A table",
        "recipe": "base",
        "baseline": "plain",
        "columns": ["war", "uar", "ece", "nll", "brier", "recall", "seconds", "parameters"],
        "differences": ["war", "nll"],
        "rows": [
            {"name": "plain", "seeds": 3, "published": {"war": 68.32, "uar": 58.0}},
            {"name": "strong", "overrides": {"skill": 3.0}, "published": {"war": [73.42, 0.5]}},
            {"name": "full", "overrides": {"skill": 2.0}, "seeds": 3},
            {"name": "theirs", "published_only": True, "published": {"war": 70.0}},
        ],
    }


@pytest.fixture
def grid(content: dict[str, Any]) -> Grid:
    return parse_grid(content, "a-table", where="grid.yaml")


@pytest.fixture
def digest() -> Callable[[Path], dict[str, str]]:
    """Hash all files of a folder by name."""

    def of(folder: Path) -> dict[str, str]:
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    return of
