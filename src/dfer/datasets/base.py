"""The base of every data set: a table of clips, and one way from a row to a sample."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from dfer.datasets.survey import Survey
from dfer.errors import InputError
from dfer.transforms.corrupt import Corruption
from dfer.transforms.presets import ClipTransform, Frame
from dfer.types import Sample

Key = int | tuple[int, ...]
"""A row, or ``(epoch, row)``, or ``(epoch, row, repeat)`` under sampling with replacement."""


class FrameSource(Protocol):
    """Where the frames of clips come from: files, a packed copy of them, or a drawing."""

    def frame_count(self, row: int) -> int:
        """Count the frames of a clip."""
        ...

    def read(self, row: int, wanted: NDArray[np.int64], size: int | None = None) -> Sequence[Frame]:
        """Decode the wanted frames of a clip, in the order asked for.

        Args:
            size: a smaller copy of the frames will do if its sides are at least this long; None: as they are.
        """
        ...


class ClipDataset(Dataset[Sample]):
    """Clips with a label each; a clip's augmentation depends on ``(seed, epoch, row)`` alone.

    Args:
        source: the frames of every row.
        labels: class names; ``targets`` index them.
        targets: ``(N,)`` int64.
        clip_ids: ``N`` names, unique within the data set and stable across machines.
        description: what ``datasets.build`` needs to make this data set again (plain JSON).
        groups: ``(N,)``, each row's subject or identity, None where unknown.
    """

    MEDIA: Mapping[str, str] = {}
    """Kinds of files that the data set comes in, and where each lies."""

    def __init__(
        self,
        source: FrameSource,
        labels: Sequence[str],
        targets: NDArray[np.int64],
        clip_ids: Sequence[str],
        transform: ClipTransform,
        description: Mapping[str, Any],
        seed: int = 0,
        groups: NDArray[np.str_] | None = None,
    ) -> None:
        self.source = source
        self.labels = tuple(labels)
        self.targets = targets
        self.clip_ids = clip_ids
        self.transform = transform
        self.description = dict(description)
        self.seed = seed
        self.corruption: Corruption | None = None
        self._groups = groups

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, key: Key) -> Sample:
        epoch, row, *repeat = key if isinstance(key, tuple) else (0, key)
        rng = np.random.default_rng([self.seed, epoch, row, *repeat])
        size = self.transform.needed_size
        clip = self.transform(self.frame_count(row), lambda wanted: self.source.read(row, wanted, size), rng)
        if self.corruption is not None:
            clip = self.corruption(clip, self.clip_id(row))
        return Sample(clip, int(self.targets[row]), row)

    def frame_count(self, row: int) -> int:
        """Count the frames of a clip as they are on disk."""
        return self.source.frame_count(row)

    def read(self, row: int, wanted: NDArray[np.int64]) -> Sequence[Frame]:
        """Decode the wanted frames of a clip as they are, in the order asked for."""
        return self.source.read(row, wanted)

    def reads(self) -> str | None:
        """Say in a few words what frames are read from for this transform, None where they are drawn."""
        tell = getattr(self.source, "reads", None)
        return tell(self.transform.needed_size) if tell else None

    def clip_id(self, row: int) -> str:
        """Name the clip of a row."""
        return str(self.clip_ids[row])

    @property
    def class_counts(self) -> NDArray[np.int64]:
        """Clips per class, ``(K,)``."""
        return np.bincount(self.targets, minlength=len(self.labels))

    def groups(self) -> NDArray[np.str_] | None:
        """Name each row's subject or identity, ``(N,)``, None where unknown: splits keep a group together."""
        return self._groups

    def soft_labels(self) -> NDArray[np.float32] | None:
        """Share each clip's annotators out among the classes, ``(N, K)``, rows sum to 1; None where unknown."""
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

    @classmethod
    def media_in(cls, root: Path) -> tuple[str, ...]:
        """Name the kinds of media that a copy holds, the usual one where it holds none."""
        there = tuple(kind for kind, place in cls.MEDIA.items() if (root / place).is_dir())
        return there or tuple(cls.MEDIA)[:1]

    @classmethod
    def survey(cls, root: Path, media: str | None = None) -> Survey:
        """List everything that a copy of the data set holds, whatever is wrong with it.

        Args:
            media: a kind of media; the first that is there unless given.

        Raises:
            InputError: nothing of the data set is there, or it is drawn and has no files.
        """
        raise InputError(f"{cls.__name__} has no files; give the name of a data set that lies on disk")


def describe(
    name: str, places: Mapping[str, Path | str | bool | None], **arguments: float | str | None
) -> dict[str, Any]:
    """Say how a data set was made, so that `datasets.build` can make it again from anywhere.

    Args:
        places: arguments that are paths, or may be.
    """
    whole = {key: str(Path(at).absolute()) if isinstance(at, Path | str) else at for key, at in places.items()}
    return {"class": name, "args": {**whole, **arguments}}
