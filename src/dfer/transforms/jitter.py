"""Colour jitter of a whole clip at once, within one grey level of Pillow's on average."""

import math
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

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
    jittered = torch.empty(clip.shape, dtype=torch.uint8)
    room = _Room(min(CHUNK, len(clip)), *clip.shape[2:])
    for part, out in zip(torch.split(clip, CHUNK), torch.split(jittered, CHUNK)):
        _jitter(part.transpose(0, 1), amount, room.first(len(part)), out.transpose(0, 1))  # (3, T, H, W)
    return jittered


class _Room:
    """Memory for a few frames and what is made of them, used again for the next few.

    ``planes`` and ``change`` are ``(3, T, H, W)`` int16: twice the speed of float32, and wide enough for a pixel
    times a factor of seven bits. ``low``, ``middle`` and ``high`` are ``(T, H, W)``. ``exact``, ``(3, T, H, W)``
    float32, lies where ``change`` and those three do: it is done with before they are needed.
    """

    def __init__(self, frames: int, height: int, width: int) -> None:
        self.planes = torch.empty(3, frames, height, width, dtype=torch.int16)
        self.exact = torch.empty(3, frames, height, width)
        self.change, rest = self.exact.view(torch.int16).view(2, 3, frames, height, width)
        self.low, self.middle, self.high = rest
        self.red, self.green, self.blue = self.planes
        self.changes = tuple(self.change)

    def first(self, frames: int) -> "_Room":
        """Give room for so many frames: this one, but for the last few of a clip."""
        return self if frames == self.planes.shape[1] else _Room(frames, *self.planes.shape[2:])


def _jitter(clip: Tensor, amount: Jitter, room: _Room, out: Tensor) -> None:
    mean = _brighten(clip, amount.brightness, room)  # (T, 1, 1)
    if amount.contrast != 1:
        _pull(mean, amount.contrast, room)
    if amount.saturation != 1:
        _pull(_grey(room), amount.saturation, room)
    if shift := int(amount.hue * 255) / 255:  # Pillow's H has 256 steps
        _turn_hue(6 * shift, room)
    out.copy_(room.planes)


def _brighten(clip: Tensor, factor: float, room: _Room) -> Tensor:
    """Fill the planes with the clip, brightened; give each frame's mean grey, ``(T, 1, 1)``."""
    exact = room.exact.copy_(clip)
    if factor > 1:
        exact.clamp_(max=math.floor(16 * 255.5 / factor) / 16)
    # Of sixteenths: a column's sum fits float32 and the columns' sum float64, so that their order makes no difference.
    red, green, blue = exact.sum(dim=2).sum(dim=2, dtype=torch.float64).numpy()  # (T,)
    mean = (0.299 * red + 0.587 * green + 0.114 * blue) * (factor / clip[0, 0].numel())
    if factor != 1:
        exact.mul_(factor)
        mean -= 0.5  # what truncation takes on average; Pillow truncates after every operation
    room.planes.copy_(exact)
    return torch.from_numpy(np.floor(mean + 0.5).astype(np.int16)).view(-1, 1, 1)


def _pull(centre: Tensor, factor: float, room: _Room) -> None:
    """Multiply the planes' distance from a centre."""
    times, bits = _fixed(factor - 1)
    change = torch.add(centre * -times, room.planes, alpha=times, out=room.change)
    room.planes.add_(change.bitwise_right_shift_(_scalar(bits)))
    if factor > 1:
        room.planes.clamp_(0, 255)


def _grey(room: _Room) -> Tensor:
    grey = torch.add(_scalar(128 - 2**15), room.red, alpha=77, out=room.low)  # 256 times the grey would not fit
    return grey.add_(room.green, alpha=150).add_(room.blue, alpha=29).bitwise_right_shift_(_scalar(8)).add_(128)


def _turn_hue(sixths: float, room: _Room) -> None:
    """Turn the hue, keeping each pixel's highest and lowest value.

    A turn by a third moves every channel's value to the next channel. By a part ``t`` of a sixth, red goes to
    ``2 red - middle + t (2 blue - low - high)``, held between low and high, and the others likewise, each with the
    channel that it takes from; backwards with the channel on the other side. Linear: no hue, and no division.
    """
    low, middle, high = room.low, room.middle, room.high
    red, green, blue = room.red, room.green, room.blue
    torch.minimum(red, green, out=low)
    torch.maximum(red, green, out=middle)
    torch.maximum(middle, blue, out=high)
    torch.minimum(middle, blue, out=middle)
    torch.maximum(low, middle, out=middle)
    torch.minimum(low, blue, out=low)
    thirds = round(sixths / 2)
    rest = sixths - 2 * thirds
    times, bits = _fixed(abs(rest))
    half = torch.add(_scalar(2**bits // 2), low + high, alpha=-times)
    torch.add(half, room.planes, alpha=2 * times, out=room.change).bitwise_right_shift_(_scalar(bits))
    torch.sub(middle, room.planes, alpha=2, out=room.planes)
    first, second, third = room.changes
    for channel, change in zip((red, green, blue), (third, first, second) if rest > 0 else (second, third, first)):
        torch.clamp(torch.sub(change, channel, out=channel), low, high, out=channel)
    if thirds % 3:
        room.planes.copy_(room.planes.roll(thirds, 0))


def _fixed(factor: float) -> tuple[int, int]:
    """Write a factor as ``times / 2 ** bits``, as exactly as 255 times it fits 16 bits."""
    bits = min(14, 7 - math.frexp(factor)[1])
    return round(factor * 2**bits), bits


def _scalar(value: int) -> Tensor:
    return torch.tensor(value, dtype=torch.int16)
