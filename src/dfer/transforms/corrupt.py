"""Damage to a clip, by kind and severity, the same for the same clip whenever and wherever it is done."""

import hashlib
from collections.abc import Callable
from difflib import get_close_matches
from typing import Final, Protocol

import numpy as np
import torch
from torch import Tensor

SEVERITIES: Final = (1, 2, 3, 4, 5)

NOISE_SIGMA: Final = (0.03, 0.06, 0.10, 0.15, 0.20)
"""Of the range of a pixel, by severity."""

DROPPED_SHARE: Final = (0.0625, 0.125, 0.25, 0.375, 0.5)
"""Of the frames, by severity."""


class Corruption(Protocol):
    """Damages a clip: ``(T, C, H, W)`` uint8 and the clip's id -> another of the same shape."""

    name: str
    severity: int

    def __call__(self, clip: Tensor, clip_id: str) -> Tensor: ...


class GaussianNoise:
    """Add normal noise to every value of every frame; its sigma is 0.10 of the range at severity 3.

    Paper: SAFE, Table VII, which gives no sigma.

    Shape:
        ``(T, C, H, W)`` uint8 -> the same.

    Example:
        >>> clip = torch.full((4, 3, 32, 32), 128, dtype=torch.uint8)
        >>> noisy = GaussianNoise(severity=3)(clip, "film/7").float()
        >>> abs(noisy.std() / 255 - 0.10) < 0.003
        tensor(True)
    """

    name = "gaussian_noise"

    def __init__(self, severity: int = 3) -> None:
        self.severity = checked(severity)

    def __call__(self, clip: Tensor, clip_id: str) -> Tensor:
        check_bytes(clip)
        draw = generator(clip_id, self.name, self.severity)
        noise = torch.from_numpy(draw.standard_normal(tuple(clip.shape), dtype=np.float32))  # (T, C, H, W)
        sigma = 255 * NOISE_SIGMA[self.severity - 1]
        return noise.mul_(sigma).add_(clip).round_().clamp_(0, 255).to(torch.uint8)


class FrameDrop:
    """Drop frames, each replaced by the last one kept before it; a quarter of them at severity 3.

    Paper: SAFE, Table VII, which gives no share. The first frame is always kept.

    Shape:
        ``(T, C, H, W)`` uint8 -> the same.

    Example:
        >>> clip = torch.arange(8, dtype=torch.uint8).view(8, 1, 1, 1)
        >>> FrameDrop(severity=3)(clip, "film/7").flatten().tolist()
        [0, 1, 2, 2, 2, 5, 6, 7]
    """

    name = "frame_drop"

    def __init__(self, severity: int = 3) -> None:
        self.severity = checked(severity)

    def __call__(self, clip: Tensor, clip_id: str) -> Tensor:
        check_bytes(clip)
        frames = len(clip)
        count = min(round(DROPPED_SHARE[self.severity - 1] * frames), frames - 1)
        dropped = 1 + generator(clip_id, self.name, self.severity).permutation(frames - 1)[:count]
        source = np.arange(frames)
        source[dropped] = 0
        return clip[torch.from_numpy(np.maximum.accumulate(source))]


CORRUPTIONS: Final[dict[str, Callable[[int], Corruption]]] = {"gaussian_noise": GaussianNoise, "frame_drop": FrameDrop}


def corruption(name: str, severity: int = 3) -> Corruption:
    """Build a corruption by its name.

    Raises:
        ValueError: there is none of that name, or a severity out of 1 to 5.
    """
    if name not in CORRUPTIONS:
        near = get_close_matches(name, CORRUPTIONS, n=1)
        raise ValueError(f"no corruption {name!r}; " + (f"did you mean {near[0]}?" if near else ", ".join(CORRUPTIONS)))
    return CORRUPTIONS[name](severity)


def checked(severity: int) -> int:
    """Refuse a severity that there is not.

    Raises:
        ValueError: with the value.
    """
    if severity not in SEVERITIES or isinstance(severity, bool) or not isinstance(severity, int):
        raise ValueError(f"severity {severity} is none of 1, 2, 3, 4, 5")
    return severity


def check_bytes(clip: Tensor) -> None:
    """Refuse a clip that is not ``(T, C, H, W)`` uint8.

    Raises:
        ValueError: with its shape and type.
    """
    if clip.ndim != 4 or clip.dtype != torch.uint8:
        raise ValueError(f"clip {tuple(clip.shape)} {clip.dtype}; give (T, C, H, W) uint8")


def generator(clip_id: str, name: str, severity: int) -> np.random.Generator:
    """Make the generator of a clip's damage: it depends on clip, kind and severity alone.

    Example:
        >>> int(generator("film/7", "frame_drop", 3).integers(1000))
        228
    """
    digest = hashlib.sha256(f"{name}\0{severity}\0{clip_id}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))
