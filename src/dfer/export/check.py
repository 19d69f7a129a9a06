"""Whether an exported model gives what the model gives, and how fast."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dfer.types import InputSpec

TOLERANCE: Final = 1e-4
"""On logits."""
BATCHES: Final = (1, 3)

Logits = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def in_torch(model: nn.Module, precision: torch.dtype = torch.float32) -> Logits:
    """Make of a model what an engine is: a function from clips to logits, on the processor and in evaluation mode.

    Args:
        precision: bfloat16 runs it under autocast.
    """
    model = model.cpu().eval()

    def logits(clip: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode(), torch.autocast("cpu", precision, enabled=precision != torch.float32):
            found: NDArray[np.float32] = model(torch.from_numpy(clip)).logits.float().numpy()
        return found

    return logits


def clips(count: int, spec: InputSpec, seed: int = 0) -> NDArray[np.uint8]:
    """Draw clips of noise, the same each time; each colour of each is as bright as it happens.

    Shape:
        -> ``(count, 3, T, S, S)``.

    Example:
        >>> clips(2, InputSpec(4, 16, ("happy",))).shape
        (2, 3, 4, 16, 16)
    """
    rng, shape = np.random.default_rng(seed), (count, 3, spec.frames, spec.size, spec.size)
    brightest = rng.integers(1, 257, (count, 3, 1, 1, 1))
    return rng.integers(0, brightest, shape).astype(np.uint8)


def difference(found: Logits, wanted: Logits, spec: InputSpec) -> float:
    """Give the largest difference between two functions' logits: on noise, one clip and three, and on a black clip.

    Infinite where either gives no finite number.

    Example:
        >>> spec = InputSpec(4, 16, ("happy", "sad"))
        >>> difference(lambda clip: np.ones((len(clip), 2)), lambda clip: np.zeros((len(clip), 2)), spec)
        1.0
    """
    shown = [clips(count, spec, seed=count) for count in BATCHES]
    shown.append(np.zeros_like(shown[0]))
    apart = [float(np.abs(found(clip) - wanted(clip)).max()) for clip in shown]
    return max(apart) if np.isfinite(apart).all() else float("inf")


def speeds(ways: Mapping[str, Logits], clip: NDArray[np.uint8], seconds: float = 4.0) -> dict[str, float]:
    """Time several functions on the same clips, in turns, and give the median clips per second of each.

    Args:
        seconds: about how long in all; each has at least three turns, after one to warm up, and at most thirty.
    """
    spent: dict[str, list[float]] = {name: [] for name in ways}
    start = None
    for turn in range(31):
        for name, logits in ways.items():
            begin = time.perf_counter()
            logits(clip)
            spent[name].append(time.perf_counter() - begin)
        start = start or time.perf_counter()
        if turn >= 3 and time.perf_counter() - start > seconds:
            break
    return {name: len(clip) / statistics.median(taken[1:]) for name, taken in spent.items()}
