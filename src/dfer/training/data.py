"""Which clips a run trains on, chooses an epoch by, and is tested on."""

import inspect
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from dfer.datasets.base import ClipDataset
from dfer.datasets.collate import loader
from dfer.datasets.partners import Partnered, WithPartners, collate_partners
from dfer.datasets.samplers import EpochSampler, held_out_split
from dfer.errors import InputError
from dfer.transforms.mix import ClipMix
from dfer.transforms.presets import EvalTransform, Sampling, TrainTransform
from dfer.types import Batch, InputSpec

log = logging.getLogger("dfer")

DatasetCallable = Callable[[Any, Any], ClipDataset]


class ClipData(pl.LightningDataModule):
    """The clips of a run.

    Protocol ``held-out``: a stratified share of the training clips, subjects kept together, picks one epoch and gives
    the curves; the test clips are read once, at the end. Protocol ``paper``: every training clip trains, and the best
    test epoch is reported, as the field does.

    Args:
        dataset: a data set, called with ``(root, split)``; one that is drawn, with ``(split, size)``.
        root: the data set's folder (or file).
        workers: loader processes, at most one per core; they change no result.
        held_out: share of the training clips under the protocol of that name.
        crop_scale, flip, jitter, sampling: as `dfer.transforms.TrainTransform`.
        weighted: draw classes equally often, with replacement.
    """

    def __init__(
        self,
        dataset: DatasetCallable,
        root: Path | None = None,
        batch_size: int = 32,
        workers: int = 2,
        protocol: Literal["held-out", "paper"] = "held-out",
        held_out: float = 0.1,
        crop_scale: tuple[float, float] = (0.8, 1.0),
        flip: float = 0.5,
        jitter: float = 0.4,
        sampling: Sampling = "segments",
        weighted: bool = False,
    ) -> None:
        super().__init__()
        if batch_size < 1 or workers < 0:
            raise ValueError(f"batch_size {batch_size} must be at least 1, workers {workers} at least 0")
        self.dataset = dataset
        self.root = root
        self.batch_size = batch_size
        self.workers = min(workers, os.cpu_count() or 1)
        self.protocol = protocol
        self.held_out = held_out
        self.crop_scale = crop_scale
        self.flip = flip
        self.jitter = jitter
        self.sampling: Sampling = sampling
        self.weighted = weighted

    @property
    def validation_name(self) -> str:
        """The split that the curves show: ``held_out`` or ``test``."""
        return "test" if self.protocol == "paper" else "held_out"

    def open(self, spec: InputSpec, seed: int, mix: ClipMix | None = None) -> None:
        """Open the data for a model's input and share out the rows.

        Args:
            mix: whether, and for how many clips, partners from the whole training set are to be loaded.

        Raises:
            InputError: missing root, wrong layout, an empty split.
        """
        self.seed = seed
        self.mix = mix
        train = TrainTransform(
            spec.frames,
            spec.size,
            crop_scale=self.crop_scale,
            flip=self.flip,
            jitter=self.jitter,
            sampling=self.sampling,
        )
        whole = EvalTransform(spec.frames, spec.size, sampling=self.sampling)
        self.train_set = self._make("train", spec).with_transform(train)
        self.train_set.seed = seed
        rows = np.arange(len(self.train_set))
        if self.protocol == "paper":
            self.train_rows: NDArray[np.int64] = rows
            self.validation_set = self._make("test", spec).with_transform(whole)
            self.validation_rows: NDArray[np.int64] = np.arange(len(self.validation_set))
        else:
            groups = self.train_set.groups()
            self.train_rows, self.validation_rows = held_out_split(self.train_set.targets, groups, self.held_out, seed)
            self.validation_set = self.train_set.with_transform(whole)
        if not len(self.train_rows) or not len(self.validation_rows):
            raise InputError(
                f"{len(self.train_rows)} clips to train on and {len(self.validation_rows)} to choose an epoch by; "
                "each needs one at least: add clips, or use --data.protocol paper"
            )
        counts = np.bincount(self.train_set.targets[self.train_rows], minlength=len(self.train_set.labels))
        if absent := [name for name, count in zip(self.train_set.labels, counts) if count == 0]:
            log.warning("no training clip shows %s; the model cannot learn it", ", ".join(absent))

    def train_dataloader(self) -> DataLoader[Batch] | DataLoader[Partnered]:
        """Load the training clips, in an order that depends on the seed and the epoch."""
        weights = None
        if self.weighted:
            targets = self.train_set.targets[self.train_rows]
            weights = 1.0 / np.bincount(targets)[targets]
        sampler = EpochSampler(self.train_rows, shuffle=True, seed=self.seed, weights=weights)
        how: dict[str, Any] = {"batch_size": self.batch_size, "workers": self.workers, "persistent": True}
        if self.mix is not None and self.mix.partners == "dataset":
            pairs = WithPartners(self.train_set, self.train_rows, self.mix.count)
            return loader(pairs, sampler=sampler, collate=collate_partners, **how)
        return loader(self.train_set, sampler=sampler, **how)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Load the clips that choose an epoch, in order."""
        sampler = EpochSampler(self.validation_rows, shuffle=False, seed=self.seed)
        return loader(
            self.validation_set, batch_size=self.batch_size, sampler=sampler, workers=self.workers, persistent=True
        )

    def _make(self, split: str, spec: InputSpec) -> ClipDataset:
        made_of = next((part for part in getattr(self.dataset, "args", ()) if inspect.isclass(part)), self.dataset)
        drawn = next(iter(inspect.signature(made_of).parameters)) == "split"
        if drawn:
            return self.dataset(split, spec.size)
        if self.root is None:
            raise InputError("no data: give the folder of the data set with --data.root DIR")
        return self.dataset(self.root.absolute(), split)
