"""What a model costs: parameters and true multiply-adds."""

import copy
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dfer.types import InputSpec, Output

PUBLISHED_GMAC: Final = MappingProxyType(
    {
        "r3d_18": 1.59,
        "mc3_18": 1.85,
        "r2plus1d_18": 40.77,
        "m3dfel": 1.65,
        "safe": 2.94,
        "former_dfer": 8.31,
        "resnet18_lstm": 7.97,
    }
)
"""GMAC per clip of 16x112x112 as printed in the papers; where it is far below the truth, their counter gave zero to
torchvision's ``Conv3DSimple`` and ``Conv3DNoTemporal``."""


@dataclass(frozen=True)
class Cost:
    """Parameters, and multiply-adds of one clip in units of 1e9."""

    parameters: int
    gmac: float


def cost(model: nn.Module) -> Cost:
    """Count parameters and multiply-adds of one clip, without computing anything.

    Example:
        >>> from dfer.backbones import r3d_18
        >>> from dfer.models import Recognizer
        >>> cost(Recognizer(r3d_18(width=0.25), frames=8, size=32))
        Cost(parameters=2080887, gmac=0.11082...)

    Raises:
        ValueError: no ``input_spec``.
    """
    with FlopCounterMode(display=False) as counter:
        dry_run(model)
    return Cost(sum(value.numel() for value in model.parameters()), counter.get_total_flops() / 2 / 1e9)


def dry_run(model: nn.Module) -> Output:
    """Show a model one clip without computing anything; what it returns lies on ``meta`` and has shapes alone.

    Example:
        >>> from dfer.backbones import r3d_18
        >>> from dfer.models import Recognizer
        >>> output = dry_run(Recognizer(r3d_18(width=0.25), frames=8, size=32, window=4))
        >>> output.logits.shape, output.clip_logits.shape
        (torch.Size([1, 7]), torch.Size([1, 2, 7]))

    Raises:
        ValueError: no ``input_spec``.
    """
    spec = getattr(model, "input_spec", None)
    if not isinstance(spec, InputSpec):
        raise ValueError(f"{type(model).__name__} has no input_spec; its cost depends on the clip it takes")
    shadow = copy.deepcopy(model).to("meta").eval()
    clip = torch.zeros(1, 3, spec.frames, spec.size, spec.size, dtype=torch.uint8, device="meta")
    with torch.no_grad():
        return shadow(clip)  # type: ignore[no-any-return]
