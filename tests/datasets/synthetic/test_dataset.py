"""Drawn faces are a data set like any other."""

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dfer.datasets import SyntheticFaces, build
from dfer.datasets.collate import loader
from dfer.errors import InputError


def small(split: Any = "train", **changes: Any) -> SyntheticFaces:
    return SyntheticFaces(split, 32, **({"clips": 14, "frames": (8, 12), "cache": False} | changes))


def test_table_and_labels() -> None:
    faces = small(preset="wild", label_noise=0.3, clips=40)
    assert len(faces) == len(faces.truth) == 40
    assert (faces.targets == faces.truth.label).all()
    assert (faces.truth.label != faces.truth.true_label).sum() == 12
    assert [faces.frame_count(row) for row in range(40)] == faces.truth.frames.tolist()
    assert faces.groups().tolist() == faces.truth.identity.tolist()
    assert faces.clip_id(3) == "train-00003"


def test_cached_drawn_and_pickled_are_the_same() -> None:
    drawn, cached = small(), small(cache=True)
    for row in (0, 13):
        assert torch.equal(drawn[row].clip, cached[row].clip)
    assert torch.equal(pickle.loads(pickle.dumps(cached))[5].clip, drawn[5].clip)
    assert len(pickle.dumps(cached)) < 100_000
    assert torch.equal(copy.copy(cached)[5].clip, drawn[5].clip)


def test_the_cache_is_used_again(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = small(cache=True)[2].clip
    monkeypatch.setattr(SyntheticFaces, "draw", lambda *_: pytest.fail("drawn again"))
    assert torch.equal(small(cache=True)[2].clip, first)
    assert len(list(own_cache.rglob("*.u8"))) == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_any_worker_gives_the_same_batches(workers: int) -> None:
    faces = small()
    here = [batch.clip for batch in loader(faces, batch_size=5)]
    there = [batch.clip for batch in loader(faces, batch_size=5, workers=workers)]
    assert all(torch.equal(a, b) for a, b in zip(here, there, strict=True))


def test_built_again_from_plain_json() -> None:
    faces = small(preset="wild", occlusion=0.5, clips=(14, 7), seed=3)
    again = build(json.loads(json.dumps(faces.description)), "train")
    assert torch.equal(again[4].clip, faces[4].clip)
    assert len(build(faces.description, "test")) == 7


def test_splits() -> None:
    train, test = small("train"), small("test")
    assert len(test) == 7
    assert not set(train.groups()) & set(test.groups())


def test_augmentation_seed_does_not_change_what_is_drawn() -> None:
    faces = small()
    before = faces.read(0, np.arange(4))
    faces.seed = 99
    assert all((a == b).all() for a, b in zip(before, faces.read(0, np.arange(4))))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "val"}, "split 'val'"),
        ({"preset": "hard"}, "preset 'hard'; there are easy, wild"),
        ({"size": 4}, "size 4"),
        ({"seed": -1}, "seed -1"),
        ({"label_noise": 2.0}, "label_noise must lie"),
    ],
)
def test_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SyntheticFaces(**({"split": "train", "clips": 7, "cache": False} | arguments))
