"""Key-expression re-sampling of RDFER: find where in a clip the expression is, and take the frames there."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfer.modules.dam import full_precision
from dfer.modules.temporal_attention import linear

MIN_STRIDE = 0.5  # frames
MAX_STRIDE = 1.5  # times the stride of uniform sampling


class KeyExpression(NamedTuple):
    """Where a clip's key expression is, and what the whole clip is like.

    Args:
        centre: ``(B,)`` in (0, 1), ``mu`` of eq. 4 as a share of the dense clip.
        stride: ``(B,)`` in frames of the dense clip, ``delta`` of eq. 4.
        summary: ``(B, S)`` in (0, 1), ``S`` of eq. 5; None where there is none.
    """

    centre: Tensor
    stride: Tensor
    summary: Tensor | None


def sample_positions(centre: Tensor, stride: Tensor, frames: int, dense: int) -> Tensor:
    """Give the places ``T * centre + k * stride`` in a clip of T = ``dense`` frames, in frames from its first.

    ``k`` runs from ``-frames / 2`` to ``frames / 2 - 1``; of an odd number of frames the middle one is at the centre.
    Places before the first or behind the last frame become that frame. At least in float32, also under autocast: near
    60 the numbers of bfloat16 are a quarter of a frame apart.

    Paper: RDFER, Sec. III-B.

    Shape:
        ``(B,)`` twice -> ``(B, frames)`` in [0, dense - 1].

    Example:
        >>> sample_positions(torch.tensor([0.5, 0.125]), torch.tensor([4.0, 1.5]), frames=8, dense=32)
        tensor([[ 0.0000,  4.0000,  8.0000, 12.0000, 16.0000, 20.0000, 24.0000, 28.0000],
                [ 0.0000,  0.0000,  1.0000,  2.5000,  4.0000,  5.5000,  7.0000,  8.5000]])
    """
    dtype = torch.promote_types(centre.dtype, torch.float32)
    k = torch.arange(frames, device=centre.device, dtype=dtype) - frames // 2  # (n,)
    positions = dense * centre.to(dtype)[:, None] + k * stride.to(dtype)[:, None]  # (B, n)
    return positions.clamp(0, dense - 1)


def resample_clip(clip: Tensor, centre: Tensor, stride: Tensor, frames: int) -> Tensor:
    """Take frames at the places of :func:`sample_positions`, between two frames by linear interpolation.

    So gradients reach ``centre`` and ``stride``: how a frame taken changes as it moves to the next. Exactly at a frame
    that is the change towards the frame behind it; beyond the ends of the clip, and in a clip of one frame, it is zero.
    At most ``2 * frames`` frames are read, and those alone become float: a uint8 clip stays as it is, its frames taken
    are divided by 255.

    Paper: RDFER, Sec. III-B. The paper does not say what a place between frames or outside the clip means.

    Args:
        clip: uint8, or float of any values.
        centre: share of the clip's length, see :class:`KeyExpression`.
        stride: in frames of the clip.

    Shape:
        ``(B, C, T, H, W)`` and two times ``(B,)`` -> ``(B, C, frames, H, W)``, float.

    Raises:
        ValueError: shapes that do not fit, a clip of other integers, no frames.

    Example:
        >>> clip = torch.tensor([0, 51, 102, 255], dtype=torch.uint8).view(1, 1, 4, 1, 1)
        >>> resample_clip(clip, torch.tensor([0.5]), torch.tensor([0.75]), frames=4).flatten()
        tensor([0.1000, 0.2500, 0.4000, 0.8500])
    """
    if clip.ndim != 5 or clip.shape[2] < 1:
        raise ValueError(f"clip has the shape {list(clip.shape)}; give (B, C, T, H, W) with at least one frame")
    if clip.dtype != torch.uint8 and not clip.is_floating_point():
        raise ValueError(f"clip is {clip.dtype}; give uint8 or float")
    for name, value in (("centre", centre), ("stride", stride)):
        if value.shape != clip.shape[:1]:
            raise ValueError(
                f"{name} has the shape {list(value.shape)}; give one for each clip, {list(clip.shape[:1])}"
            )
    if not isinstance(frames, int) or frames < 1:
        raise ValueError(f"frames {frames} must be a whole number, at least 1")
    last = clip.shape[2] - 1
    positions = sample_positions(centre, stride, frames, last + 1)  # (B, n)
    before = positions.detach().long().clamp(0, last)  # clamped again: nan must become an index, and nan in the output
    after = (before + 1).clamp(max=last)
    dtype = torch.promote_types(clip.dtype, positions.dtype)
    rows = torch.arange(clip.shape[0], device=clip.device)[:, None]
    first = clip[rows, :, before].to(dtype)  # (B, n, C, H, W)
    second = clip[rows, :, after].to(dtype)
    part = (positions - before).to(dtype)[:, :, None, None, None]  # (B, n, 1, 1, 1)
    taken = (first + part * (second - first)).transpose(1, 2)  # (B, C, n, H, W)
    return taken.to(clip.dtype) if clip.is_floating_point() else taken / 255


class KeyExpressionDetector(nn.Module):
    """Scan a dense clip with a tiny network and say where its key expression is: eq. 3-5.

    Of the clip every ``every``-th frame is seen, at half resolution: each pixel is the mean of 2 x 2, so nothing finer
    folds back. The feature ``f`` of the backbone (eq. 3) is averaged over space only, it keeps time. ``mu, delta =
    F_d(f)`` (eq. 4) is linear in all its time steps, side by side: averaged over time it would be the same for frames
    in any order, and could locate nothing. ``S = sigmoid(F_s(f))`` (eq. 5) is of the mean over time.

    The paper leaves the ranges open. ``mu`` is the sigmoid of the first output; ``delta`` runs, by the sigmoid of the
    second, from half a frame to 1.5 times the ``frames / samples`` of uniform sampling. ``F_d`` has zero weights at the
    start, and biases that make it sample uniformly. ``f`` is divided by the square root of its length before it: Adam
    moves thousands of weights alike, and would otherwise throw ``mu`` to the ends of the clip, where the sigmoid learns
    no more, before there is anything to learn from. These last steps are in float32, also under autocast.

    Paper: RDFER, Sec. III-B, eq. 3-5.

    Args:
        backbone: tiny, with an output for every frame: standardised ``(B, 3, T, H, W) -> (B, channels, T, H', W')``,
            with ``channels``, ``mean`` and ``std``.
        frames: of the dense clip.
        samples: frames that will be taken.
        every: of so many frames one is seen.
        summary_features: 0 for no summary.

    Shape:
        ``(B, 3, frames, H, W)`` uint8, or float in [0, 1] -> `KeyExpression`.

    Raises:
        ValueError: numbers of frames that do not go together; a clip of another shape; a backbone that does not keep
            time.

    Example:
        >>> from dfer.backbones.resnet_frames import resnet18
        >>> detector = KeyExpressionDetector(resnet18(width=0.125), summary_features=8)
        >>> clip = torch.zeros(2, 3, 64, 32, 32, dtype=torch.uint8)
        >>> centre, stride, summary = detector(clip)
        >>> centre.tolist(), stride.tolist(), summary.shape
        ([0.5, 0.5], [4.0, 4.0], torch.Size([2, 8]))
        >>> resample_clip(clip, centre, stride, frames=16).shape
        torch.Size([2, 3, 16, 32, 32])
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, backbone: nn.Module, *, frames: int = 64, samples: int = 16, every: int = 4, summary_features: int = 512
    ) -> None:
        super().__init__()
        for name, value in (("frames", frames), ("samples", samples), ("every", every)):
            if value < 1:
                raise ValueError(f"{name} {value} must be at least 1")
        if frames % every:
            raise ValueError(f"frames {frames} are no multiple of every {every}; give a divisor of {frames}")
        if samples >= frames / MIN_STRIDE:
            raise ValueError(
                f"samples {samples} of {frames} frames are {frames / samples} frames apart; give fewer than "
                f"{frames / MIN_STRIDE:g}, more than {MIN_STRIDE} frames apart"
            )
        if summary_features < 0:
            raise ValueError(f"summary_features {summary_features} must be at least 1, or 0 for no summary")
        self.frames = frames
        self.samples = samples
        self.every = every
        self.backbone = backbone
        for name in ("mean", "std"):  # they belong to the backbone's weights, so they are no part of the state dict
            statistic = torch.tensor(getattr(backbone, name)).view(1, -1, 1, 1, 1)
            self.register_buffer(name, statistic, persistent=False)
        channels: int = backbone.channels  # type: ignore[assignment]
        self.steps = frames // every
        self.place = nn.Linear(self.steps * channels, 2)
        self.summary = nn.Linear(channels, summary_features) if summary_features else None
        self.reset_place()

    def reset_place(self) -> None:
        """Sample uniformly, whatever the clip: ``mu = 0.5`` and ``delta = frames / samples``."""
        uniform = self.frames / self.samples
        share = (uniform - MIN_STRIDE) / (MAX_STRIDE * uniform - MIN_STRIDE)
        nn.init.zeros_(self.place.weight)
        with torch.no_grad():
            self.place.bias.copy_(torch.tensor([0.0, math.log(share / (1 - share))]))

    def forward(self, clip: Tensor) -> KeyExpression:
        f = self.feature(clip)  # (B, steps, D)
        with full_precision(f):
            f = f.to(torch.promote_types(f.dtype, torch.float32))
            row = f.flatten(1) / math.sqrt(self.place.in_features)  # (B, steps * D)
            of_centre, of_stride = linear(self.place, row).sigmoid().unbind(1)  # (B,) each
            widest = MAX_STRIDE * self.frames / self.samples
            stride = MIN_STRIDE + (widest - MIN_STRIDE) * of_stride
            summary = None if self.summary is None else linear(self.summary, f.mean(1)).sigmoid()  # (B, S)
        return KeyExpression(of_centre, stride, summary)

    def feature(self, clip: Tensor) -> Tensor:
        """Give eq. 3, averaged over space: ``(B, steps, D)``."""
        channels = self.mean.shape[1]
        if clip.ndim != 5 or clip.shape[1] != channels or clip.shape[2] != self.frames:
            wanted = f"(B, {channels}, {self.frames}, H, W)"
            raise ValueError(f"clip has the shape {list(clip.shape)}; give {wanted}, as this detector was built for")
        precise = torch.promote_types(self.mean.dtype, torch.float32)  # torch pools no bfloat16 on a processor
        seen = clip[:, :, :: self.every].to(precise)  # (B, 3, steps, H, W)
        seen = F.avg_pool3d(seen, (1, 2, 2), ceil_mode=True)  # (B, 3, steps, H/2, W/2)
        if not clip.is_floating_point():
            seen = seen / 255
        seen = ((seen - self.mean) / self.std).to(self.mean.dtype)
        maps: Tensor = self.backbone(seen)  # (B, D, steps, H', W')
        if maps.shape[2] != self.steps:
            raise ValueError(
                f"backbone gives {maps.shape[2]} time steps for {self.steps} frames; take one that keeps time, such as "
                "a network of images on every frame"
            )
        return maps.mean((3, 4)).transpose(1, 2)

    def extra_repr(self) -> str:
        return f"frames={self.frames}, samples={self.samples}, every={self.every}"
