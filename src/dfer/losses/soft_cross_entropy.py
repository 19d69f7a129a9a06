"""Cross-entropy against what the annotators voted."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfer.errors import InputError
from dfer.losses.cross_entropy import cross_entropy
from dfer.types import Batch, Output


def soft_cross_entropy(
    logits: Tensor, label: Tensor, votes: Tensor, strength: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """Average the cross-entropy against shares of votes, mixed with the label: ``sum(w_i L_i) / B``.

    The target is ``strength`` times the votes plus the rest times the label's one-hot row. At strength 0 it is
    `cross_entropy`. In float32 whatever comes in.

    Args:
        votes: each clip's share of votes of every class.

    Shape:
        logits ``(B, K)``, label ``(B,)``, votes ``(B, K)``, rows sum to 1, weight ``(B,)`` -> scalar.

    Example:
        >>> logits, votes = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.7, 0.3]])
        >>> soft_cross_entropy(logits, torch.tensor([0]), votes)
        tensor(0.7269)
        >>> soft_cross_entropy(logits, torch.tensor([0]), votes, strength=0.0)
        tensor(0.1269)
    """
    one_hot = F.one_hot(label, logits.shape[1]).float()  # (B, K)
    target = strength * votes.float() + (1 - strength) * one_hot
    loss = F.cross_entropy(logits.float(), target, reduction="none")  # (B,)
    return (loss if weight is None else loss * weight).mean()


class SoftCrossEntropy(nn.Module):
    """Cross-entropy against the votes on the training clips; see `soft_cross_entropy`.

    A clip's votes are looked up by its row in the training set, so the loss takes a data set whose ``soft_labels()``
    are known, such as DFEW with its ``annotation.xlsx``. In evaluation it is plain cross-entropy: rows may be those of
    another set there, and losses of several recipes can be compared.

    Args:
        strength: how much of the target the votes are, 0 to 1; the label is the rest.

    Shape:
        `Output`, `Batch` -> scalar.

    Raises:
        ValueError: a strength that is not between 0 and 1; training without ``bind``; votes on other classes.
    """

    include_ce = True
    """Says to `WeightedSum` that this part counts cross-entropy."""

    def __init__(self, strength: float = 1.0) -> None:
        super().__init__()
        if not 0 <= strength <= 1:
            raise ValueError(f"strength {strength} is not in [0, 1]; 0 is the label alone, 1 the votes alone")
        self.strength = strength
        # Belongs to the data, not to what was learned; a tensor from the start, so that it follows the loss's device.
        self.votes: Tensor
        self.register_buffer("votes", torch.zeros(0, 0), persistent=False)

    def bind(self, train_dataset: Any) -> None:
        """Take the votes on all training clips.

        Raises:
            InputError: the training set knows none.
        """
        shares = train_dataset.soft_labels()
        if shares is None:
            raise InputError(
                f"this copy of {type(train_dataset).__name__} has no votes, which SoftCrossEntropy learns from; DFEW's "
                "are in its Annotation/annotation.xlsx: put that there, or take dfer.losses.CrossEntropy"
            )
        self.votes = torch.as_tensor(shares, dtype=torch.float32, device=self.votes.device)

    def forward(self, output: Output, batch: Batch) -> Tensor:
        if not self.training:
            return cross_entropy(output.logits, batch.label, weight=batch.weight)
        if not len(self.votes):
            raise ValueError("SoftCrossEntropy knows no votes; call bind(train_set) before training")
        if self.votes.shape[1] != output.logits.shape[1]:
            raise ValueError(f"votes on {self.votes.shape[1]} classes where the logits have {output.logits.shape[1]}")
        votes = self.votes[batch.row]  # (B, K)
        return soft_cross_entropy(output.logits, batch.label, votes, self.strength, batch.weight)
