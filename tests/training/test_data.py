"""Which clips train, choose and test."""

import functools
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfer.datasets import FolderClips, SyntheticFaces
from dfer.errors import InputError
from dfer.training.data import ClipData
from dfer.types import InputSpec

SPEC = InputSpec(4, 32, ("happy", "sad", "angry"))


def opened(clips: Path, **settings: Any) -> ClipData:
    data = ClipData(FolderClips, clips, batch_size=4, workers=0, **settings)
    data.open(SPEC, seed=0)
    return data


def test_held_out_clips_are_no_training_clips(clips: Path) -> None:
    data = opened(clips)
    train = {int(row) for batch in data.train_dataloader() for row in batch.row}
    held_out = {int(row) for batch in data.val_dataloader() for row in batch.row}
    assert not train & held_out
    assert train | held_out == set(range(30))
    assert np.bincount(data.train_set.targets[sorted(held_out)]).tolist() == [1, 1, 1]


def test_the_paper_protocol_trains_on_all_and_chooses_on_the_test_clips(clips: Path) -> None:
    data = opened(clips, protocol="paper")
    assert len(data.train_rows) == 30
    assert data.validation_name == "test"
    assert len(data.validation_set) == 9


def test_weighted_sampling_evens_out_the_classes() -> None:
    dataset = functools.partial(SyntheticFaces, clips=300, proportions=(20, 1, 1, 1, 1, 1, 1), cache=False)
    data = ClipData(dataset, batch_size=16, workers=0, weighted=True)
    data.open(InputSpec(1, 16, ("a",) * 7), seed=0)
    rows = [key[1] for key in data.train_dataloader().sampler]
    counts = np.bincount(data.train_set.targets[rows], minlength=7)
    assert counts.max() < 2.2 * counts.min()


def test_a_class_without_a_training_clip_is_said(clips: Path, caplog: pytest.LogCaptureFixture) -> None:
    for folder in (clips / "train" / "angry").iterdir():
        for frame in folder.iterdir():
            frame.unlink()
        folder.rmdir()
    (clips / "train" / "angry").rmdir()
    try:
        with caplog.at_level(logging.WARNING, "dfer"):
            opened(clips)
    except InputError as error:
        said = str(error)
    else:
        said = caplog.text
    assert "angry" in said


def test_no_root_is_one_line() -> None:
    with pytest.raises(InputError, match=r"--data\.root"):
        ClipData(FolderClips).open(SPEC, 0)


def test_a_missing_root_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone"):
        ClipData(FolderClips, tmp_path / "gone").open(SPEC, 0)


@pytest.mark.parametrize("settings", [{"batch_size": 0}, {"workers": -1}])
def test_bad_settings_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"batch_size|workers"):
        ClipData(FolderClips, **settings)  # type: ignore[arg-type]


def test_augmentation_follows_the_seed(clips: Path) -> None:
    first, again, other = (ClipData(FolderClips, clips, batch_size=27, workers=0) for _ in range(3))
    for data, seed in ((first, 1), (again, 1), (other, 2)):
        data.open(SPEC, seed)
    a, b, c = (next(iter(data.train_dataloader())) for data in (first, again, other))
    assert (a.clip == b.clip).all()
    assert not (a.clip == c.clip).all()
