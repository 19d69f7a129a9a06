"""A clip's whole way from frames on disk to model pixels: which frames, then their pixels."""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dfer.transforms.sample import M3DFELFrames, RandomInSegments, SegmentCentres
from dfer.transforms.spatial import EvalPixels, TrainPixels
from dfer.transforms.spatial import Frame as Frame

Sampling = Literal["segments", "m3dfel", "random"]
"""``segments``: one frame of each of T equal segments, in order; evaluation takes the one in the middle. ``random``:
evaluation draws it too. ``m3dfel``: the older way, out of order."""


class FrameSampler(Protocol):
    """Chooses frames: ``(number of frames in the clip, generator) -> (T,) int64`` indices."""

    def __call__(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]: ...


class PixelTransform(Protocol):
    """Makes the clip: ``(T frames of (H, W, 3) uint8, generator) -> (T, 3, S, S)`` uint8, one draw per clip.

    ``needed_size`` is the side from which a frame is large enough that nothing is enlarged; None: as large as it is.
    """

    @property
    def needed_size(self) -> int | None: ...

    def __call__(self, frames: Sequence[Frame], rng: np.random.Generator) -> Tensor: ...


class ClipTransform:
    """Which frames of a clip to read, and what to do to their pixels.

    Shape:
        ``(count, read, rng) -> (T, 3, S, S)`` uint8, where ``read`` gives the frames of the asked indices.
    """

    def __init__(self, sample: FrameSampler, pixels: PixelTransform) -> None:
        self.sample = sample
        self.pixels = pixels

    @property
    def needed_size(self) -> int | None:
        """The side from which frames are large enough; None where only whole ones will do."""
        return self.pixels.needed_size

    def __call__(
        self, count: int, read: Callable[[NDArray[np.int64]], Sequence[Frame]], rng: np.random.Generator
    ) -> Tensor:
        return self.pixels(read(self.sample(count, rng)), rng)


TRAIN_SAMPLERS: dict[str, Callable[[int], FrameSampler]] = {
    "segments": RandomInSegments,
    "m3dfel": M3DFELFrames,
    "random": RandomInSegments,
}
EVAL_SAMPLERS = TRAIN_SAMPLERS | {"segments": SegmentCentres}


def _sampler(samplers: dict[str, Callable[[int], FrameSampler]], name: str, frames: int) -> FrameSampler:
    if name not in samplers:
        raise ValueError(f"sampling must be one of {', '.join(samplers)}, got {name!r}")
    return samplers[name](frames)


class TrainTransform(ClipTransform):
    """Random frames, random resized crop, flip and colour jitter: one draw per clip.

    Args:
        crop_scale: smallest and largest share of the frame's area that is kept.
        flip: probability of a mirror image.
        jitter: strength of brightness, contrast and saturation; hue turns by at most a quarter of it. 0: none.
        sampling: ``segments`` takes one random frame of each of T equal segments; ``m3dfel`` the older way,
            ``min(floor(n i / T) + U{0..T-1}, n - 1)``.

    Example:
        >>> video = np.zeros((30, 64, 48, 3), np.uint8)
        >>> TrainTransform(16, 32)(30, lambda wanted: list(video[wanted]), np.random.default_rng(0)).shape
        torch.Size([16, 3, 32, 32])
    """

    def __init__(
        self,
        frames: int = 16,
        size: int = 112,
        *,
        crop_scale: tuple[float, float] = (0.8, 1.0),
        flip: float = 0.5,
        jitter: float = 0.4,
        sampling: Sampling = "segments",
    ) -> None:
        pixels = TrainPixels(size, crop_scale=crop_scale, flip=flip, jitter=jitter)
        super().__init__(_sampler(TRAIN_SAMPLERS, sampling, frames), pixels)


class EvalTransform(ClipTransform):
    """The frame in the middle of each segment, whole, resized; nothing random with ``sampling="segments"``.

    Args:
        sampling: ``m3dfel`` and ``random`` evaluate on randomly drawn frames; the draw depends on the clip's row.
    """

    def __init__(self, frames: int = 16, size: int = 112, *, sampling: Sampling = "segments") -> None:
        super().__init__(_sampler(EVAL_SAMPLERS, sampling, frames), EvalPixels(size))
