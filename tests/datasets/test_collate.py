from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from dfer.datasets.base import ClipDataset
from dfer.datasets.collate import collate, loader
from dfer.datasets.samplers import EpochSampler
from dfer.transforms import EvalTransform, TrainTransform
from dfer.transforms.presets import Frame
from dfer.types import Batch, Sample


def thirteen_clips(*, train: bool = True) -> ClipDataset:
    targets = np.arange(13) % 3
    transform = TrainTransform(4, 16) if train else EvalTransform(4, 16)
    return ClipDataset(Noise(), "abc", targets, [str(row) for row in range(13)], transform, {}, seed=7)


class Noise:
    """Clips of noise, of different lengths."""

    def frame_count(self, row: int) -> int:
        return 2 + row

    def read(self, row: int, wanted: NDArray[np.int64], size: int | None = None) -> Sequence[Frame]:
        film = np.random.default_rng(row).integers(0, 256, (2 + row, 20, 20, 3), dtype=np.uint8)
        return [film[index] for index in wanted]


def epochs(*, workers: int, persistent: bool = False, start: int = 0, weighted: bool = False) -> list[Batch]:
    """All batches of the epochs ``start`` to 2."""
    weights = np.arange(1.0, 14.0) if weighted else None
    sampler = EpochSampler(range(13), shuffle=True, seed=1, weights=weights)
    batches = loader(thirteen_clips(), batch_size=4, sampler=sampler, workers=workers, persistent=persistent)
    found = []
    for epoch in range(start, 3):
        sampler.set_epoch(epoch)
        found += list(batches)
    return found


def same(a: Sequence[Batch], b: Sequence[Batch]) -> bool:
    return len(a) == len(b) and all(torch.equal(x, y) for p, q in zip(a, b) for x, y in zip(p, q))


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker:UserWarning")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("workers", "persistent"), [(1, False), (1, True), (4, False), (4, True)])
def test_the_same_batches_with_any_workers(workers: int, persistent: bool, weighted: bool) -> None:
    expected = epochs(workers=0, weighted=weighted)
    assert len(expected) == 12  # nothing is dropped
    assert same(expected, epochs(workers=workers, persistent=persistent, weighted=weighted))
    assert not torch.equal(expected[0].clip, expected[4].clip)


@pytest.mark.parametrize(("workers", "persistent"), [(0, False), (1, True)])
def test_the_same_batches_after_a_resume(workers: int, persistent: bool) -> None:
    assert same(epochs(workers=0)[8:], epochs(workers=workers, persistent=persistent, start=2))


def test_a_clip_is_augmented_anew_each_epoch_and_each_repeat() -> None:
    clips = thirteen_clips()
    drawn = [clips[key].clip for key in ((0, 12), (1, 12), (0, 12, 1), (0, 12, 2))]
    for i, first in enumerate(drawn):
        for second in drawn[:i]:
            assert not torch.equal(first, second)
    assert torch.equal(drawn[0], clips[0, 12].clip)


def test_loading_leaves_the_global_random_state() -> None:
    before = torch.get_rng_state()
    for workers in (0, 1):
        list(loader(thirteen_clips(), batch_size=5, workers=workers))
    assert torch.equal(before, torch.get_rng_state())


def test_without_a_sampler_all_rows_in_order() -> None:
    batches = list(loader(thirteen_clips(train=False), batch_size=5))
    assert torch.cat([batch.row for batch in batches]).tolist() == list(range(13))
    assert torch.cat([batch.label for batch in batches]).tolist() == [row % 3 for row in range(13)]


def test_collate_changes_time_and_channels() -> None:
    clips = [torch.randint(0, 256, (4, 3, 5, 6), dtype=torch.uint8) for _ in range(2)]
    batch = collate([Sample(clip, label, row) for clip, label, row in zip(clips, (2, 0), (9, 4))])
    assert batch.clip.is_contiguous()
    assert batch.clip.dtype == torch.uint8
    for found, clip in zip(batch.clip, clips):
        for t in range(4):
            for c in range(3):
                assert torch.equal(found[c, t], clip[t, c])
    assert batch.label.tolist() == [2, 0]
    assert batch.label.dtype == batch.row.dtype == torch.int64
    assert batch.row.tolist() == [9, 4]
    assert batch.weight.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("shape", [(4, 3, 5, 7), (1, 3, 5, 6)])
def test_clips_of_different_shapes_make_no_batch(workers: int, shape: tuple[int, ...]) -> None:
    class Uneven(Dataset[Sample]):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, row: int) -> Sample:
            return Sample(torch.zeros((4, 3, 5, 6) if row == 0 else shape, dtype=torch.uint8), 0, row)

    with pytest.raises(ValueError, match=r"\(3, 4, 5, 6\).*; a batch takes one"):
        next(iter(loader(Uneven(), batch_size=2, workers=workers)))


def test_a_worker_has_one_thread() -> None:
    class Threads(Dataset[Sample]):
        def __len__(self) -> int:
            return 1

        def __getitem__(self, key: object) -> Sample:
            return Sample(torch.zeros(1, 3, 1, 1), torch.get_num_threads(), 0)

    assert next(iter(loader(Threads(), batch_size=1, workers=1))).label.tolist() == [1]
