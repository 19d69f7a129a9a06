"""Partners from the whole training set: of the class, never itself, whatever the workers."""

from collections import Counter

import numpy as np
import pytest
import torch

from dfer.datasets import SyntheticFaces
from dfer.datasets.collate import loader
from dfer.datasets.partners import WithPartners, collate_partners
from dfer.datasets.samplers import EpochSampler
from dfer.transforms import ClipMix, EvalTransform


@pytest.fixture(scope="module")
def faces() -> SyntheticFaces:
    drawn = SyntheticFaces("train", 32, 0, clips=35, cache=False)
    return drawn.with_transform(EvalTransform(2, 16))


def half(clips: int) -> int:
    return clips // 2


def test_half_of_a_batch_has_a_partner_of_its_class(faces: SyntheticFaces) -> None:
    rows = np.arange(len(faces))
    clips = [faces[row].clip for row in rows]
    chosen: Counter[int] = Counter()
    partners = set()
    for epoch in range(6):
        for start in range(0, 32, 8):
            keys = [(epoch, row) for row in range(start, start + 8)]
            loaded = WithPartners(faces, rows, half).__getitems__(keys)
            assert [sample.row for sample, _ in loaded] == [row for _, row in keys]
            assert sum(partner is not None for _, partner in loaded) == 4
            for sample, partner in loaded:
                if partner is None:
                    continue
                chosen[sample.row] += 1
                (source,) = [r for r in rows if torch.equal(clips[r], partner)]
                assert source != sample.row
                assert faces.targets[source] == sample.label
                partners.add(int(source))
    assert len(chosen) > 24  # not always the same half
    assert len(partners) > 24


def test_partners_come_from_the_training_rows_alone(faces: SyntheticFaces) -> None:
    rows = np.concatenate([np.flatnonzero(faces.targets == k)[:2] for k in range(7)])
    lone = np.append(rows[2:], rows[0])  # class 0 has one clip left
    loaded = WithPartners(faces, lone, lambda clips: clips).__getitems__([(0, int(row)) for row in lone])
    for row, (_, partner) in zip(lone, loaded):
        others = [r for r in lone if r != row and faces.targets[r] == faces.targets[row]]
        if not others:
            assert partner is None
        else:
            assert partner is not None
            assert torch.equal(partner, faces[int(others[0])].clip)


def test_neither_workers_nor_a_second_pass_change_a_batch(faces: SyntheticFaces) -> None:
    rows = np.arange(len(faces))

    def batches(workers: int, epoch: int) -> list[torch.Tensor]:
        sampler = EpochSampler(rows, shuffle=True, seed=0)
        sampler.set_epoch(epoch)
        found = []
        clips = WithPartners(faces, rows, half)
        for batch, partner, chosen in loader(
            clips, batch_size=8, sampler=sampler, workers=workers, collate=collate_partners
        ):
            assert len(partner) == len(chosen) == len(batch.clip) // 2
            found.append(torch.cat([partner.flatten().float(), chosen.float()]))
        return found

    first = batches(0, 3)
    assert all(torch.equal(a, b) for a, b in zip(first, batches(2, 3), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, batches(0, 4), strict=True))


def test_a_class_with_one_clip_in_the_batch_still_mixes(faces: SyntheticFaces) -> None:
    rows = np.arange(len(faces))
    keys = [(0, int(np.flatnonzero(faces.targets == k)[0])) for k in range(7)]
    mix = ClipMix(ratio=1.0, block_size=4, partners="dataset")
    batch, partner, chosen = collate_partners(WithPartners(faces, rows, mix.count).__getitems__(keys))
    mixed = mix(batch.clip, batch.label, None, partner, chosen)
    assert (mixed != batch.clip).flatten(1).any(1).all()
    alone = ClipMix(ratio=1.0, block_size=4)(batch.clip, batch.label)
    assert torch.equal(alone, batch.clip)


def test_a_batch_without_partners_has_empty_ones(faces: SyntheticFaces) -> None:
    batch, partner, chosen = collate_partners([(faces[0], None), (faces[1], None)])
    assert partner.shape == (0, *batch.clip.shape[1:])
    assert chosen.shape == (0,)
    mixed = ClipMix(ratio=1.0, block_size=4)(batch.clip, batch.label, None, partner, chosen)
    assert torch.equal(mixed, batch.clip)
