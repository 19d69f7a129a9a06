"""Cross-entropy with weights per sample."""

from torch import Tensor, nn
from torch.nn import functional as F

from dfer.types import Batch, Output


def cross_entropy(logits: Tensor, label: Tensor, label_smoothing: float = 0.0, weight: Tensor | None = None) -> Tensor:
    """Average the negative log-probability of the labels: ``sum(w_i L_i) / B``.

    Unlike torch's mean, the weights do not divide: a clip of weight 0 counts as a clip with no loss. In float32
    whatever comes in.

    Shape:
        logits ``(B, K)``, label ``(B,)``, weight ``(B,)`` -> scalar.

    Example:
        >>> import torch
        >>> cross_entropy(torch.zeros(2, 7), torch.tensor([0, 6]), weight=torch.tensor([1.0, 0.0]))
        tensor(0.9730)
    """
    loss = F.cross_entropy(logits.float(), label, reduction="none", label_smoothing=label_smoothing)  # (B,)
    return (loss if weight is None else loss * weight).mean()


class CrossEntropy(nn.Module):
    """Cross-entropy as a loss of the trainer; see `cross_entropy`."""

    include_ce = True
    """Says to `WeightedSum` that this part counts cross-entropy."""

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing {label_smoothing} is not in [0, 1)")
        self.label_smoothing = label_smoothing

    def forward(self, output: Output, batch: Batch) -> Tensor:
        return cross_entropy(output.logits, batch.label, self.label_smoothing, batch.weight)
