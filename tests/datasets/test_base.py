from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.datasets import SyntheticFaces
from dfer.datasets.base import ClipDataset, describe
from dfer.errors import InputError
from dfer.transforms.presets import ClipTransform, EvalTransform, Frame, TrainTransform


class Noise:
    """Frames whose pixels tell row and number; notes which size is asked for."""

    def __init__(self) -> None:
        self.sizes: list[int | None] = []

    def frame_count(self, row: int) -> int:
        return 20 + row

    def read(self, row: int, wanted: NDArray[np.int64], size: int | None = None) -> Sequence[Frame]:
        self.sizes.append(size)
        return [np.random.default_rng([row, i]).integers(0, 256, (24, 24, 3), np.uint8) for i in wanted.tolist()]


def three_clips(transform: ClipTransform, seed: int = 0) -> ClipDataset:
    ids = ["a", "b", "c"]
    return ClipDataset(Noise(), ["happy", "sad"], np.array([0, 1, 1]), ids, transform, {"class": "Noise"}, seed)


def test_a_row_becomes_a_sample() -> None:
    data = three_clips(EvalTransform(4, 16))
    sample = data[2]
    assert sample.clip.shape == (4, 3, 16, 16)
    assert (sample.label, sample.row) == (1, 2)
    assert len(data) == 3
    assert data.class_counts.tolist() == [1, 2]
    assert data.clip_id(1) == "b"
    assert data.groups() is None


def test_augmentation_depends_on_seed_epoch_row_and_repeat_alone() -> None:
    transform = TrainTransform(4, 16)
    data, again = three_clips(transform), three_clips(transform)
    again[1], again[(7, 0)]
    assert data[(3, 1)].clip.equal(again[(3, 1)].clip)
    assert data[0].clip.equal(data[(0, 0)].clip)
    others: list[Any] = [data[(4, 1)], data[(3, 1, 1)], three_clips(transform, seed=1)[(3, 1)]]
    assert not any(data[(3, 1)].clip.equal(other.clip) for other in others)


def test_another_transform_leaves_the_first_alone() -> None:
    data = three_clips(EvalTransform(4, 16))
    other = data.with_transform(EvalTransform(2, 8))
    assert other[0].clip.shape == (2, 3, 8, 8)
    assert data[0].clip.shape == (4, 3, 16, 16)
    assert other.targets is data.targets


def test_the_source_is_told_which_size_will_do() -> None:
    data = three_clips(TrainTransform(4, 112))
    sizes = data.source.sizes  # type: ignore[attr-defined]
    data[0], data.with_transform(EvalTransform(4, 112))[0], data.read(0, np.array([3]))
    assert sizes == [126, 112, None]  # the smallest crop, 0.8 of the area of 126 px, is 112.7 px wide


def test_it_says_what_frames_are_read_from() -> None:
    data = three_clips(TrainTransform(4, 112))
    assert data.reads() is None
    data.source.reads = lambda size: f"a copy of {size} px"  # type: ignore[attr-defined]
    assert data.reads() == "a copy of 126 px"
    assert data.with_transform(EvalTransform(4, 112)).reads() == "a copy of 112 px"


def test_a_description_has_whole_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = describe("DFEW", {"root": Path("a"), "exclude": None, "packed": "b", "other": True}, fold=2)
    places = {"root": str(tmp_path / "a"), "exclude": None, "packed": str(tmp_path / "b"), "other": True}
    assert found == {"class": "DFEW", "args": {**places, "fold": 2}}


def test_a_data_set_without_files_has_no_survey() -> None:
    with pytest.raises(InputError, match="SyntheticFaces has no files"):
        SyntheticFaces.survey(Path())


def test_a_row_that_does_not_exist() -> None:
    with pytest.raises(IndexError):
        three_clips(EvalTransform(4, 16))[3]


def test_a_corruption_damages_the_finished_clip_by_its_id() -> None:
    from dfer.transforms.corrupt import GaussianNoise

    clips = SyntheticFaces("test", 32, 0, clips=14, cache=False)
    damage = GaussianNoise(3)
    damaged = clips.with_corruption(damage)
    assert damaged[2].clip.equal(damage(clips[2].clip, clips.clip_id(2)))
    assert not damaged[2].clip.equal(clips[2].clip)
    assert clips.corruption is None
    assert damaged[2].label == clips[2].label
