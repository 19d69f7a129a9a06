"""What a resumed run goes on from: the trainer's state in a file, the random state, the same settings."""

import io
import pickle
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from lightning.fabric.plugins import TorchCheckpointIO

from dfer.errors import InputError
from dfer.runs import write_atomically

FREE = ("data.root", "data.workers")
"""Settings that may differ after a resume: they change no result."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write the trainer's state whole or fail aloud: Lightning's own way swallows a refused permission."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write atomically.

        Raises:
            InputError: the folder cannot be written to, or the disk is full.
        """
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_atomically(Path(path), content.getvalue())

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read it, on the CPU, unpickling nothing but plain data.

        Raises:
            InputError: damaged.
        """
        try:
            return torch.load(path, map_location="cpu", weights_only=True)  # type: ignore[no-any-return]
        except (OSError, EOFError, RuntimeError, KeyError, pickle.UnpicklingError) as error:
            raise InputError(f"{path} is damaged, the run cannot be resumed; delete its folder, start again") from error


def changed_setting(before: str, now: str) -> str | None:
    """Name the first setting that differs between two configurations, None where a run may be resumed.

    Example:
        >>> changed_setting("data: {flip: 0.5, workers: 2}", "data: {flip: 0.0, workers: 8}")
        'data.flip was 0.5, now 0.0'
    """
    old, new = _flat(yaml.safe_load(before)), _flat(yaml.safe_load(now))
    for name in sorted(old.keys() | new.keys()):
        if name not in FREE and old.get(name) != new.get(name):
            return f"{name} was {old.get(name)}, now {new.get(name)}"
    return None


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in value.items():
        found |= _flat(item, f"{prefix}{key}.") if isinstance(item, Mapping) else {f"{prefix}{key}": item}
    return found


def random_state() -> dict[str, Any]:
    """Collect the state of every global generator, as tensors and plain Python."""
    version, internal, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002  # what libraries may use
    state: dict[str, Any] = {
        "python": [version, list(internal), gauss],
        "numpy": [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Put back what `random_state` collected.

    Example:
        >>> state = random_state()
        >>> before = torch.rand(2), np.random.rand(2), random.random()
        >>> set_random_state(state)
        >>> after = torch.rand(2), np.random.rand(2), random.random()
        >>> bool((before[0] == after[0]).all() and (before[1] == after[1]).all() and before[2] == after[2])
        True
    """
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and "cuda" in state:
        torch.cuda.set_rng_state_all(state["cuda"])
