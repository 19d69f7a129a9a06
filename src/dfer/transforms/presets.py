"""A clip's whole way from frames on disk to model pixels: which frames, then their pixels."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Frame = NDArray[np.uint8]
"""One decoded frame, ``(H, W, 3)`` RGB."""


class FrameSampler(Protocol):
    """Chooses frames: ``(number of frames in the clip, generator) -> (T,) int64`` indices."""

    def __call__(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]: ...


class PixelTransform(Protocol):
    """Makes the clip: ``(T frames of (H, W, 3) uint8, generator) -> (T, 3, S, S)`` uint8, one draw per clip."""

    def __call__(self, frames: Sequence[Frame], rng: np.random.Generator) -> Tensor: ...


class ClipTransform:
    """Which frames of a clip to read, and what to do to their pixels.

    Shape:
        ``(count, read, rng) -> (T, 3, S, S)`` uint8, where ``read`` gives the frames of the asked indices.
    """

    def __init__(self, sample: FrameSampler, pixels: PixelTransform) -> None:
        self.sample = sample
        self.pixels = pixels

    def __call__(
        self, count: int, read: Callable[[NDArray[np.int64]], Sequence[Frame]], rng: np.random.Generator
    ) -> Tensor:
        return self.pixels(read(self.sample(count, rng)), rng)
