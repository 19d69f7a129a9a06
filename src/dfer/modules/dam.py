"""DAM, the Time-Frequency Distributional Attention of HDF."""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfer.modules.frequency_attention import FrequencyAttention, check_attention
from dfer.modules.temporal_attention import TemporalAttention


class DAM(nn.Module):
    """Weigh the places and the frames of a feature by what its frequencies and its course in time say.

    ``x * (l_t (1 + g_t) + l_s (1 + g_s))``: a gate per place from :class:`FrequencyAttention`, one per frame from
    :class:`TemporalAttention`, weighed against each other for each clip by :class:`Fusion`. That is eq. 8, 10 and 12 in
    one product: no gate is repeated to the size of the feature. With one branch the output is that branch's alone,
    with none it is the input itself. The gates are computed in float32, also under autocast; ``dam.frequency(x)`` and
    ``dam.temporal(x)`` give them.

    Paper: HDF, Sec. 4.1, eq. 6-12.

    Args:
        frames: of the feature. Without the temporal branch any number may come.
        attention: ``"self"``, the paper's, or ``"conv"``, see :class:`FrequencyAttention`.

    Shape:
        ``(B, channels, frames, H, W)`` -> the same, in the same type.

    Raises:
        ValueError: fewer channels than frames, where the temporal branch is on; an unknown attention; an input of
            another shape.

    Example:
        >>> dam = DAM(channels=32, frames=16)
        >>> dam(torch.randn(2, 32, 16, 5, 5)).shape
        torch.Size([2, 32, 16, 5, 5])
    """

    def __init__(
        self, channels: int, frames: int, frequency: bool = True, temporal: bool = True, attention: str = "self"
    ) -> None:
        super().__init__()
        for name, value in (("channels", channels), ("frames", frames)):
            if value < 1:
                raise ValueError(f"{name} {value} must be at least 1")
        check_attention(attention)
        self.channels = channels
        self.frames = frames
        self.frequency = FrequencyAttention(attention) if frequency else None
        self.temporal = TemporalAttention(channels, frames) if temporal else None
        self.fusion = Fusion(channels) if frequency and temporal else None

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        if self.frequency is None and self.temporal is None:
            return x
        with full_precision(x):
            scale = self.scale(x.to(torch.promote_types(x.dtype, torch.float32)))  # broadcasts to (B, 1, T, H, W)
        return x * scale.to(x.dtype)

    def scale(self, x: Tensor) -> Tensor:
        """Give what eq. 8, 10 or 12 multiplies ``x`` with."""
        scales: list[Tensor] = [1 + branch(x) for branch in (self.temporal, self.frequency) if branch is not None]
        if self.fusion is None:
            return scales[0]
        of_frame, of_place = scales
        l_t, l_s = self.fusion(x, of_frame, of_place)
        fused: Tensor = l_t * of_frame + l_s * of_place
        return fused

    def check(self, x: Tensor) -> None:
        """Refuse a feature of another shape."""
        frames = self.frames if self.temporal else "T"
        wanted = f"(B, {self.channels}, {frames}, H, W)"
        if x.ndim != 5 or x.shape[1] != self.channels or (self.temporal and x.shape[2] != self.frames):
            raise ValueError(f"feature has the shape {list(x.shape)}; give {wanted}, as this DAM was built for")

    def extra_repr(self) -> str:
        return f"{self.channels}, {self.frames}"


class Fusion(nn.Module):
    """Say for each clip what the temporal and what the frequency branch counts: eq. 11.

    ``a_t = W_t GAP(x_t) + b_t``, ``a_s`` likewise, and ``softmax(logsigmoid(a_t), logsigmoid(a_s))``: the two sigmoids
    of eq. 11 divided by their sum, without 0 / 0. Both count one half at the start. As all is linear, ``W`` comes
    before the gates and the pooling: neither ``x_t`` nor ``x_s`` is made.

    Paper: HDF, Sec. 4.1.3, eq. 11.

    Shape:
        feature ``(B, C, T, H, W)``, scales that broadcast to ``(B, 1, T, H, W)`` -> two times ``(B, 1, 1, 1, 1)``.

    Example:
        >>> l_t, l_s = Fusion(32)(torch.randn(1, 32, 16, 5, 5), torch.tensor(1.5), torch.tensor(1.2))
        >>> l_t.item(), l_s.item()
        (0.5, 0.5)
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, channels))  # W_t, W_s
        self.bias = nn.Parameter(torch.zeros(2))  # b_t, b_s

    def forward(self, x: Tensor, of_frame: Tensor, of_place: Tensor) -> tuple[Tensor, Tensor]:
        projected = (self.weight.to(x.dtype) @ x.flatten(2)).view(-1, 2, *x.shape[2:])  # (B, 2, T, H, W)
        scaled = [projected[:, 0, None] * of_frame, projected[:, 1, None] * of_place]
        a = torch.stack([one.mean((1, 2, 3, 4)) for one in scaled], dim=1) + self.bias  # (B, 2)
        l_t, l_s = F.logsigmoid(a).softmax(dim=1)[:, :, None, None, None, None].unbind(1)
        return l_t, l_s


def full_precision(x: Tensor) -> AbstractContextManager[object]:
    """Switch autocast off where there is one: the meta device, on which costs are counted, has none."""
    device = x.device.type
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()
