"""Networks that turn a clip into features: ``(B, 3, T, H, W) -> (B, C, T', H', W')``."""

from collections.abc import Callable
from typing import Final

from torch import nn

from dfer.backbones.former_dfer import former_dfer
from dfer.backbones.pixels import Pixels
from dfer.backbones.resnet3d import mc3_18, r2plus1d_18, r3d_18
from dfer.backbones.resnet_frames import resnet18, resnet18_lstm, resnet50
from dfer.backbones.x3d import x3d_l, x3d_m, x3d_s, x3d_xs

BACKBONES: Final[dict[str, Callable[..., nn.Module]]] = {
    "r3d_18": r3d_18,
    "mc3_18": mc3_18,
    "r2plus1d_18": r2plus1d_18,
    "x3d_xs": x3d_xs,
    "x3d_s": x3d_s,
    "x3d_m": x3d_m,
    "x3d_l": x3d_l,
    "resnet18": resnet18,
    "resnet50": resnet50,
    "resnet18_lstm": resnet18_lstm,
    "former_dfer": former_dfer,
}

__all__ = [
    "BACKBONES",
    "Pixels",
    "former_dfer",
    "mc3_18",
    "r2plus1d_18",
    "r3d_18",
    "resnet18",
    "resnet18_lstm",
    "resnet50",
    "x3d_l",
    "x3d_m",
    "x3d_s",
    "x3d_xs",
]
