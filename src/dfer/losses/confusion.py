"""Confusion-aware loss (CAL): the true class against those that come closest to it."""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfer.types import Batch, Output

Reduction = Literal["none", "mean", "sum"]


def confusion_aware(logits: Tensor, label: Tensor, top_k: int = 1, reduction: Reduction = "none") -> Tensor:
    """Ask the true class's logit to beat the highest of the others: ``softplus(l_m - l_y)``.

    Paper: SAFE, Eq. 6; Table V for ``top_k > 1``: ``log(1 + sum_m exp(l_m - l_y))`` over the k highest others. With k
    = K - 1 it is cross-entropy. In float32, or float64, whatever comes in.

    Shape:
        logits ``(B, K)``, label ``(B,)`` -> ``(B,)``, or a scalar with ``reduction`` mean or sum.

    Raises:
        ValueError: ``top_k`` below 1 or not below the number of classes; another reduction.

    Example:
        >>> confusion_aware(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([0]))
        tensor([0.3133])
    """
    classes = logits.shape[1]
    check_top_k(top_k, classes)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"reduction {reduction!r} is none of none, mean, sum")
    logits = logits if logits.dtype == torch.float64 else logits.float()
    target = F.one_hot(label, classes).bool()  # (B, K)
    others = logits[~target].view(len(label), classes - 1)  # (B, K - 1)
    ahead = others.topk(top_k, dim=1).values - logits[target].view(-1, 1)  # (B, k)
    loss = F.softplus(ahead.logsumexp(dim=1))  # (B,)
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()


class ConfusionAware(nn.Module):
    """Confusion-aware loss of the trainer; see `confusion_aware`.

    Raises:
        ValueError: ``top_k`` below 1; at the first batch, not below the number of classes.
    """

    def __init__(self, top_k: int = 1) -> None:
        super().__init__()
        check_top_k(top_k)
        self.top_k = top_k

    def bind(self, train_dataset: Any) -> None:
        """Refuse a ``top_k`` that the training set has not the classes for."""
        check_top_k(self.top_k, len(train_dataset.class_counts))

    def forward(self, output: Output, batch: Batch) -> Tensor:
        return (confusion_aware(output.logits, batch.label, self.top_k) * batch.weight).mean()


def check_top_k(top_k: int, classes: int | None = None) -> None:
    """Refuse a number of rivals that there are not.

    Raises:
        ValueError: with the values.
    """
    if not (isinstance(top_k, int) and top_k >= 1):
        raise ValueError(f"top_k {top_k} leaves no class to compare with; give 1 or more")
    if classes is not None and top_k >= classes:
        raise ValueError(f"top_k {top_k} of {classes} classes; there are {classes - 1} besides the true one")
