"""Random state in and out of a checkpoint: Lightning stores none."""

import random
from typing import Any

import numpy as np
import torch


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
