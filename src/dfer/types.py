"""The only vocabulary that all rooms share."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


class Sample(NamedTuple):
    """One clip as a data set hands it out.

    Shape:
        clip ``(T, C, H, W)`` uint8.
    """

    clip: Tensor
    label: int
    row: int


class Batch(NamedTuple):
    """Several clips as a model takes them.

    Shape:
        clip ``(B, C, T, H, W)`` uint8 (float after mixing), label ``(B,)`` int64, row ``(B,)`` int64,
        weight ``(B,)`` float32: ones unless a reweighter set it.
    """

    clip: Tensor
    label: Tensor
    row: Tensor
    weight: Tensor


class Output(NamedTuple):
    """What every model returns.

    Shape:
        logits ``(B, K)``, embedding ``(B, D)`` (before the classifier, not normalised),
        clip_logits ``(B, N, K)`` or None.
    """

    logits: Tensor
    embedding: Tensor
    clip_logits: Tensor | None = None


@dataclass(frozen=True)
class InputSpec:
    """What a model wants to see: frames per clip, their side in pixels, the names of its classes."""

    frames: int
    size: int
    labels: tuple[str, ...]
