"""The pixels of a clip: crop, antialiased resize, flip, colour; one draw of parameters per clip."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dfer.transforms.jitter import Jitter, jitter

Frame = NDArray[np.uint8]
"""One decoded frame, ``(H, W, 3)`` RGB."""


class Box(NamedTuple):
    """A part of a frame in fractions of its height and width, so that it fits frames of any size."""

    top: float
    left: float
    height: float
    width: float


WHOLE = Box(0.0, 0.0, 1.0, 1.0)


def draw_box(scale: tuple[float, float], rng: np.random.Generator, ratio: tuple[float, float] = (3 / 4, 4 / 3)) -> Box:
    """Draw a crop as a random resized crop does: area uniform in ``scale``, log of the aspect ratio uniform.

    The ratio is relative to the frame's own (face frames are square: there it is torchvision's). After ten
    draws that do not fit, the whole frame.

    Example:
        >>> draw_box((1.0, 1.0), np.random.default_rng(0), ratio=(1.0, 1.0))
        Box(top=0.0, left=0.0, height=1.0, width=1.0)
    """
    for _ in range(10):
        area = rng.uniform(*scale)
        aspect = np.exp(rng.uniform(np.log(ratio[0]), np.log(ratio[1])))
        height, width = float(np.sqrt(area / aspect)), float(np.sqrt(area * aspect))
        if height <= 1 and width <= 1:
            return Box(float(rng.uniform(0, 1 - height)), float(rng.uniform(0, 1 - width)), height, width)
    return WHOLE


def crop(frame: Frame, box: Box) -> Frame:
    """Cut a box out of a frame, rounded to pixels, at least one pixel; a view."""
    H, W = frame.shape[:2]
    height, width = max(1, round(box.height * H)), max(1, round(box.width * W))
    top, left = min(round(box.top * H), H - height), min(round(box.left * W), W - width)
    return frame[top : top + height, left : left + width]


def resize(frames: Sequence[Frame], size: int) -> Tensor:
    """Resize frames to squares with antialiased bilinear filtering; frames of different sizes may be mixed.

    A frame may lie in memory pixel by pixel, as decoders give it, or plane by plane. One of the asked size is copied.

    Shape:
        T frames of ``(H, W, 3)`` uint8 -> ``(T, 3, S, S)`` uint8, contiguous.
    """
    return _resize(frames, size).contiguous()


def _resize(frames: Sequence[Frame], size: int) -> Tensor:
    """Resize frames as `resize` does; contiguous or not."""
    if len({frame.shape for frame in frames}) > 1:
        return torch.cat([_resize([frame], size) for frame in frames])
    if frames[0].shape == (size, size, 3):
        planes = np.empty((len(frames), 3, size, size), np.uint8)
        for place, frame in zip(planes, frames):
            place[:] = frame.transpose(2, 0, 1)
        return torch.from_numpy(planes)
    pixels = np.empty((len(frames), *frames[0].shape), np.uint8)  # channels last: half the time of planes
    for place, frame in zip(pixels, frames):
        _copy(frame, place)
    clip = torch.from_numpy(pixels).permute(0, 3, 1, 2)  # (T, 3, H, W)
    return F.interpolate(clip, (size, size), mode="bilinear", antialias=True, align_corners=False)


def _copy(frame: Frame, pixels: Frame) -> None:
    if frame.strides[2] == 1:
        pixels[:] = frame
    else:  # numpy would go through it pixel by pixel
        for channel in range(3):
            pixels[..., channel] = frame[..., channel]


class TrainPixels:
    """Random resized crop, horizontal flip and colour jitter, drawn once per clip.

    Args:
        crop_scale: smallest and largest share of the frame's area that is kept.
        flip: probability of a mirror image.
        jitter: strength of brightness, contrast and saturation; hue turns by at most a quarter of it. 0: none.
    """

    def __init__(
        self, size: int = 112, *, crop_scale: tuple[float, float] = (0.8, 1.0), flip: float = 0.5, jitter: float = 0.4
    ) -> None:
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        if not 0 < crop_scale[0] <= crop_scale[1] <= 1:
            raise ValueError(f"crop_scale must be two growing shares in (0, 1], got {crop_scale}")
        if not 0 <= flip <= 1:
            raise ValueError(f"flip must be a probability, got {flip}")
        if not 0 <= jitter <= 1:
            raise ValueError(f"jitter must lie in [0, 1], got {jitter}")
        self.size = size
        self.crop_scale = (float(crop_scale[0]), float(crop_scale[1]))
        self.flip = flip
        self.jitter = jitter

    @property
    def needed_size(self) -> int:
        """The side from which the smallest square crop is not enlarged."""
        return math.ceil(self.size / math.sqrt(self.crop_scale[0]))

    def __call__(self, frames: Sequence[Frame], rng: np.random.Generator) -> Tensor:
        box = draw_box(self.crop_scale, rng)
        mirrored = rng.random() < self.flip
        amount = Jitter.draw(self.jitter, rng)
        clip = _resize([crop(frame, box) for frame in frames], self.size)
        clip = jitter(clip, amount) if self.jitter else clip.contiguous()
        return clip.flip(-1) if mirrored else clip


class EvalPixels:
    """The whole frame, squeezed to a square; draws nothing."""

    def __init__(self, size: int = 112) -> None:
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        self.size = size

    @property
    def needed_size(self) -> int:
        """The side from which a frame is not enlarged."""
        return self.size

    def __call__(self, frames: Sequence[Frame], rng: np.random.Generator) -> Tensor:
        return resize(frames, self.size)
