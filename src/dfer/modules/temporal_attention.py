"""The temporal branch of DAM."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.linalg import vector_norm


class TemporalAttention(nn.Module):
    """Give a gate for each frame from how far it is from the clip's mean and from the frame before: eq. 9-10.

    Eq. 9, ``TA = sigmoid(gamma (alpha A_avg + beta A_max) + delta W_global - D_local)``, has a column for each frame;
    so average and maximum of a frame are pooled into T bins of channels. ``W_global`` is the distance of a frame's
    averages from their mean over frames, ``D_local`` that from the frame before, 0 for the first. ``alpha`` and
    ``beta`` (0.5 at the start) are scalars, ``gamma`` (1) and ``delta`` (0) of shape ``(T, T)``; all are learnt.

    Then ``TA`` plus one head of self-attention between its rows: rows are nearly equal at the start, and attention
    alone would average their differences away. The gate is the sigmoid of the mean over columns.

    Paper: HDF, Sec. 4.1.2, eq. 9-10.

    Shape:
        ``(B, channels, frames, H, W)`` -> ``(B, 1, frames, 1, 1)``, in (0, 1).

    Raises:
        ValueError: fewer channels than frames.

    Example:
        >>> TemporalAttention(channels=32, frames=16)(torch.randn(2, 32, 16, 5, 5)).shape
        torch.Size([2, 1, 16, 1, 1])
    """

    bins: Tensor
    inside: Tensor

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__()
        if channels < frames:
            raise ValueError(
                f"channels {channels} for {frames} frames: temporal attention needs at least one for each frame; "
                "give it a later stage, or switch it off"
            )
        bins, inside = channel_bins(channels, frames)
        self.register_buffer("bins", bins, persistent=False)
        self.register_buffer("inside", inside, persistent=False)
        self.alpha = nn.Parameter(torch.tensor(0.5))
        self.beta = nn.Parameter(torch.tensor(0.5))
        self.gamma = nn.Parameter(torch.ones(frames, frames))
        self.delta = nn.Parameter(torch.zeros(frames, frames))
        self.attention = Attention(frames)

    def forward(self, x: Tensor) -> Tensor:
        average, largest = self.pool(x)
        rows = self.compare(average, largest)
        gate = torch.sigmoid((rows + self.attention(rows)).mean(2))  # (B, T)
        return gate[:, None, :, None, None]  # (B, 1, T, 1, 1)

    def pool(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pool each frame into T bins of channels, over space first: ``(B, T, T)`` twice, rows frames."""
        averages = x.mean((3, 4)).transpose(1, 2)[:, :, self.bins]  # (B, T, T, width)
        largest = x.amax((3, 4)).transpose(1, 2)[:, :, self.bins]  # (B, T, T, width)
        return (averages * self.inside).sum(3) / self.inside.sum(1), largest.amax(3)

    def compare(self, average: Tensor, largest: Tensor) -> Tensor:
        """Weigh each frame by how it differs from the others: eq. 9."""
        far = vector_norm(average - average.mean(1, keepdim=True), dim=2, keepdim=True)  # (B, T, 1)
        step = F.pad(vector_norm(average.diff(dim=1), dim=2, keepdim=True), (0, 0, 1, 0))  # (B, T, 1)
        pooled = self.gamma * (self.alpha * average + self.beta * largest)
        return torch.sigmoid(pooled + self.delta * far - step)  # (B, T, T)


def channel_bins(channels: int, bins: int) -> tuple[Tensor, Tensor]:
    """List the channels of each bin of torch's adaptive pooling, which ONNX does not know.

    Shape:
        -> channels ``(bins, width)``, where narrow bins repeat their last one; which of them are no repetition.

    Example:
        >>> index, inside = channel_bins(5, 3)
        >>> index.tolist(), inside.sum(1).tolist()
        ([[0, 1, 1], [1, 2, 3], [3, 4, 4]], [2, 3, 2])
    """
    spans = [range(k * channels // bins, -((k + 1) * channels // -bins)) for k in range(bins)]
    place = range(max(map(len, spans)))
    index = [[span[min(i, len(span) - 1)] for i in place] for span in spans]
    return torch.tensor(index), torch.tensor([[i < len(span) for i in place] for span in spans])


class Attention(nn.Module):
    """Let tokens attend to each other: one head, no output layer.

    Shape:
        ``(N, L, features)`` -> the same.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(features, 3 * features)

    def forward(self, tokens: Tensor) -> Tensor:
        q, k, v = linear(self.qkv, tokens).unsqueeze(1).chunk(3, dim=3)  # (N, 1, L, D) each
        return F.scaled_dot_product_attention(q, k, v).squeeze(1)


def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """Apply a layer in the type of its input: its weights may be in another one."""
    return F.linear(x, layer.weight.to(x.dtype), layer.bias.to(x.dtype))
