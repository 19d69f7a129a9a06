"""Optimisers that are not torch's."""

from dfer.optim.sam import SAM, frozen_statistics

__all__ = ["SAM", "frozen_statistics"]
