import importlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from dfer.datasets.samplers import EpochSampler, held_out_split


def test_every_row_once_in_another_order_each_epoch() -> None:
    sampler = EpochSampler(np.arange(10, 60), shuffle=True, seed=3)
    orders = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        visits = list(sampler)
        assert {visit[0] for visit in visits} == {epoch}
        assert sorted(row for _, row in visits) == list(range(10, 60))
        orders.append([row for _, row in visits])
    assert orders[0] != orders[1] != orders[2]
    assert len(sampler) == 50


def test_a_resumed_sampler_goes_on_where_the_first_would() -> None:
    first, resumed = (EpochSampler(range(20), shuffle=True, seed=0) for _ in range(2))
    for epoch in range(4):
        first.set_epoch(epoch)
        expected = list(first)
    resumed.set_epoch(3)
    assert list(resumed) == expected
    assert list(EpochSampler(range(20), shuffle=True, seed=1)) != list(EpochSampler(range(20), shuffle=True, seed=0))


def test_weights_balance_and_number_the_repeats() -> None:
    targets = np.array([0] * 90 + [1] * 10)
    sampler = EpochSampler(np.arange(100), shuffle=True, seed=0, weights=(1 / np.bincount(targets))[targets])
    rows = []
    for epoch in range(20):
        sampler.set_epoch(epoch)
        visits = list(sampler)
        assert len(set(visits)) == len(visits) == 100
        for row, times in Counter(visit[1] for visit in visits).items():
            assert [visit[2] for visit in visits if visit[1] == row] == list(range(times))
        rows += [visit[1] for visit in visits]
    assert np.mean(targets[rows]) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0, 1.0], [0.0, 0.0, 0.0], [1.0, np.nan, 1.0]])
def test_bad_weights(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weight"):
        EpochSampler(range(3), shuffle=True, seed=0, weights=weights)


@pytest.mark.slow  # importing Lightning takes seconds
def test_lightning_s_distributed_wrapper_hands_the_epoch_on() -> None:
    wrapper = importlib.import_module("lightning.fabric.utilities.distributed").DistributedSamplerWrapper
    set_epoch = importlib.import_module("lightning.fabric.utilities.data")._set_sampler_epoch
    plain = EpochSampler(range(12), shuffle=True, seed=0)
    plain.set_epoch(5)
    shares = []
    for rank in range(2):
        sampler = wrapper(EpochSampler(range(12), shuffle=True, seed=0), num_replicas=2, rank=rank, shuffle=False)
        set_epoch(DataLoader(range(12), sampler=sampler), 5)
        shares.append(list(sampler))
    assert [visit for pair in zip(*shares) for visit in pair] == list(plain)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 15)), min_size=1, max_size=120), st.booleans(),
       st.integers(0, 99))  # fmt: skip
def test_a_split_is_a_partition_that_keeps_groups_and_classes(
    rows: list[tuple[int, int]], grouped: bool, seed: int
) -> None:
    targets = np.array([target for target, _ in rows])
    groups = np.array([str(group) for _, group in rows]) if grouped else None
    train, held_out = held_out_split(targets, groups, 0.1, seed)
    assert sorted([*train, *held_out]) == list(range(len(rows)))
    for k in set(targets.tolist()):
        assert (targets[train] == k).any()
        if groups is None and (targets == k).sum() >= 2:
            assert (targets[held_out] == k).sum() == max(1, round(0.1 * (targets == k).sum()))
    if groups is not None:
        assert not set(groups[train]) & set(groups[held_out])


def test_groups_are_met_nearly() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(80), 10).astype(str)
    targets = rng.choice(7, 800, p=[0.21, 0.16, 0.23, 0.19, 0.12, 0.02, 0.07])
    _, held_out = held_out_split(targets, groups, 0.1, 0)
    share = np.bincount(targets[held_out], minlength=7) / np.bincount(targets, minlength=7)
    assert share.min() > 0.03
    assert len(held_out) / 800 == pytest.approx(0.12, abs=0.05)


def test_a_split_depends_on_its_seed() -> None:
    targets = np.arange(200) % 7
    first, again, other = (held_out_split(targets, None, 0.1, seed)[1].tolist() for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0])
def test_bad_fraction(fraction: float) -> None:
    with pytest.raises(ValueError, match=str(fraction)):
        held_out_split(np.zeros(4, np.int64), None, fraction)
