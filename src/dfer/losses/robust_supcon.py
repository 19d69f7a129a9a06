"""Supervised contrastive loss that weighs its negatives, with a bottleneck on the spread of the embeddings."""

import math
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from dfer.losses.supcon import check_temperature, contrast, unit_length

Kernel = Literal["tempered", "cosine", "none"]


class RobustTerms(NamedTuple):
    """The two terms of the loss, and the similarities that they were made of.

    Shape:
        contrast and trace scalars, cosine ``(B, B)``.
    """

    contrast: Tensor
    trace: Tensor
    cosine: Tensor


def log_negative_weight(
    cosine: Tensor, temperature: float = 0.07, eta: float = 0.2, kernel_on: Kernel = "tempered"
) -> Tensor:
    """Weigh negatives by a Gaussian around the similarity ``eta``: ``log w = -(s - eta)^2 / (2 eta^2)``.

    Paper: HDF, Sec. 4.2.1, the text before Eq. 13, where ``s`` is the cosine over the temperature. The width is as good
    as the centre, so with the paper's constants only a cosine between about -0.03 and 0.06 has a weight above 0.01.

    Args:
        kernel_on: what ``s`` is: ``tempered``, as in the paper; ``cosine``, without the temperature; with ``none`` all
            weights are 1.

    Shape:
        any -> the same.

    Raises:
        ValueError: a temperature or an ``eta`` that is not positive and finite; another kernel.

    Example:
        >>> cosine = torch.tensor([-0.5, 0.0, 0.014, 0.5])
        >>> log_negative_weight(cosine).exp()
        tensor([0.0000, 0.6065, 1.0000, 0.0000])
        >>> log_negative_weight(cosine, kernel_on="cosine").exp()
        tensor([0.0022, 0.6065, 0.6489, 0.3247])
    """
    check_temperature(temperature)
    check_kernel(eta, kernel_on)
    if kernel_on == "none":
        return torch.zeros_like(cosine)
    width = eta * temperature if kernel_on == "tempered" else eta
    return -0.5 * (cosine / width - 1).square()


def robust_supcon(
    embedding: Tensor,
    label: Tensor,
    temperature: float = 0.07,
    eta: float = 0.2,
    ib_weight: float = 0.1,
    detach_weights: bool = True,
    kernel_on: Kernel = "tempered",
    weight: Tensor | None = None,
) -> Tensor:
    """Pull clips of a class together, push weighted negatives away, and keep the embeddings' total variance low.

    Paper: HDF, Eq. 13-15: ``-1/|P(i)| sum_p (s_ip - log sum_{a != i} w_ia exp(s_ia))``, averaged over anchors, plus
    ``ib_weight`` times the trace of the covariance (biased) of the embeddings at length 1. Where the paper is silent:
    positives have weight 1, ``ib_weight`` is 0.1, and no gradient flows through the weights unless ``detach_weights``
    is False: they are an adversary in closed form, and no way to lower the loss. Anchors with no positive in the batch
    are left out of the mean; without any, the first term is 0 and the trace stays. ``kernel_on="none"`` with
    ``ib_weight=0`` is `supcon`. Computed in log space, in float32 or float64.

    Two things to know. With the paper's constants nearly every negative has a weight of about 0, as
    `log_negative_weight` shows. And collapse, all embeddings equal, minimises the trace; with those constants it
    minimises the first term too, since no anchor's loss is below ``log |P(i)|``, which is what collapse gives where
    negatives weigh nothing. Only cross-entropy beside it speaks against collapse, so watch the cosine between classes.

    Args:
        ib_weight: of the trace; 0 leaves it out.
        detach_weights: whether the weights are constants for the gradient.
        kernel_on: what similarity the weights look at, `log_negative_weight`.
        weight: ``(B,)``, one for each clip; None is 1 for all. The first term is ``sum(w_i L_i)`` over the number of
            anchors with a positive; a clip of weight 0 is no anchor, no positive, no negative, and is not in the
            covariance, where the others count alike.

    Shape:
        embedding ``(B, D)`` of any scale, label ``(B,)`` -> scalar.

    Raises:
        ValueError: a temperature or ``eta`` that is not positive and finite, a negative ``ib_weight``, another kernel.

    Example:
        >>> z, label = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]), torch.tensor([0, 0, 1])
        >>> robust_supcon(z, label, temperature=1.0)
        tensor(0.2086)
        >>> robust_supcon(z, label, temperature=1.0, ib_weight=0.0, kernel_on="none")
        tensor(0.4846)
    """
    check_ib_weight(ib_weight)
    terms = robust_terms(embedding, label, temperature, eta, detach_weights, kernel_on, weight)
    return terms.contrast + ib_weight * terms.trace


def robust_terms(
    embedding: Tensor,
    label: Tensor,
    temperature: float = 0.07,
    eta: float = 0.2,
    detach_weights: bool = True,
    kernel_on: Kernel = "tempered",
    weight: Tensor | None = None,
) -> RobustTerms:
    """Compute the terms of `robust_supcon` one by one: Eq. 13, averaged, and the trace of Eq. 14."""
    check_temperature(temperature)
    check_kernel(eta, kernel_on)
    with torch.autocast(embedding.device.type, enabled=False):
        z = unit_length(embedding)
        cosine = z @ z.T  # (B, B)
        similarity = cosine / temperature
        if kernel_on != "none":
            seen = cosine.detach() if detach_weights else cosine
            log_weight = log_negative_weight(seen, temperature, eta, kernel_on)
            similarity = similarity + log_weight.masked_fill(label[:, None] == label[None, :], 0.0)
        return RobustTerms(contrast(similarity, label, weight), total_variance(z, weight), cosine)


def total_variance(z: Tensor, weight: Tensor | None = None) -> Tensor:
    """Sum the variances (biased) of all dimensions, the trace of the covariance, over clips whose weight is not 0.

    Shape:
        z ``(B, D)``, weight ``(B,)`` -> scalar.

    Example:
        >>> total_variance(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        tensor(0.5000)
    """
    if weight is None:
        return z.var(dim=0, correction=0).sum()
    there = (weight != 0).to(z.dtype)
    share = there / there.sum().clamp(min=1)  # (B,)
    return share @ (z - share @ z).square().sum(dim=1)


def check_kernel(eta: float, kernel_on: str) -> None:
    """Refuse a width that is not positive, and a kernel that there is not.

    Raises:
        ValueError: with the value.
    """
    if not 0 < eta < math.inf:
        raise ValueError(f"eta {eta} is not positive and finite; the paper takes 0.2")
    if kernel_on not in get_args(Kernel):
        raise ValueError(f"kernel_on {kernel_on!r} is none of {', '.join(get_args(Kernel))}")


def check_ib_weight(ib_weight: float) -> None:
    """Refuse a weight of the trace that would reward spread.

    Raises:
        ValueError: with the value.
    """
    if not 0 <= ib_weight < math.inf:
        raise ValueError(f"ib_weight {ib_weight} must be finite and not negative; 0 leaves the trace out")
