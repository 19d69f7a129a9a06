"""Ambiguity-aware calibration loss (ACL): cross-entropy, confusion weighted by doubt and rarity, contrast."""

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from dfer.losses.confusion import check_top_k, confusion_aware
from dfer.losses.cross_entropy import cross_entropy
from dfer.losses.supcon import check_temperature, supcon
from dfer.types import Batch, Output

log = logging.getLogger("dfer")


def class_factor(class_counts: ArrayLike) -> NDArray[np.float64]:
    """Weigh classes by their rarity: ``N / (K n_k)``, 0 for a class without a training clip.

    Paper: SAFE, Eq. 7.

    Shape:
        ``(K,)`` -> ``(K,)``.

    Raises:
        ValueError: counts that are negative, not finite or all zero.

    Example:
        >>> class_factor([60, 30, 0])
        array([0.5, 1. , 0. ])
    """
    counts = np.asarray(class_counts, dtype=np.float64)
    if counts.ndim != 1 or not (np.isfinite(counts).all() and (counts >= 0).all() and counts.sum() > 0):
        raise ValueError(f"class_counts {counts.tolist()}; give one count per class, not negative, not all zero")
    return np.where(counts > 0, counts.sum() / (len(counts) * np.maximum(counts, 1e-12)), 0.0)


def ambiguity_aware(
    logits: Tensor,
    label: Tensor,
    factor: Tensor,
    alpha: Tensor,
    top_k: int = 1,
    weight: Tensor | None = None,
) -> Tensor:
    """Weigh each clip's confusion by how unsure it is and how rare its class: ``L sqrt((a1 f_MA^2 + a2 f_CB^2) / 2)``.

    Paper: SAFE, Eq. 7-8, with the confusion taken out of the root. Unlike the paper, no gradient flows through
    ``f_MA = 1 - p_y``: doubt weighs the loss and is no way to lower it. Weighted: ``sum(w_i L_i) / B``.

    Args:
        factor: ``f_CB`` of each class, `class_factor`.
        alpha: ``(2,)``, of doubt and of rarity.

    Shape:
        logits ``(B, K)``, label ``(B,)``, factor ``(K,)``, alpha ``(2,)``, weight ``(B,)`` -> scalar.

    Raises:
        ValueError: as `confusion_aware`; factors of another number of classes.

    Example:
        >>> ambiguity_aware(torch.zeros(1, 2), torch.tensor([0]), torch.ones(2), torch.ones(2))
        tensor(0.5480)
    """
    check_classes(len(factor), logits.shape[1])
    confusion = confusion_aware(logits, label, top_k)  # (B,)
    logits = logits.detach().to(confusion.dtype)
    doubt = 1 - logits.softmax(dim=1).gather(1, label[:, None]).squeeze(1)  # (B,)
    rarity = factor.to(confusion.dtype)[label]  # (B,)
    radicand = (alpha[0] * doubt.square() + alpha[1] * rarity.square()) / 2
    loss = confusion * radicand.clamp(min=1e-12).sqrt()
    return (loss if weight is None else loss * weight).mean()


class AmbiguityCalibrationLoss(nn.Module):
    """Add to cross-entropy a loss of confusion and one of contrast: ``CE + 0.05 L_A + 0.001 L_C``.

    Paper: SAFE, Eq. 10. Where the paper is silent: its two learnable factors are ``alpha = 0.5 + softmax(theta)``,
    theta zero at the start and without weight decay, so each stays within (0.5, 1.5) and their sum is 2; left free,
    they run to whichever factor is smaller, and class balancing switches itself off.

    Args:
        class_counts: training clips per class. None: taken from the training set by ``bind``; without either, classes
            count as balanced, and the log says so.
        logit_weight, feature_weight: of ``L_A`` (`ambiguity_aware`) and ``L_C`` (`supcon`); 0 leaves a term out.
        label_smoothing: of the cross-entropy.
        include_ce: whether cross-entropy is part of it; `WeightedSum` allows one such part.

    Shape:
        `Output`, `Batch` -> scalar.

    Raises:
        ValueError: an argument out of range; counts of another number of classes than the logits.

    Example:
        >>> loss = AmbiguityCalibrationLoss(class_counts=[60, 30, 30])
        >>> batch = Batch(torch.zeros(2, 3, 1, 1, 1), torch.tensor([0, 1]), torch.arange(2), torch.ones(2))
        >>> loss(Output(torch.zeros(2, 3), torch.ones(2, 4)), batch)
        tensor(1.1284, grad_fn=<AddBackward0>)
    """

    factor: Tensor | None

    def __init__(
        self,
        class_counts: Sequence[float] | None = None,
        logit_weight: float = 0.05,
        feature_weight: float = 0.001,
        temperature: float = 0.07,
        top_k: int = 1,
        label_smoothing: float = 0.0,
        include_ce: bool = True,
    ) -> None:
        super().__init__()
        for name, value in (("logit_weight", logit_weight), ("feature_weight", feature_weight)):
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} {value} must be finite and not negative; 0 leaves the term out")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing {label_smoothing} is not in [0, 1)")
        check_temperature(temperature)
        counts = None if class_counts is None else torch.from_numpy(class_factor(class_counts)).float()
        check_top_k(top_k, None if counts is None else len(counts))
        self.logit_weight = logit_weight
        self.feature_weight = feature_weight
        self.temperature = temperature
        self.top_k = top_k
        self.label_smoothing = label_smoothing
        self.include_ce = include_ce
        # without its term theta would get no gradient, which data-parallel training does not forgive
        self.theta = nn.Parameter(torch.zeros(2), requires_grad=logit_weight > 0)
        self.given = class_counts is not None
        self.register_buffer("factor", counts, persistent=False)  # belongs to the data, not to what was learned

    @property
    def alpha(self) -> Tensor:
        """The factors of doubt and of rarity, ``(2,)``."""
        return 0.5 + self.theta.softmax(dim=0)

    def bind(self, train_dataset: Any) -> None:
        """Take the class counts from the training set, unless they were given.

        Raises:
            ValueError: given counts, or a ``top_k``, that do not fit the training set's classes.
        """
        counts = np.asarray(train_dataset.class_counts)
        check_top_k(self.top_k, len(counts))
        if self.given and self.factor is not None:
            check_classes(len(self.factor), len(counts))
            return
        self.factor = torch.from_numpy(class_factor(counts)).float().to(self.theta.device)
        if absent := [name for name, count in zip(train_dataset.labels, counts) if count == 0]:
            log.warning("no training clip shows %s; its factor of rarity is 0", ", ".join(absent))

    def forward(self, output: Output, batch: Batch) -> Tensor:
        logits, label = output.logits, batch.label
        loss = torch.zeros((), device=logits.device)
        if self.include_ce:
            loss = loss + cross_entropy(logits, label, self.label_smoothing, batch.weight)
        if self.logit_weight:
            factor = self._factor(logits)
            of_logits = ambiguity_aware(logits, label, factor, self.alpha, self.top_k, batch.weight)
            loss = loss + self.logit_weight * of_logits
        if self.feature_weight:
            loss = loss + self.feature_weight * supcon(output.embedding, label, self.temperature, batch.weight)
        return loss

    def _factor(self, logits: Tensor) -> Tensor:
        if self.factor is None:
            log.warning("class counts unknown: classes count as balanced; give class_counts, or call bind(train_set)")
            self.factor = torch.ones(logits.shape[1], device=logits.device)
        return self.factor


def check_classes(counted: int, classes: int) -> None:
    """Refuse class counts that are not one for each class.

    Raises:
        ValueError: with both numbers.
    """
    if counted != classes:
        raise ValueError(f"class_counts of {counted} classes where there are {classes}; give one count per class")
