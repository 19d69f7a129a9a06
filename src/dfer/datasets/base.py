"""The base of every data set: a table of clips, and one way from a row to a sample."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from dfer.transforms.corrupt import Corruption
from dfer.transforms.presets import ClipTransform, Frame
from dfer.types import Sample

Key = int | tuple[int, ...]
"""A row, or ``(epoch, row)``, or ``(epoch, row, repeat)`` under sampling with replacement."""


class ClipDataset(Dataset[Sample], ABC):
    """Clips with a label each; a clip's augmentation depends on ``(seed, epoch, row)`` alone.

    Args:
        labels: class names; ``targets`` index them.
        targets: ``(N,)`` int64.
        clip_ids: ``N`` names, unique within the data set and stable across machines.
        description: what ``datasets.build`` needs to make this data set again (plain JSON).
    """

    def __init__(
        self,
        labels: Sequence[str],
        targets: NDArray[np.int64],
        clip_ids: Sequence[str],
        transform: ClipTransform,
        description: Mapping[str, Any],
        seed: int = 0,
    ) -> None:
        self.labels = tuple(labels)
        self.targets = targets
        self.clip_ids = clip_ids
        self.transform = transform
        self.description = dict(description)
        self.seed = seed
        self.corruption: Corruption | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, key: Key) -> Sample:
        epoch, row, *repeat = key if isinstance(key, tuple) else (0, key)
        rng = np.random.default_rng([self.seed, epoch, row, *repeat])
        clip = self.transform(self.frame_count(row), lambda wanted: self.read(row, wanted), rng)
        if self.corruption is not None:
            clip = self.corruption(clip, self.clip_id(row))
        return Sample(clip, int(self.targets[row]), row)

    @abstractmethod
    def frame_count(self, row: int) -> int:
        """Count the frames of a clip as they are on disk."""

    @abstractmethod
    def read(self, row: int, wanted: NDArray[np.int64]) -> Sequence[Frame]:
        """Decode the wanted frames of a clip, in the order asked for."""

    def clip_id(self, row: int) -> str:
        """Name the clip of a row."""
        return str(self.clip_ids[row])

    @property
    def class_counts(self) -> NDArray[np.int64]:
        """Clips per class, ``(K,)``."""
        return np.bincount(self.targets, minlength=len(self.labels))

    def groups(self) -> NDArray[np.str_] | None:
        """Name each row's subject or identity, ``(N,)``, None where unknown: splits keep a group together."""
        return None

    def with_transform(self, transform: ClipTransform) -> Self:
        """Give the same clips another transform."""
        other = copy.copy(self)
        other.transform = transform
        return other

    def with_corruption(self, corruption: Corruption) -> Self:
        """Give the same clips, damaged after their transform."""
        other = copy.copy(self)
        other.corruption = corruption
        return other
