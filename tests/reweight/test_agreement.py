"""Agreement-based reweighting against plain loops, and its corners."""

import copy
import io
import math
import random
from collections import Counter
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from dfer.reweight import HARD, NOISY, AgreementReweighting, clip_agreement

NAN = math.nan


def slow_agreement(logits: torch.Tensor) -> list[float]:
    shares = []
    for clips in logits.tolist():
        predicted = [max(range(len(clip)), key=clip.__getitem__) for clip in clips]
        shares.append(Counter(predicted).most_common(1)[0][1] / len(predicted))
    return shares


class TestClipAgreement:
    def test_papers_example(self) -> None:
        """Neutral, Surprise, Happy, Happy."""
        neutral, surprise, happy = 3, 5, 1
        logits = torch.zeros(1, 4, 7)
        logits[0, range(4), [neutral, surprise, happy, happy]] = 1
        assert clip_agreement(logits).tolist() == [0.5]

    @pytest.mark.parametrize("shape", [(1, 1, 1), (1, 4, 7), (9, 4, 7), (5, 7, 3), (6, 64, 2), (0, 4, 7)])
    @pytest.mark.parametrize("scale", [1.0, 1e4])
    def test_counts_as_a_loop_does(self, shape: tuple[int, int, int], scale: float) -> None:
        logits = scale * torch.randn(shape, generator=torch.Generator().manual_seed(0))
        found = clip_agreement(logits)
        assert found.dtype == torch.float32
        assert_close(found, torch.tensor(slow_agreement(logits)), rtol=0, atol=0)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
    def test_other_types_and_gradients(self, dtype: torch.dtype) -> None:
        logits = torch.eye(3)[None].to(dtype).requires_grad_()
        found = clip_agreement(logits)
        assert found.dtype == torch.float32
        assert not found.requires_grad
        assert_close(found, torch.tensor([1 / 3]), rtol=0, atol=0)

    def test_full_agreement_is_exactly_one_and_equal_shares_are_equal(self) -> None:
        for clips in range(1, 65):
            assert clip_agreement(torch.zeros(1, clips, 2)).item() == 1
        third = torch.eye(3)[None]
        assert clip_agreement(third).item() == clip_agreement(third.repeat(1, 2, 1)).item()

    @pytest.mark.parametrize("shape", [(4, 7), (7,), (1, 0, 7), (1, 4, 0), (1, 2, 3, 4)])
    def test_refuses_other_shapes(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match=rf"shape \({', '.join(map(str, shape))}"):
            clip_agreement(torch.zeros(shape))


def small(**settings: Any) -> AgreementReweighting:
    return AgreementReweighting(5, **{"hard_fraction": 0.4, "noisy_fraction": 0.2, "warmup_epochs": 0, **settings})


class TestAgreementReweighting:
    def test_weights_are_one_during_warm_up_whatever_the_verdicts(self) -> None:
        reweight = small(warmup_epochs=2)
        for _ in range(2):
            reweight.record([0, 1], [0.5, 1.0], [1.0, 3.0])
            assert reweight.weight(torch.arange(5)).tolist() == [1] * 5
            reweight.end_epoch()
            assert reweight.verdict().tolist() == [HARD, NOISY, 0, 0, 0]
        assert reweight.weight(torch.arange(5)).tolist() == [1.5, 0, 1, 1, 1]

    def test_ranks_serve_the_next_epoch(self) -> None:
        reweight = small(noisy_fraction=0.0)
        reweight.record([0], [0.5], [1.0])
        assert reweight.weight([0, 1]).tolist() == [1, 1]
        reweight.end_epoch()
        reweight.record([0, 1], [1.0, 0.25], [1.0, 1.0])
        assert reweight.weight([0, 1]).tolist() == [1.5, 1]
        reweight.end_epoch()
        assert reweight.weight([0, 1]).tolist() == [1, 1.5]

    def test_rows_without_record_weigh_one_and_are_not_ranked(self) -> None:
        reweight = small(hard_fraction=0.0, noisy_fraction=1.0)
        reweight.record([3], [1.0], [0.0])
        reweight.end_epoch()
        assert reweight.weight(torch.arange(5)).tolist() == [1, 1, 1, 0, 1]

    def test_a_record_stays_through_epochs_without_another(self) -> None:
        reweight = small()
        reweight.record([0], [0.5], [1.0])
        for _ in range(3):
            reweight.end_epoch()
        assert reweight.weight([0]).tolist() == [1.5]

    def test_the_last_record_counts(self) -> None:
        reweight = small()
        many = 3000
        share = torch.rand(many, generator=torch.Generator().manual_seed(0))
        reweight.record(torch.arange(many) % 2, share, torch.arange(many))
        assert reweight.agreement[:2].equal(share[-2:])
        assert reweight.loss[:2].tolist() == [many - 2, many - 1]
        reweight.record([1], [0.25], [0.5])
        assert reweight.agreement[1] == 0.25
        assert reweight.loss[:2].tolist() == [many - 2, 0.5]

    def test_shares_are_of_the_trained_rows(self) -> None:
        reweight = AgreementReweighting(hard_fraction=0.5, noisy_fraction=0.25, warmup_epochs=0)
        reweight.bind(range(100), rows=[10, 20, 30, 40])
        assert reweight.total == 4
        reweight.record([10, 20, 30, 40], [0.5] * 4, [1, 2, 3, 4])
        reweight.end_epoch()
        assert reweight.weight([10, 20, 30, 40]).tolist() == [1, 0, 1.5, 1.5]
        assert reweight.diagnostics() == {"hard": 0.5, "noisy": 0.25, "agreement": 0.5}

    def test_binding_again_keeps_the_records(self) -> None:
        reweight = small()
        reweight.record([0], [0.5], [1.0])
        reweight.bind(range(5))
        assert reweight.agreement[0] == 0.5
        with pytest.raises(ValueError, match="set of 6 clips, where num_samples is 5"):
            reweight.bind(range(6))

    def test_loss_alone(self) -> None:
        reweight = small(rank_by="loss", hard_fraction=0.2, noisy_fraction=0.0, hard_weight=3)
        reweight.record([0, 1], [0.25, 1.0], [1.0, 2.0])
        reweight.end_epoch()
        assert reweight.weight([0, 1]).tolist() == [1, 3]

    def test_scope_batch_ranks_the_rows_asked_for(self) -> None:
        reweight = small(scope="batch", warmup_epochs=1)
        reweight.record([4, 3, 2, 1], [1.0, 0.5, 1.0, 0.5], [3.0, 1.0, 2.0, 1.0])
        assert reweight.weight([4, 3, 2, 1, 0]).tolist() == [1] * 5
        reweight.end_epoch()
        assert reweight.weight([4, 3, 2, 1, 0]).tolist() == [0, 1.5, 1, 1.5, 1]
        assert reweight.weight([3, 4]).tolist() == [1, 1]  # floor(0.4 * 2) and floor(0.2 * 2)
        assert reweight.weight([3, 1, 0]).tolist() == [1, 1.5, 1]  # a tie goes by row, not by place
        assert reweight.weight([2, 2, 4, 4, 0]).tolist() == [1, 1, 0, 0, 1]
        reweight.record([4, 2], [1.0, 1.0], [1.0, 5.0])
        assert reweight.weight([2, 2, 4, 4, 0]).tolist() == [0, 0, 1, 1, 1]

    def test_takes_numbers_lists_arrays_and_any_type(self) -> None:
        reweight = small()
        reweight.record(0, 0.5, 1)
        reweight.record(torch.tensor([1], dtype=torch.int32), torch.tensor([1 / 3], dtype=torch.float64), [2])
        shares = torch.tensor([0.75], dtype=torch.bfloat16, requires_grad=True)
        reweight.record(torch.tensor([2]).numpy(), shares, torch.ones(1, dtype=torch.float16))
        assert_close(reweight.agreement, torch.tensor([0.5, 1 / 3, 0.75, NAN, NAN]), equal_nan=True, rtol=0, atol=0)
        assert reweight.loss[:3].tolist() == [1, 2, 1]
        reweight.end_epoch()
        assert reweight.weight(1) == 1.5
        assert reweight.weight(1).dtype == torch.float32
        assert reweight.weight(torch.arange(4).view(2, 2)).tolist() == [[1.5, 1.5], [0, 1]]
        assert reweight.weight([]).tolist() == []

    def test_a_loss_that_is_not_finite(self) -> None:
        reweight = small()
        reweight.record([0, 1, 2], [1.0, 1.0, 1.0], [NAN, math.inf, 1e9])
        reweight.end_epoch()
        assert reweight.weight([0, 1, 2]).tolist() == [1, 0, 1]

    def test_goes_on_from_its_state_through_a_file(self) -> None:
        draw = random.Random(0)

        def epoch(reweight: AgreementReweighting, seen: list[tuple[list[int], list[float], list[float]]]) -> None:
            for rows, shares, losses in seen:
                reweight.record(rows, shares, losses)

        data = [[([draw.randrange(5)], [draw.choice([0.5, 1.0])], [draw.random()]) for _ in range(4)] for _ in range(6)]
        through, resumed = small(warmup_epochs=2), small(warmup_epochs=2)
        for i, steps in enumerate(data):
            epoch(through, steps)
            epoch(resumed, steps[:2])
            file = io.BytesIO()  # in the middle of the epoch
            torch.save(resumed.state_dict(), file)
            resumed = small(warmup_epochs=2)
            resumed.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
            epoch(resumed, steps[2:])
            through.end_epoch()
            resumed.end_epoch()
            assert resumed.epochs == i + 1
            assert through.weight(range(5)).equal(resumed.weight(range(5)))
            assert_close(through.state_dict(), resumed.state_dict(), rtol=0, atol=0, equal_nan=True)

    def test_a_state_is_a_copy(self) -> None:
        reweight = small()
        state, other = reweight.state_dict(), copy.deepcopy(reweight)
        reweight.record([0], [0.5], [1.0])
        assert state["agreement"].isnan().all()
        assert other.agreement.isnan().all()
        other.load_state_dict(state)
        other.record([0], [0.5], [1.0])
        assert state["agreement"].isnan().all()

    def test_refuses_a_state_of_another_size(self) -> None:
        with pytest.raises(ValueError, match="state of 5 clips, where num_samples is 6"):
            AgreementReweighting(6).load_state_dict(small().state_dict())

    @pytest.mark.parametrize(
        ("row", "agreement", "loss", "said"),
        [
            ([0, 5], [1, 1], [1, 1], "row 5 is not one of the 5"),
            ([-1], [1], [1], "row -1 is not one of the 5"),
            ([0.5], [1], [1], "rows of type torch.float64"),
            ([0, 1], [1], [1, 1], "2 rows, 1 agreements and 2 losses"),
            ([0], [1.25], [1], "agreement 1.25"),
            ([0, 1], [1, -0.25], [1, 1], "agreement -0.25"),
            ([0], [NAN], [1], "agreement nan"),
        ],
    )
    def test_refuses_records_and_keeps_what_it_had(self, row: Any, agreement: Any, loss: Any, said: str) -> None:
        reweight = small()
        with pytest.raises(ValueError, match=said):
            reweight.record(row, agreement, loss)
        assert reweight.agreement.isnan().all()

    def test_refuses_a_weight_of_a_row_that_is_not_there(self) -> None:
        with pytest.raises(ValueError, match="row 7 is not one of the 5"):
            small().weight(torch.tensor([1, 7]))

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"hard_fraction": 1.2}, "hard_fraction 1.2"),
            ({"noisy_fraction": -1.0}, "noisy_fraction -1.0"),
            ({"hard_fraction": 0.7, "noisy_fraction": 0.4}, "0.7 and noisy_fraction 0.4 add"),
            ({"hard_weight": -1.0}, "hard_weight -1.0"),
            ({"noisy_weight": NAN}, "noisy_weight nan"),
            ({"hard_weight": math.inf}, "hard_weight inf"),
            ({"warmup_epochs": -1}, "warmup_epochs -1"),
            ({"rank_by": "margin"}, "rank_by 'margin' is unknown; give agreement or loss"),
            ({"scope": "epoch"}, "scope 'epoch' is unknown; give dataset or batch"),
            ({"num_samples": 0}, "num_samples 0"),
        ],
    )
    def test_refuses_settings(self, wrong: dict[str, Any], said: str) -> None:
        with pytest.raises(ValueError, match=said):
            AgreementReweighting(**wrong)

    @pytest.mark.parametrize("fractions", [(0.0, 0.0), (1.0, 0.0), (0.7, 0.3), (0.9, 0.1), (0.1, 0.9)])
    def test_takes_shares_up_to_all(self, fractions: tuple[float, float]) -> None:
        reweight = small(hard_fraction=fractions[0], noisy_fraction=fractions[1])
        reweight.record(range(5), [0.5] * 5, range(5))
        reweight.end_epoch()
        count = torch.bincount(reweight.verdict(), minlength=3).tolist()
        assert count[HARD] == math.floor(5 * fractions[0])
        assert count[NOISY] == math.floor(5 * fractions[1])

    def test_refuses_use_before_the_rows_are_known(self) -> None:
        reweight = AgreementReweighting()
        for use in (
            lambda: reweight.record([0], [1.0], [1.0]),
            lambda: reweight.weight([0]),
            reweight.end_epoch,
            reweight.verdict,
            reweight.diagnostics,
            reweight.state_dict,
            lambda: reweight.load_state_dict({}),
        ):
            with pytest.raises(ValueError, match=r"call bind\(train_set\)"):
                use()

    def test_diagnostics_without_a_record(self) -> None:
        assert small().diagnostics() == {"hard": 0.0, "noisy": 0.0}


def test_the_state_knows_what_the_fractions_are_of() -> None:
    reweight = AgreementReweighting(hard_fraction=0.0, noisy_fraction=0.5, warmup_epochs=0)
    reweight.bind(range(10), rows=[0, 1, 2, 3])
    reweight.record([0, 1, 2, 3], [1.0] * 4, [0.1, 0.2, 0.3, 0.4])
    other = AgreementReweighting(10, hard_fraction=0.0, noisy_fraction=0.5, warmup_epochs=0)
    other.load_state_dict(reweight.state_dict())
    other.end_epoch()
    assert other.weight([0, 1, 2, 3]).tolist() == [1, 1, 0, 0]


def test_everything_stays_on_the_cpu_whatever_the_default_device_is() -> None:
    with torch.device("meta"):
        reweight = AgreementReweighting(4, warmup_epochs=0)
    reweight.record([0], [0.5], [1.0])
    reweight.end_epoch()
    assert reweight.weight([0, 1]).device.type == "cpu"


@pytest.mark.parametrize(
    "wrong", [{"num_samples": 2.5}, {"num_samples": 0}, {"warmup_epochs": 2.5}, {"warmup_epochs": -1}]
)
def test_numbers_of_clips_and_epochs_are_whole(wrong: dict[str, Any]) -> None:
    name, value = next(iter(wrong.items()))
    with pytest.raises(ValueError, match=rf"{name} {value} must (be a whole number|not be negative, nor a fraction)"):
        AgreementReweighting(**{"num_samples": 3, **wrong})
