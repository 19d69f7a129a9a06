from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.datasets.base import ClipDataset
from dfer.transforms.presets import ClipTransform, EvalTransform, Frame, TrainTransform


class Noise(ClipDataset):
    """Frames whose pixels tell row and number."""

    def __init__(self, transform: ClipTransform, seed: int = 0) -> None:
        super().__init__(["happy", "sad"], np.array([0, 1, 1]), ["a", "b", "c"], transform, {"class": "Noise"}, seed)

    def frame_count(self, row: int) -> int:
        return 20 + row

    def read(self, row: int, wanted: NDArray[np.int64]) -> Sequence[Frame]:
        return [np.random.default_rng([row, i]).integers(0, 256, (24, 24, 3), np.uint8) for i in wanted.tolist()]


def test_a_row_becomes_a_sample() -> None:
    data = Noise(EvalTransform(4, 16))
    sample = data[2]
    assert sample.clip.shape == (4, 3, 16, 16)
    assert (sample.label, sample.row) == (1, 2)
    assert len(data) == 3
    assert data.class_counts.tolist() == [1, 2]
    assert data.clip_id(1) == "b"
    assert data.groups() is None


def test_augmentation_depends_on_seed_epoch_row_and_repeat_alone() -> None:
    transform = TrainTransform(4, 16)
    data, again = Noise(transform), Noise(transform)
    again[1], again[(7, 0)]
    assert data[(3, 1)].clip.equal(again[(3, 1)].clip)
    assert data[0].clip.equal(data[(0, 0)].clip)
    others: list[Any] = [data[(4, 1)], data[(3, 1, 1)], Noise(transform, seed=1)[(3, 1)]]
    assert not any(data[(3, 1)].clip.equal(other.clip) for other in others)


def test_another_transform_leaves_the_first_alone() -> None:
    data = Noise(EvalTransform(4, 16))
    other = data.with_transform(EvalTransform(2, 8))
    assert other[0].clip.shape == (2, 3, 8, 8)
    assert data[0].clip.shape == (4, 3, 16, 16)
    assert other.targets is data.targets


def test_a_row_that_does_not_exist() -> None:
    with pytest.raises(IndexError):
        Noise(EvalTransform(4, 16))[3]


def test_a_corruption_damages_the_finished_clip_by_its_id() -> None:
    from dfer.datasets import SyntheticFaces
    from dfer.transforms.corrupt import GaussianNoise

    clips = SyntheticFaces("test", 32, 0, clips=14, cache=False)
    damage = GaussianNoise(3)
    damaged = clips.with_corruption(damage)
    assert damaged[2].clip.equal(damage(clips[2].clip, clips.clip_id(2)))
    assert not damaged[2].clip.equal(clips[2].clip)
    assert clips.corruption is None
    assert damaged[2].label == clips[2].label
