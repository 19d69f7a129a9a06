"""Supervised contrastive loss."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from dfer.types import Batch, Output


def supcon(embedding: Tensor, label: Tensor, temperature: float = 0.07, weight: Tensor | None = None) -> Tensor:
    """Pull embeddings of the same class together and push the rest apart.

    Paper: Khosla et al. 2020, Eq. 2; SAFE, Eq. 9. Unlike the papers, anchors with no positive in the batch are left out
    of the mean; without any, the loss is 0. With weights it is ``sum(w_i L_i)`` over the number of anchors with a
    positive, and a clip of weight 0 is no anchor, no positive and no negative. Computed in float32 or float64.

    Args:
        weight: ``(B,)``, one for each clip; None is 1 for all.

    Shape:
        embedding ``(B, D)`` of any scale, label ``(B,)`` -> scalar.

    Raises:
        ValueError: a temperature that is not positive.

    Example:
        >>> z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> supcon(z, torch.tensor([0, 0, 1]), temperature=1.0)
        tensor(0.3133)
    """
    check_temperature(temperature)
    with torch.autocast(embedding.device.type, enabled=False):
        z = unit_length(embedding)
        similarity = z @ z.T / temperature  # (B, B)
    return contrast(similarity, label, weight)


def unit_length(embedding: Tensor) -> Tensor:
    """Scale each embedding to length 1, in float32, or float64 where it is; zeros stay zeros.

    Shape:
        ``(B, D)`` -> ``(B, D)``.
    """
    return normalize(embedding.double() if embedding.dtype == torch.float64 else embedding.float(), dim=1)


def contrast(similarity: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
    """Average over anchors ``-log softmax`` of their positives, the diagonal left out; see `supcon` for weights.

    Shape:
        similarity ``(B, B)``, one row for each anchor, label ``(B,)``, weight ``(B,)`` -> scalar.
    """
    itself = torch.eye(len(label), dtype=torch.bool, device=label.device)
    counts = ~itself if weight is None else ~itself & (weight != 0)  # (B, B), which others a row looks at
    positive = (label[:, None] == label[None, :]) & counts
    if weight is not None:
        positive = positive & (weight != 0)[:, None]
    finite = torch.finfo(similarity.dtype).min  # -inf: NaN on the way in an all-masked row; anomaly detection stops
    log_prob = similarity.masked_fill(~counts, finite).log_softmax(dim=1).masked_fill(~positive, 0.0)
    number = positive.sum(dim=1)  # (B,)
    loss = -log_prob.sum(dim=1) / number.clamp(min=1)  # (B,)
    if weight is not None:
        loss = loss * weight
    return loss.sum() / (number > 0).sum().clamp(min=1)


class SupCon(nn.Module):
    """Supervised contrastive loss of the trainer; see `supcon`.

    Raises:
        ValueError: a temperature that is not positive.
    """

    def __init__(self, temperature: float = 0.07) -> None:
        super().__init__()
        check_temperature(temperature)
        self.temperature = temperature

    def forward(self, output: Output, batch: Batch) -> Tensor:
        return supcon(output.embedding, batch.label, self.temperature, batch.weight)


def check_temperature(temperature: float) -> None:
    """Refuse a temperature that is not positive.

    Raises:
        ValueError: with the value.
    """
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature {temperature} is not positive and finite; the papers take 0.07")
