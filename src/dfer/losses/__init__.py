"""Losses: a pure function for the maths, a thin class ``forward(output, batch)`` for the trainer."""

from dfer.losses.cross_entropy import CrossEntropy, cross_entropy
from dfer.losses.weighted_sum import WeightedSum

__all__ = ["CrossEntropy", "WeightedSum", "cross_entropy"]
