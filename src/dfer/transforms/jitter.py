"""Colour jitter of a whole clip at once, within one grey level of Pillow's on average."""

import math
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Planes = NDArray[np.int16]
"""``(3, T, H, W)`` or one of the three: quicker than float32, and wide enough for 255 times a factor of seven bits."""

CHUNK = 4  # frames; with all that is made of them they stay in a core's cache


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

    What Pillow's ``ImageEnhance`` and a shift of H in its HSV do to each frame: contrast pulls a frame to its own
    mean grey, saturation a pixel to its own grey. No result depends on the order of a sum, so none depends on the
    number of threads, or on which frames are done together.

    Shape:
        clip ``(T, 3, H, W)`` uint8 -> same, contiguous.

    Example:
        >>> red = torch.tensor([200, 40, 40], dtype=torch.uint8).view(1, 3, 1, 1)
        >>> jitter(red, Jitter(1.0, 1.0, 1.0, 1 / 3)).flatten()
        tensor([ 40, 200,  40], dtype=torch.uint8)
    """
    frames = clip.numpy()
    jittered = np.empty(frames.shape, np.uint8)
    room = np.empty((3, 3, min(CHUNK, len(frames)), *frames.shape[2:]), np.int16)  # used again for every few frames
    for first in range(0, len(frames), CHUNK):
        some = frames[first : first + CHUNK].swapaxes(0, 1)  # (3, T, H, W)
        done = _jitter(some, amount, *room[:, :, : some.shape[1]])
        np.copyto(jittered[first : first + CHUNK].swapaxes(0, 1), done, casting="unsafe")
    return torch.from_numpy(jittered)


def _jitter(clip: NDArray[np.uint8], amount: Jitter, planes: Planes, change: Planes, spare: Planes) -> Planes:
    if amount.brightness == 1:
        planes[:] = clip
    else:  # cut off, as Pillow does after every operation
        np.multiply(clip, amount.brightness, out=planes, dtype=np.float32, casting="unsafe")
        if amount.brightness > 1:
            planes.clip(0, 255, out=planes)
    if amount.contrast != 1:
        mean = _grey(planes, spare).sum(axis=(1, 2), dtype=np.int32) / planes[0, 0].size  # (T,)
        _pull(planes, np.floor(mean + 0.5).astype(np.int16)[:, None, None], amount.contrast, change)
    if amount.saturation != 1:
        _pull(planes, _grey(planes, spare), amount.saturation, change)
    if shift := int(amount.hue * 255) / 255:  # Pillow's H has 256 steps
        _turn_hue(planes, 6 * shift, change, spare)
    return planes


def _grey(planes: Planes, spare: Planes) -> Planes:
    red, green, blue = planes
    part = spare[1]
    grey: Planes = np.multiply(red, 77, out=spare[0])
    grey += np.multiply(green, 150, out=part)
    grey += np.multiply(blue, 29, out=part)
    grey += 128 - 2**15  # 256 times the grey has 16 bits and no sign
    grey >>= 8
    grey += 128
    return grey


def _pull(planes: Planes, centre: Planes, factor: float, change: Planes) -> None:
    """Multiply the distance from a centre."""
    times, bits = _fixed(factor - 1)
    np.subtract(planes, centre, out=change)
    change *= times
    change >>= bits
    planes += change
    if factor > 1:
        planes.clip(0, 255, out=planes)


def _turn_hue(planes: Planes, sixths: float, change: Planes, spare: Planes) -> None:
    """Turn the hue, keeping each pixel's highest and lowest value.

    A turn by a third moves every channel's value to the next channel. By a part ``t`` of a sixth, red goes to
    ``2 red - middle + t (2 blue - low - high)``, held between low and high, and the others likewise, each with the
    channel that it takes from; backwards with the channel on the other side. Linear: no hue, and no division.
    """
    (red, green, blue), (low, middle, high) = planes, spare
    np.minimum(red, green, out=low)
    np.maximum(red, green, out=middle)
    np.maximum(middle, blue, out=high)
    np.minimum(middle, blue, out=middle)
    np.maximum(low, middle, out=middle)
    np.minimum(low, blue, out=low)
    thirds = round(sixths / 2)
    rest = sixths - 2 * thirds
    times, bits = _fixed(abs(rest))
    np.multiply(planes, 2 * times, out=change)
    ends = low + high
    ends *= -times
    ends += 2**bits // 2
    change += ends
    change >>= bits
    planes += planes
    planes -= middle
    first, second, third = change
    red += third if rest > 0 else second
    green += first if rest > 0 else third
    blue += second if rest > 0 else first
    np.maximum(planes, low, out=planes)
    np.minimum(planes, high, out=planes)
    if thirds % 3:
        planes[:] = np.roll(planes, thirds, axis=0)


def _fixed(factor: float) -> tuple[int, int]:
    """Write a factor as ``times / 2 ** bits``, as exactly as 255 times it fits 16 bits."""
    bits = min(14, 7 - math.frexp(factor)[1])
    return round(factor * 2**bits), bits
