"""Pixels as a backbone wants them: scaled and standardised inside the model, on its device."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Pixels(nn.Module):
    """Turn a clip of pixels into what a backbone was trained on: ``(clip / 255 - mean) / std`` per channel.

    A float clip is taken to lie in [0, 1] already. The statistics belong to the backbone's weights, so they are no part
    of the state dict.

    Shape:
        ``(B, 3, T, H, W)`` uint8 or float -> the same, float.

    Example:
        >>> clip = torch.full((1, 3, 1, 1, 1), 255, dtype=torch.uint8)
        >>> Pixels((0.5, 0.5, 0.5), (0.5, 0.25, 1.0))(clip).flatten()
        tensor([1.0000, 2.0000, 0.5000])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1, 1), persistent=False)

    def forward(self, clip: Tensor) -> Tensor:
        pixels = clip.to(self.mean.dtype)
        if not clip.is_floating_point():
            pixels = pixels / 255
        return (pixels - self.mean) / self.std
