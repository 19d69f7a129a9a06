"""The frequency branch of DAM."""

import math
from collections.abc import Callable
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.linalg import vector_norm

from dfer.modules.dct import dct_filters
from dfer.modules.temporal_attention import Attention, linear

SIZE = 7  # of the DCT's images
FREQUENCIES = SIZE * SIZE


class FrequencyAttention(nn.Module):
    """Give a gate for each place of each frame from its frequencies, disturbed and fitted: eq. 6-8.

    Eq. 6, ``f_adv = f + a eps sign(f) + b sign(f) ||f - E[f]||``. ``f`` are the 49 DCT images of 7 x 7 (eq. 2-3) as
    filters on each frame's mean over channels (every channel would have the same filters, so the mean comes first, at
    1/C of the cost), the border repeated: zeros around it would make a constant map look busy. ``a`` (1 at the start)
    and ``b`` (0) are learnt, one per frequency. ``eps`` is 0.1 times the root mean square of ``f`` in the clip and
    frequency, detached: 0.1 itself would drown a mean over channels. ``E[f]`` is one mean per frequency over the clips,
    frames and places of the batch in training, with its gradient, and a running mean in evaluation, so that a clip
    never depends on its batch mates (momentum 0.1 from 0 on, local to the rank, in float32; with
    ``track_running_stats = False`` it stands still, all as batch norm's). The norm is over the places of a frame,
    divided by ``sqrt(H W)``. ``sign`` has no gradient. The disturbance acts in evaluation too.

    Eq. 7, ``f_dyn = tanh(alpha f_adv / sqrt(Var(f_adv) + 1e-6)) gamma + beta``, with the biased variance over the
    frames and places of each clip and frequency, one ``alpha`` (0.5 at the start), and ``gamma`` and ``beta``
    per frequency.

    Then one head of self-attention between the places of each frame, and a linear map to one channel;
    ``attention="conv"`` has a 7 x 7 convolution instead, its border repeated too. The gate is the sigmoid of that.

    Paper: HDF, Sec. 4.1.1, eq. 6-8.

    Shape:
        ``(B, C, T, H, W)`` -> ``(B, 1, T, H, W)``, in (0, 1).

    Raises:
        ValueError: an unknown attention.

    Example:
        >>> FrequencyAttention()(torch.randn(2, 32, 16, 5, 5)).shape
        torch.Size([2, 1, 16, 5, 5])
    """

    filters: Tensor
    running_mean: Tensor

    def __init__(self, attention: str = "self", momentum: float = 0.1) -> None:
        super().__init__()
        check_attention(attention)
        self.momentum = momentum
        self.track_running_stats = True
        self.register_buffer("filters", dct_filters(SIZE)[:, None], persistent=False)
        self.register_buffer("running_mean", torch.zeros(FREQUENCIES, dtype=torch.float32))
        self.a = nn.Parameter(torch.ones(FREQUENCIES))
        self.b = nn.Parameter(torch.zeros(FREQUENCIES))
        self.alpha = nn.Parameter(torch.tensor(0.5))
        self.gamma = nn.Parameter(torch.ones(FREQUENCIES))
        self.beta = nn.Parameter(torch.zeros(FREQUENCIES))
        self.attend = PlaceAttention() if attention == "self" else PlaceConvolution()

    def forward(self, x: Tensor) -> Tensor:
        f = self.decompose(x)
        gate: Tensor = torch.sigmoid(self.attend(self.fit(self.disturb(f))))  # (B, T, 1, H, W)
        return gate.transpose(1, 2)  # (B, 1, T, H, W)

    def decompose(self, x: Tensor) -> Tensor:
        """Filter each frame's mean over channels with the DCT images: eq. 2-3."""
        mean = x.mean(1).flatten(0, 1)[:, None]  # (B * T, 1, H, W)
        level = mean.mean((2, 3), keepdim=True)  # all but the first image sum to 0; without it rounding would not
        padded = F.pad(mean - level, [SIZE // 2] * 4, mode="replicate")  # (B * T, 1, H + 6, W + 6)
        f = F.conv2d(padded, self.filters.to(x.dtype))  # (B * T, 49, H, W)
        f[:, :1] += SIZE * level
        return f.view(*x.shape[:1], *x.shape[2:3], FREQUENCIES, *x.shape[3:])  # (B, T, 49, H, W)

    def disturb(self, f: Tensor) -> Tensor:
        """Push each frequency away from zero, the more the farther the frame is from the mean: eq. 6."""
        eps = 0.1 * f.detach().square().mean((1, 3, 4), keepdim=True).sqrt()  # (B, 1, 49, 1, 1)
        distance: Tensor = vector_norm(f - self.expected(f), dim=(3, 4), keepdim=True)  # (B, T, 49, 1, 1)
        distance = distance / math.sqrt(f.shape[3] * f.shape[4])
        return f + f.sign() * (column(self.a) * eps + column(self.b) * distance)  # (B, T, 49, H, W)

    def expected(self, f: Tensor) -> Tensor:
        """Give E[f], of the batch in training, and carry it on for evaluation."""
        if not self.training:
            return column(self.running_mean)
        mean = f.mean((0, 1, 3, 4))  # (49,)
        if self.track_running_stats:
            with torch.no_grad():
                self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        return column(mean)

    def fit(self, f: Tensor) -> Tensor:
        """Bring each frequency of a clip to one scale: eq. 7."""
        centred = f - f.mean((1, 3, 4), keepdim=True)
        variance = centred.square().mean((1, 3, 4), keepdim=True)  # (B, 1, 49, 1, 1), in half of the time of var
        return torch.tanh(self.alpha / (variance + 1e-6).sqrt() * f) * column(self.gamma) + column(self.beta)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Keep filters and running mean in float32 where the rest goes below: the mean moves by small steps."""
        before = dict(self.named_buffers(recurse=False))
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, buffer in self.named_buffers(recurse=False):
            if buffer.dtype in (torch.bfloat16, torch.float16):
                self.register_buffer(name, before[name].to(buffer.device, torch.float32), name == "running_mean")
        return self


class PlaceAttention(nn.Module):
    """Let the places of each frame attend to each other, and map them to one channel.

    Shape:
        ``(B, T, 49, H, W)`` -> ``(B, T, 1, H, W)``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention(FREQUENCIES)
        self.out = nn.Linear(FREQUENCIES, 1)

    def forward(self, f: Tensor) -> Tensor:
        tokens = f.flatten(3).transpose(2, 3)  # (B, T, H * W, 49)
        found = linear(self.out, self.attention(tokens.flatten(0, 1)))  # (B * T, H * W, 1)
        return found.reshape(*f.shape[:2], 1, *f.shape[3:])  # (B, T, 1, H, W)


class PlaceConvolution(nn.Module):
    """Map the surroundings of each place to one channel, as the authors' code does in the place of attention.

    Shape:
        ``(B, T, 49, H, W)`` -> ``(B, T, 1, H, W)``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(FREQUENCIES, 1, SIZE, padding=SIZE // 2, padding_mode="replicate")

    def forward(self, f: Tensor) -> Tensor:
        found: Tensor = self.conv(f.flatten(0, 1).to(self.conv.weight.dtype))  # (B * T, 1, H, W)
        return found.view(*f.shape[:2], 1, *f.shape[3:]).to(f.dtype)  # (B, T, 1, H, W)


def column(per_frequency: Tensor) -> Tensor:
    """Bring ``(49,)`` beside ``(B, T, 49, H, W)``."""
    return per_frequency[:, None, None]


def check_attention(attention: str) -> None:
    """Refuse another attention over places than there is.

    Raises:
        ValueError: with its name.
    """
    if attention not in ("self", "conv"):
        raise ValueError(f'attention {attention!r} is not known; give "self" or "conv"')
