"""A second clip of the same class for some clips of each batch, drawn from the whole training set."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from dfer.datasets.base import ClipDataset, Key
from dfer.datasets.collate import collate
from dfer.types import Batch, Sample

PARTNERS = (4,)  # spawn key: independent of the draws of samplers, clips and masks


class Partnered(NamedTuple):
    """A batch before mixing, and another clip of the same class for some of its clips.

    Shape:
        partner ``(M, C, T, H, W)`` uint8, for the clips chosen ``(M,)``.
    """

    batch: Batch
    partner: Tensor
    chosen: Tensor


class WithPartners(Dataset[Sample]):
    """Training clips that come with partners for mixing.

    Paper: SAFE, Algorithm 1 ("sample a category-consistent paired clip"). Which clips of a batch get a partner, and
    which one, depends on the seed, the epoch and the batch's rows; the partner is augmented by a draw of its own. A
    clip whose class has no other clip among ``rows`` gets none.

    Args:
        rows: from which partners are drawn: the training clips, none that is held out.
        count: from the size of a batch to the number of its clips that get a partner.
    """

    def __init__(self, dataset: ClipDataset, rows: NDArray[np.int64], count: Callable[[int], int]) -> None:
        self.dataset = dataset
        self.count = count
        targets = dataset.targets[rows]
        self.of_class = {int(label): np.sort(rows[targets == label]) for label in np.unique(targets)}

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: Key) -> Sample:
        return self.dataset[key]

    def __getitems__(self, keys: Sequence[Key]) -> list[tuple[Sample, Tensor | None]]:
        """Load the clips of a batch, each with its partner or None; the loader calls this with all its keys."""
        visits = [key if isinstance(key, tuple) else (0, key) for key in keys]
        entropy = [self.dataset.seed, *(number for visit in visits for number in visit)]
        rng = np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=PARTNERS))
        samples = [self.dataset[visit] for visit in visits]
        can = [i for i, sample in enumerate(samples) if len(self.of_class.get(sample.label, ())) > 1]
        partners: list[Tensor | None] = [None] * len(samples)
        for i in rng.permutation(can)[: self.count(len(samples))]:
            sample = samples[i]
            others = self.of_class[sample.label]
            partner = int(rng.choice(others[others != sample.row]))
            partners[i] = self.dataset[visits[i][0], partner, sample.row, 1].clip  # a key, so a draw, of its own
        return list(zip(samples, partners))


def collate_partners(loaded: Sequence[tuple[Sample, Tensor | None]]) -> Partnered:
    """Stack clips into a batch, and their partners beside it."""
    chosen = [i for i, (_, partner) in enumerate(loaded) if partner is not None]
    batch = collate([sample for sample, _ in loaded])
    clips = [partner.transpose(0, 1) for _, partner in loaded if partner is not None]
    return Partnered(batch, torch.stack(clips) if clips else batch.clip[:0], torch.tensor(chosen, dtype=torch.long))
