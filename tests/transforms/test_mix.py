"""Mixing clips of a class: the invariants of each mask, whose pixels, and when."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dfer.transforms import ClipMix
from dfer.transforms.mix import STRATEGIES, Strategy, mix_generator

MIXING: tuple[Strategy, ...] = ("tam", "random", "frame", "videomix")


def numbered(count: int, frames: int = 4, size: int = 16, dtype: torch.dtype = torch.uint8) -> Tensor:
    """Clips whose every pixel says which clip it comes from."""
    return torch.arange(count).to(dtype).view(count, 1, 1, 1, 1).expand(count, 3, frames, size, size).clone()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def slow_tam(clip: Tensor, label: Tensor, mask: Tensor, chosen: list[int], partner: list[int], block: int) -> Tensor:
    """Algorithm 1 of the paper, for drawn masks and partners, pixel by pixel."""
    mixed = clip.clone()
    _, C, T, H, W = clip.shape
    for m, i in enumerate(chosen):
        assert label[partner[m]] == label[i]
        for t in range(T):
            for y in range(H):
                for x in range(W):
                    if mask[i, y // block, x // block]:
                        for c in range(C):
                            mixed[i, c, t, y, x] = clip[partner[m], c, t, y, x]
    return mixed


def test_tam_is_the_papers_algorithm() -> None:
    label = torch.tensor([0, 1, 0, 1, 0, 0])
    clip = torch.randint(0, 256, (6, 3, 2, 8, 8), generator=seeded(), dtype=torch.uint8)
    mix = ClipMix("tam", ratio=0.7, mask_ratio=0.4, block_size=4)
    mixed = mix(clip, label, seeded(1))
    generator = seeded(1)
    chosen, partner = mix._pairs(label, generator)
    mask = mix.mask(6, 2, 8, 8, generator)
    blocks = mask[:, 0, 0, ::4, ::4]
    assert torch.equal(mixed, slow_tam(clip, label, blocks, chosen.tolist(), partner.tolist(), 4))
    assert not torch.equal(mixed, clip)


@pytest.mark.parametrize("mask_ratio", [0.0, 0.1, 0.3, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("block", [4, 8, 16])
def test_tam_masks_exactly_so_many_blocks_alike_in_all_frames(mask_ratio: float, block: int) -> None:
    mask = ClipMix("tam", mask_ratio=mask_ratio, block_size=block).mask(5, 6, 32, 48, seeded())
    whole = mask.expand(5, 3, 6, 32, 48)
    assert (whole == whole[:, :1, :1]).all()
    tiles = whole[:, 0, 0].unfold(1, block, block).unfold(2, block, block).flatten(3)  # (5, rows, columns, block²)
    assert (tiles.all(3) == tiles.any(3)).all()
    blocks = (32 // block) * (48 // block)
    assert (tiles.any(3).flatten(1).sum(1) == int(mask_ratio * blocks)).all()


def test_every_block_is_as_likely() -> None:
    mask = ClipMix("tam", mask_ratio=0.5, block_size=8).mask(4000, 1, 16, 16, seeded())[:, 0, 0, ::8, ::8]
    pattern = mask.flatten(1).float()
    torch.testing.assert_close(pattern.mean(0), torch.full((4,), 0.5), atol=0.03, rtol=0)
    assert len(torch.unique(pattern, dim=0)) == math.comb(4, 2)


def test_random_has_another_mask_in_each_frame() -> None:
    mask = ClipMix("random", mask_ratio=0.5, block_size=4).mask(3, 16, 32, 32, seeded())
    assert mask.shape == (3, 1, 16, 32, 32)
    per_frame = mask[:, 0].flatten(2)
    assert (per_frame.sum(2) == int(0.5 * 64) * 16).all()
    assert all(len(torch.unique(clip, dim=0)) > 10 for clip in per_frame)


@pytest.mark.parametrize("mask_ratio", [0.0, 0.25, 0.5, 1.0])
def test_frame_replaces_whole_frames(mask_ratio: float) -> None:
    mask = ClipMix("frame", mask_ratio=mask_ratio).mask(7, 10, 30, 20, seeded()).expand(7, 1, 10, 30, 20)
    per_frame = mask[:, 0].flatten(2)
    assert (per_frame.all(2) == per_frame.any(2)).all()
    assert (per_frame.any(2).sum(1) == int(mask_ratio * 10)).all()


@pytest.mark.parametrize("mask_ratio", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_videomix_is_one_box_through_all_frames(mask_ratio: float) -> None:
    mask = ClipMix("videomix", mask_ratio=mask_ratio).mask(200, 4, 40, 40, seeded())
    assert mask.shape == (200, 1, 1, 40, 40)
    boxes = mask[:, 0, 0]
    area = boxes.float().mean((1, 2))
    assert (area - mask_ratio).abs().max() < 0.02
    rows, columns = boxes.any(2), boxes.any(1)
    assert torch.equal(boxes, rows[:, :, None] & columns[:, None, :])  # a product of two intervals
    for side in (rows, columns):
        starts = (side.int().diff(dim=1, prepend=torch.zeros(200, 1, dtype=torch.int)) == 1).sum(1)
        assert (starts == (1 if mask_ratio else 0)).all()
    if mask_ratio == 0.1:
        assert rows[:, 0].any()
        assert rows[:, -1].any()
        assert columns[:, 0].any()
        assert columns[:, -1].any()


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.integers(0, 3), min_size=1, max_size=12),
    ratio=st.floats(0, 1),
    strategy=st.sampled_from(MIXING),
    seed=st.integers(0, 100),
)
def test_only_chosen_clips_change_and_only_to_their_class(
    labels: list[int], ratio: float, strategy: Strategy, seed: int
) -> None:
    label, clip = torch.tensor(labels), numbered(len(labels))
    before = clip.clone()
    mix = ClipMix(strategy, ratio=ratio, mask_ratio=0.5, block_size=4)
    mixed = mix(clip, label, seeded(seed))
    assert torch.equal(clip, before)
    assert mixed.dtype == clip.dtype
    changed = 0
    for i, one in enumerate(mixed):
        others = [int(source) for source in one.unique() if source != i]
        changed += bool(others)
        assert len(others) <= 1  # one partner, pixels from the batch as it was
        assert all(labels[j] == labels[i] for j in others)
        if others:
            assert 0.3 < (one == others[0]).float().mean() < 0.6
    mixable = sum(labels.count(one) > 1 for one in labels)
    assert changed == min(int(ratio * len(labels)), mixable)


def test_a_clip_that_stands_alone_is_left_and_others_are_mixed_in_its_place() -> None:
    label = torch.tensor([0, 1, 2, 3, 3, 3])
    for seed in range(20):
        mixed = ClipMix("tam", ratio=0.5, block_size=4)(numbered(6), label, seeded(seed))
        assert torch.equal(mixed[:3], numbered(6)[:3])
        assert (mixed != numbered(6)).flatten(1).any(1).sum() == 3


def test_partners_are_drawn_evenly() -> None:
    label = torch.zeros(4, dtype=torch.long)
    counts = torch.zeros(4, 4)
    for seed in range(800):
        chosen, partner = ClipMix(ratio=0.5)._pairs(label, seeded(seed))
        counts[chosen, partner] += 1
    assert (counts.diagonal() == 0).all()
    share = counts[~torch.eye(4, dtype=torch.bool)] / counts.sum()
    assert (share - 1 / 12).abs().max() < 0.03


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_float_and_uint8_are_mixed_alike(strategy: Strategy) -> None:
    label = torch.tensor([0, 0, 1, 1])
    clip = torch.randint(0, 256, (4, 3, 4, 16, 16), generator=seeded(), dtype=torch.uint8)
    mix = ClipMix(strategy, block_size=4)
    as_float = mix(clip.float() / 255, label, seeded(3))
    torch.testing.assert_close(as_float, mix(clip, label, seeded(3)).float() / 255)


def test_the_generator_decides() -> None:
    label, clip = torch.zeros(8, dtype=torch.long), numbered(8)
    mix = ClipMix(block_size=4)
    one = mix(clip, label, mix_generator(0, 1, 2))
    assert torch.equal(one, mix(clip, label, mix_generator(0, 1, 2)))
    for other in ((1, 1, 2), (0, 2, 2), (0, 1, 3)):
        assert not torch.equal(one, mix(clip, label, mix_generator(*other)))


def test_without_a_generator_torchs_own_draws() -> None:
    label, clip = torch.zeros(8, dtype=torch.long), numbered(8)
    torch.manual_seed(5)
    one = ClipMix(block_size=4)(clip, label)
    torch.manual_seed(5)
    assert torch.equal(one, ClipMix(block_size=4)(clip, label))


def test_partners_handed_over_for_every_clip() -> None:
    partner = numbered(6) + 100
    mixed = ClipMix("tam", ratio=0.5, block_size=4)(numbered(6), torch.arange(6), seeded(), partner=partner)
    changed = [i for i, one in enumerate(mixed) if len(one.unique()) > 1]
    assert len(changed) == 3
    assert all(mixed[i].unique().tolist() == [i, 100 + i] for i in changed)


def test_partners_handed_over_for_the_chosen_clips() -> None:
    chosen = torch.tensor([4, 1])
    mixed = ClipMix("tam", ratio=0.5, block_size=4)(
        numbered(6), torch.arange(6), seeded(), partner=numbered(6)[chosen] + 100, chosen=chosen
    )
    assert [one.unique().tolist() for one in mixed] == [[0], [1, 101], [2], [3], [4, 104], [5]]


def test_a_batch_of_one_and_none_stay_as_they_are() -> None:
    assert torch.equal(ClipMix(ratio=1.0)(numbered(1), torch.tensor([0])), numbered(1))
    assert torch.equal(ClipMix("none")(numbered(2, size=15), torch.tensor([0, 0])), numbered(2, size=15))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"strategy": "cutmix"}, "'cutmix'"),
        ({"ratio": -0.1}, "ratio -0.1"),
        ({"ratio": 1.5}, "ratio 1.5"),
        ({"ratio": float("nan")}, "ratio nan"),
        ({"mask_ratio": 2}, "mask_ratio 2"),
        ({"block_size": 0}, "block_size 0"),
        ({"partners": "world"}, "'world'"),
    ],
)
def test_bad_settings_are_refused_with_the_value(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ClipMix(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy", ["tam", "random"])
@pytest.mark.parametrize("shape", [(24, 16), (16, 24)])
def test_blocks_that_do_not_tile_are_refused_with_both_numbers(strategy: Strategy, shape: tuple[int, int]) -> None:
    clip = torch.zeros(2, 3, 4, *shape)
    with pytest.raises(ValueError, match=rf"{shape[0]} x {shape[1]} .* 16"):
        ClipMix(strategy)(clip, torch.tensor([0, 1]))


def test_clips_and_partners_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3, 16, 16\)"):
        ClipMix()(torch.zeros(3, 16, 16), torch.zeros(3))
    with pytest.raises(ValueError, match=r"\(5, 3, 4, 16, 16\)"):
        ClipMix()(numbered(6), torch.arange(6), partner=numbered(5))
    with pytest.raises(ValueError, match="float32"):
        ClipMix()(numbered(6), torch.arange(6), partner=numbered(6).float())
