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
        ``(B, C, T, H, W)``, ``C >= T`` -> ``(B, 1, T, 1, 1)``, in (0, 1).

    Example:
        >>> TemporalAttention(frames=16)(torch.randn(2, 32, 16, 5, 5)).shape
        torch.Size([2, 1, 16, 1, 1])
    """

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.frames = frames
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
        average = F.adaptive_avg_pool1d(x.mean((3, 4)).transpose(1, 2), self.frames)
        largest = F.adaptive_max_pool1d(x.amax((3, 4)).transpose(1, 2), self.frames)
        return average, largest

    def compare(self, average: Tensor, largest: Tensor) -> Tensor:
        """Weigh each frame by how it differs from the others: eq. 9."""
        far = vector_norm(average - average.mean(1, keepdim=True), dim=2, keepdim=True)  # (B, T, 1)
        step = F.pad(vector_norm(average.diff(dim=1), dim=2, keepdim=True), (0, 0, 1, 0))  # (B, T, 1)
        pooled = self.gamma * (self.alpha * average + self.beta * largest)
        return torch.sigmoid(pooled + self.delta * far - step)  # (B, T, T)


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
