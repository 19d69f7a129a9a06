import io
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dfer.errors import InputError
from dfer.losses import CrossEntropy, SoftCrossEntropy, WeightedSum, cross_entropy, soft_cross_entropy
from dfer.types import Batch, Output


def slow(
    logits: Tensor, label: list[int], votes: list[list[float]], strength: float, weight: list[float] | None
) -> Tensor:
    total = torch.zeros((), dtype=logits.dtype)
    for i, row in enumerate(logits):
        below = sum((math.e**z for z in row), torch.zeros((), dtype=logits.dtype))
        for k, z in enumerate(row):
            target = strength * votes[i][k] + (1 - strength) * (k == label[i])
            total = total - (1.0 if weight is None else weight[i]) * target * (math.e**z / below).log()
    return total / len(logits)


VOTES = [[0.7, 0.2, 0.1, 0.0], [0.0, 1.0, 0.0, 0.0], [0.1, 0.3, 0.6, 0.0], [0.5, 0.5, 0.0, 0.0]]
LABEL = [0, 1, 2, 1]


def logits_of(count: int = 4, classes: int = 4) -> Tensor:
    return 2 * torch.randn(count, classes, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("weight", [None, [1.5, 0.0, 1.0, 0.5]])
def test_it_equals_the_sum_of_its_definition(strength: float, weight: list[float] | None) -> None:
    one, other = logits_of().requires_grad_(), logits_of().requires_grad_()
    given = None if weight is None else torch.tensor(weight)
    found = soft_cross_entropy(one, torch.tensor(LABEL), torch.tensor(VOTES), strength, given)
    expected = slow(other, LABEL, VOTES, strength, weight)
    torch.testing.assert_close(found, expected)
    found.backward()
    expected.backward()
    torch.testing.assert_close(one.grad, other.grad)


def test_without_votes_it_is_cross_entropy() -> None:
    logits, label, weight = logits_of(), torch.tensor(LABEL), torch.tensor([1.0, 0.0, 2.0, 1.0])
    plain = cross_entropy(logits, label, weight=weight)
    torch.testing.assert_close(soft_cross_entropy(logits, label, torch.tensor(VOTES), 0.0, weight), plain)
    certain = torch.nn.functional.one_hot(label, 4).float()
    torch.testing.assert_close(soft_cross_entropy(logits, label, certain, 1.0, weight), plain)


def test_it_is_least_where_the_model_says_what_was_voted() -> None:
    votes = torch.tensor(VOTES[:1])
    logits = torch.zeros(1, 4, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(500):
        optimizer.zero_grad()
        soft_cross_entropy(logits, torch.tensor([0]), votes).backward()
        optimizer.step()
    torch.testing.assert_close(logits.softmax(1).detach(), votes, atol=0.01, rtol=0)


def test_bfloat16_is_computed_in_float32() -> None:
    logits = logits_of().bfloat16()
    found = soft_cross_entropy(logits, torch.tensor(LABEL), torch.tensor(VOTES))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, soft_cross_entropy(logits.float(), torch.tensor(LABEL), torch.tensor(VOTES)))


def voted(shares: Any) -> Any:
    return SimpleNamespace(soft_labels=lambda: None if shares is None else np.array(shares, np.float32))


def batch_of(row: list[int], weight: list[float] | None = None) -> Batch:
    label = torch.tensor([LABEL[i] for i in row])
    weights = torch.ones(len(row)) if weight is None else torch.tensor(weight)
    return Batch(torch.zeros(len(row), 3, 1, 1, 1), label, torch.tensor(row), weights)


@pytest.mark.parametrize("row", [[0, 1, 2, 3], [3, 1], [2], [1, 1, 0]])
def test_votes_are_looked_up_by_row(row: list[int]) -> None:
    loss = SoftCrossEntropy(0.6)
    loss.bind(voted(VOTES))
    weight = [0.5 + i for i in range(len(row))]
    output = Output(logits_of(len(row)), torch.zeros(len(row), 2))
    expected = slow(output.logits, [LABEL[i] for i in row], [VOTES[i] for i in row], 0.6, weight)
    torch.testing.assert_close(loss(output, batch_of(row, weight)), expected)


def test_in_evaluation_it_is_plain_cross_entropy() -> None:
    loss = SoftCrossEntropy().eval()
    batch = batch_of([0, 1])._replace(row=torch.tensor([900, 901]))  # rows of another set
    output = Output(logits_of(2), torch.zeros(2, 2))
    loss.bind(voted(VOTES))
    assert torch.equal(loss(output, batch), CrossEntropy()(output, batch))


def test_a_set_without_votes_is_refused_in_one_line() -> None:
    with pytest.raises(
        InputError, match=r"^this copy of SimpleNamespace has no votes, which .*annotation.xlsx.*Cross"
    ) as e:
        SoftCrossEntropy().bind(voted(None))
    assert "\n" not in str(e.value)


def test_votes_of_other_classes_are_refused() -> None:
    loss = SoftCrossEntropy()
    loss.bind(voted(VOTES))
    with pytest.raises(ValueError, match="votes on 4 classes where the logits have 7"):
        loss(Output(torch.zeros(2, 7), torch.zeros(2, 2)), batch_of([0, 1]))


def test_training_without_bind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"knows no votes; call bind\(train_set\)"):
        SoftCrossEntropy()(Output(logits_of(2), torch.zeros(2, 2)), batch_of([0, 1]))


@pytest.mark.parametrize("strength", [-0.1, 1.1, math.nan, math.inf])
def test_bad_strengths_are_refused_with_the_value(strength: float) -> None:
    with pytest.raises(ValueError, match=f"strength {strength}"):
        SoftCrossEntropy(strength)


def test_votes_follow_the_device_before_and_after_bind() -> None:
    early = SoftCrossEntropy().to("meta")
    early.bind(voted(VOTES))
    late = SoftCrossEntropy()
    late.bind(voted(VOTES))
    assert early.votes.device == late.to("meta").votes.device == torch.device("meta")


def test_votes_are_no_part_of_a_checkpoint() -> None:
    bound, fresh = SoftCrossEntropy(), SoftCrossEntropy()
    bound.bind(voted(VOTES))
    assert bound.state_dict() == {}
    fresh.load_state_dict(bound.state_dict())
    file = io.BytesIO()
    torch.save(bound, file)  # whole, it keeps them
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False).votes, torch.tensor(VOTES))


def test_it_counts_as_cross_entropy_in_a_sum() -> None:
    with pytest.raises(ValueError, match="counted by CrossEntropy and SoftCrossEntropy"):
        WeightedSum([CrossEntropy(), SoftCrossEntropy()], [1.0, 1.0])
    total = WeightedSum([SoftCrossEntropy()], [0.5])
    total.bind(voted(VOTES))
    output = Output(logits_of(2), torch.zeros(2, 2))
    expected = 0.5 * slow(output.logits, LABEL[:2], VOTES[:2], 1.0, None)
    torch.testing.assert_close(total(output, batch_of([0, 1])), expected)
