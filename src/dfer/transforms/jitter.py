"""Colour jitter of a whole clip at once, within one grey level of Pillow's on average."""

from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

GREY = (0.299, 0.587, 0.114)


class Jitter(NamedTuple):
    """One clip's draw: three factors around 1 and a shift of hue as a fraction of a turn."""

    brightness: float
    contrast: float
    saturation: float
    hue: float

    @classmethod
    def draw(cls, strength: float, rng: np.random.Generator) -> Self:
        """Draw factors from ``[1 - strength, 1 + strength]`` and a hue from ``[-strength / 4, strength / 4]``."""
        low = max(0.0, 1 - strength)
        brightness, contrast, saturation = rng.uniform(low, 1 + strength, 3)
        return cls(float(brightness), float(contrast), float(saturation), float(rng.uniform(-1, 1) * strength / 4))


def jitter(clip: Tensor, amount: Jitter) -> Tensor:
    """Change brightness, contrast, saturation and hue, in this order, the same for every frame.

    What Pillow's ``ImageEnhance`` and a shift of H in its HSV do to each frame, in floating point over the whole
    clip: contrast pulls a frame to its own mean grey, saturation a pixel to its own grey.

    Shape:
        clip ``(T, 3, H, W)`` uint8 -> same.

    Example:
        >>> red = torch.tensor([200, 40, 40], dtype=torch.uint8).view(1, 3, 1, 1)
        >>> jitter(red, Jitter(1.0, 1.0, 1.0, 1 / 3)).flatten()
        tensor([ 40, 200,  40], dtype=torch.uint8)
    """
    # A few frames at a time stay in the cache.
    return torch.cat([_jitter(part, amount) for part in torch.split(clip, 4)])


def _jitter(clip: Tensor, amount: Jitter) -> Tensor:
    planes = clip.transpose(0, 1).to(torch.float32, memory_format=torch.contiguous_format)  # (3, T, H, W)
    if amount.brightness != 1:
        planes.mul_(amount.brightness).clamp_(0, 255).floor_()  # Pillow truncates after every operation
    if amount.contrast != 1:
        mean = _grey(planes).mean(dim=(1, 2), keepdim=True).add_(0.5).floor_()  # (T, 1, 1)
        planes.mul_(amount.contrast).add_(mean * (1 - amount.contrast)).clamp_(0, 255).floor_()
    if amount.saturation != 1:
        grey = _grey(planes).add_(0.5).floor_()  # (T, H, W)
        planes.mul_(amount.saturation).add_(grey.mul_(1 - amount.saturation)).clamp_(0, 255).floor_()
    if shift := int(amount.hue * 255) / 255:  # Pillow's H has 256 steps
        _rotate_hue(planes, shift)
        planes.add_(0.5)
    return planes.to(torch.uint8).transpose(0, 1)  # (T, 3, H, W)


def _grey(planes: Tensor) -> Tensor:
    red, green, blue = planes
    grey: Tensor = red * GREY[0]
    return grey.add_(green, alpha=GREY[1]).add_(blue, alpha=GREY[2])


def _rotate_hue(planes: Tensor, turn: float) -> None:
    red, green, blue = planes
    low = planes.amin(dim=0)
    high = planes.amax(dim=0)
    chroma = high - low
    scale = chroma.clamp(min=1).reciprocal_()  # a grey pixel has no hue, and keeps none: its chroma is 0
    hue = torch.where(
        high == red,
        green - blue,
        torch.where(high == green, (blue - red).add_(chroma, alpha=2), (red - green).add_(chroma, alpha=4)),
    )
    hue.mul_(scale).add_(6 * turn)  # sixths of a turn, anywhere
    hue.sub_((hue / 6).floor_(), alpha=6)  # [0, 6)
    torch.sub(hue, 3, out=red).abs_().sub_(1)
    torch.sub(hue, 2, out=green).abs_().neg_().add_(2)
    torch.sub(hue, 4, out=blue).abs_().neg_().add_(2)
    planes.clamp_(0, 1).mul_(chroma).add_(low)
