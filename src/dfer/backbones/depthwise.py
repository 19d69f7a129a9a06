"""Convolutions of each channel alone, whose backward pass torch leaves slow on a processor."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight


class Depthwise3D(nn.Conv3d):
    """Filter each channel alone, 3x3x3, with a backward pass that is fast on a processor.

    There torch's own takes many times as long as the forward pass, in bfloat16 yet more. This one gives the same
    gradients; ``benchmarks/depthwise.py`` says what a step of X3D gains. They cannot be differentiated again.

    Example:
        >>> import torch
        >>> convolution = Depthwise3D(8)
        >>> x = torch.randn(1, 8, 4, 5, 5)
        >>> torch.equal(convolution(x), torch.nn.Conv3d.forward(convolution, x))
        True
    """

    def __init__(self, channels: int, stride: int = 1) -> None:
        super().__init__(
            channels, channels, kernel_size=3, stride=(1, stride, stride), padding=1, groups=channels, bias=False
        )

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "cpu" and torch.is_grad_enabled():
            return _Filter.apply(x, self.weight, self.stride[1])  # type: ignore[no-any-return]
        return super().forward(x)


class _Filter(torch.autograd.Function):
    """A 3x3x3 filter per channel, of stride 1 in time; both gradients are made of kernels that are fast."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return F.conv3d(x, weight, None, (1, stride, stride), 1, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        upstream = upstream.contiguous(memory_format=torch.channels_last_3d)
        of_x = _by_input(x, weight, upstream, ctx.stride) if ctx.needs_input_grad[0] else None
        of_weight = _by_weight(x, weight, upstream, ctx.stride) if ctx.needs_input_grad[1] else None
        return of_x, of_weight, None


def _by_input(x: Tensor, weight: Tensor, upstream: Tensor, stride: int) -> Tensor:
    """Filter what comes from above, set back to the input's places, with the mirrored filters."""
    placed = upstream
    if stride > 1:
        placed = torch.zeros_like(x, dtype=upstream.dtype, memory_format=torch.channels_last_3d)
        placed[..., ::stride, ::stride] = upstream
    mirrored = weight.to(upstream.dtype).flip(2, 3, 4)
    return F.conv3d(placed, mirrored, None, padding=1, groups=len(weight)).to(x.dtype)


def _by_weight(x: Tensor, weight: Tensor, upstream: Tensor, stride: int) -> Tensor:
    """Take each of the filter's three steps in time as a filter in space, over the frames of all clips in a row.

    Padded by two frames per clip, a step in time is a step in the row; nothing comes from above at the padding.
    """
    edge = int(min(upstream.shape[3:]) < 3)  # or a slow kernel is taken
    frames = _in_a_row(F.pad(x.to(upstream.dtype), (edge, edge, edge, edge, 1, 1)))  # (B (T + 2), C, H, W)
    above = _in_a_row(F.pad(upstream, (0, 0, 0, 0, 0, 2)))  # (B (T + 2), C, H', W')
    shape = (len(weight), 1, 3, 3)
    steps = [
        conv2d_weight(  # type: ignore[no-untyped-call]
            frames[step:], shape, above[: len(above) - step], stride, 1 - edge, groups=len(weight)
        )
        for step in range(3)
    ]
    return torch.stack(steps, dim=2).to(weight.dtype)  # (C, 1, 3, 3, 3)


def _in_a_row(frames: Tensor) -> Tensor:
    return frames.transpose(1, 2).flatten(0, 1)  # (B T, C, H, W)


class DepthwiseInTime(nn.Conv3d):
    """Filter each channel over time alone: in two dimensions, time and place, where torch is several times faster."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, (5, 1, 1), padding=(2, 0, 0), groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return super().forward(x)
        filtered = F.conv2d(x.flatten(3), self.weight.flatten(3), None, padding=(2, 0), groups=self.groups)
        return filtered.view(x.shape)  # (B, C, T, H, W)
