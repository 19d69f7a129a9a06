"""Networks that turn a clip into features: ``(B, 3, T, H, W) -> (B, C, T', H', W')``."""

from collections.abc import Callable
from typing import Final

from torch import nn

from dfer.backbones.pixels import Pixels
from dfer.backbones.resnet3d import mc3_18, r2plus1d_18, r3d_18

BACKBONES: Final[dict[str, Callable[..., nn.Module]]] = {
    "r3d_18": r3d_18,
    "mc3_18": mc3_18,
    "r2plus1d_18": r2plus1d_18,
}

__all__ = ["BACKBONES", "Pixels", "mc3_18", "r2plus1d_18", "r3d_18"]
