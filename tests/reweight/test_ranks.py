"""Verdicts against Python's own sorting, and their corners."""

import math
import random
from typing import Any

import pytest
import torch

from dfer.reweight import HARD, NOISY, ORDINARY, VERDICTS, verdicts

NAN = math.nan


def slow_verdicts(
    agreement: list[float], loss: list[float], hard_fraction: float, noisy_fraction: float, rank_by: str, total: int
) -> list[int]:
    """Sort tuples, one clip after the other."""
    known = [i for i in range(len(agreement)) if not math.isnan(agreement[i]) and not math.isnan(loss[i])]
    found = [ORDINARY] * len(agreement)
    order: dict[int, tuple[float, ...]] = {}
    for i in known:
        if rank_by == "loss":
            order[i] = (-loss[i], i)
        elif agreement[i] < 1:
            order[i] = (agreement[i], -loss[i], i)
    for i in sorted(order, key=lambda i: order[i])[: round(hard_fraction * total * 1000) // 1000]:
        found[i] = HARD
    order = {}
    for i in known:
        if found[i] == ORDINARY:
            order[i] = (-loss[i], i) if rank_by == "loss" else (-agreement[i], -loss[i], i)
    for i in sorted(order, key=lambda i: order[i])[: round(noisy_fraction * total * 1000) // 1000]:
        found[i] = NOISY
    return found


class TestVerdicts:
    @pytest.mark.parametrize("rank_by", ["agreement", "loss"])
    @pytest.mark.parametrize(
        ("hard", "noisy"), [(0.2, 0.1), (0.0, 0.1), (0.2, 0.0), (0.5, 0.5), (1.0, 0.0), (0.0, 1.0), (0.29, 0.07)]
    )
    @pytest.mark.parametrize("count", [1, 2, 9, 100, 257])
    def test_as_sorting_tuples(self, rank_by: Any, hard: float, noisy: float, count: int) -> None:
        draw = random.Random(f"{rank_by} {hard} {noisy} {count}")
        agreement = [draw.choice([0.25, 0.5, 0.75, 1.0, 1.0, 1.0, NAN]) for _ in range(count)]
        loss = [draw.choice([0.0, 0.1, 0.5, 2.0, 1e4, draw.random(), math.inf, NAN]) for _ in range(count)]
        for total in (None, count, 2 * count, count // 2):
            found = verdicts(
                torch.tensor(agreement, dtype=torch.float64),
                torch.tensor(loss, dtype=torch.float64),
                hard_fraction=hard,
                noisy_fraction=noisy,
                rank_by=rank_by,
                total=total,
            )
            assert found.dtype == torch.int64
            of = count if total is None else total
            assert found.tolist() == slow_verdicts(agreement, loss, hard, noisy, rank_by, of)

    def test_the_share_is_taken_whole(self) -> None:
        """0.29 * 100 is 28.999999999999996 in floating point."""
        found = verdicts(torch.full((100,), 0.5), torch.rand(100), hard_fraction=0.29, noisy_fraction=0.57)
        assert torch.bincount(found).tolist() == [14, 29, 57]

    def test_few_disagree_and_many_are_mislabelled(self) -> None:
        """5 % disagreement, 10 % noise: nobody fills the rest of the 20 %, no noisy clip is strengthened."""
        agreement, loss = torch.ones(200), torch.rand(200, generator=torch.Generator().manual_seed(0))
        disagreeing, mislabelled = torch.arange(10), torch.arange(50, 70)
        agreement[disagreeing] = 0.75
        loss[mislabelled] += 3
        found = verdicts(agreement, loss)
        assert (found == HARD).nonzero().squeeze(1).equal(disagreeing)
        assert (found == NOISY).nonzero().squeeze(1).equal(mislabelled)

    def test_ranks_of_table_iv(self) -> None:
        agreement = torch.tensor([0.25, 0.5, 1.0, 1.0, 1.0])
        loss = torch.tensor([1.0, 2.0, 5.0, 4.0, 0.0])
        fractions = {"hard_fraction": 0.4, "noisy_fraction": 0.2}
        assert verdicts(agreement, loss, **fractions).tolist() == [1, 1, 2, 0, 0]
        assert verdicts(agreement, loss, hard_fraction=0.4, noisy_fraction=0).tolist() == [1, 1, 0, 0, 0]
        assert verdicts(agreement, loss, hard_fraction=0, noisy_fraction=0.2).tolist() == [0, 0, 2, 0, 0]
        assert verdicts(agreement, loss, rank_by="loss", **fractions).tolist() == [0, 2, 1, 1, 0]
        assert verdicts(agreement, loss, rank_by="loss", hard_fraction=0, noisy_fraction=0.4).tolist() == [
            0,
            0,
            2,
            2,
            0,
        ]

    def test_names_and_arrays(self) -> None:
        found = verdicts([0.5, 1.0, 1.0], [1.0, 1.0, 2.0], hard_fraction=1 / 3, noisy_fraction=1 / 3)
        assert [VERDICTS[i] for i in found] == ["hard", "ordinary", "noisy"]
        assert verdicts([], []).tolist() == []

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"hard_fraction": 1.5}, "hard_fraction 1.5"),
            ({"noisy_fraction": -0.1}, "noisy_fraction -0.1"),
            ({"hard_fraction": NAN}, "hard_fraction nan"),
            ({"hard_fraction": 0.6, "noisy_fraction": 0.5}, "0.6 and noisy_fraction 0.5 add to more than 1"),
            ({"rank_by": "size"}, "'size' is unknown; give agreement or loss"),
            ({"total": -3}, "total -3"),
            ({"loss": [1.0]}, r"\(2,\) and loss of shape \(1,\)"),
        ],
    )
    def test_refuses(self, wrong: dict[str, Any], said: str) -> None:
        with pytest.raises(ValueError, match=said):
            verdicts(**{"agreement": [0.5, 1.0], "loss": [1.0, 2.0], **wrong})
