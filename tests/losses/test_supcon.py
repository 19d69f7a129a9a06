"""Supervised contrastive loss, against the equation in plain loops."""

import math

import pytest
import torch
from torch import Tensor

from dfer.losses import SupCon, supcon
from dfer.types import Batch, Output

LABELS = [[0, 0, 1, 1, 0, 2], [0, 1, 2], [3, 3], [0], [1, 1, 1, 1]]


def slow(z: Tensor, label: list[int], temperature: float, weight: list[float]) -> Tensor:
    """SAFE, Eq. 9: anchors without a positive left out, clips of weight 0 nowhere."""
    unit = [row / row.norm() for row in z]
    there = [i for i in range(len(z)) if weight[i] != 0]
    total, anchors = z.sum() * 0, 0
    for i in there:
        positives = [j for j in there if j != i and label[j] == label[i]]
        if not positives:
            continue
        anchors += 1
        denominator = sum((unit[i] @ unit[k] / temperature).exp() for k in there if k != i)
        terms = [(unit[i] @ unit[j] / temperature).exp() / denominator for j in positives]
        total = total - weight[i] * sum(term.log() for term in terms) / len(positives)
    return total / max(anchors, 1)


def embeddings(count: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(count, 5, dtype=dtype, generator=torch.Generator().manual_seed(count)).requires_grad_()


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("temperature", [0.005, 0.07, 0.5])
@pytest.mark.parametrize("weights", ["none", "ones", "some"])
def test_equals_the_equation(label: list[int], temperature: float, weights: str) -> None:
    z, reference = embeddings(len(label)), embeddings(len(label))
    weight = [0.0 if i == 1 and weights == "some" else 1.5 if i == 0 and weights == "some" else 1.0 for i in range(9)]
    given = None if weights == "none" else torch.tensor(weight[: len(label)], dtype=torch.float64)
    loss = supcon(z, torch.tensor(label), temperature, given)
    expected = slow(reference, label, temperature, weight)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(z.grad, reference.grad)


@pytest.mark.parametrize("weight", [None, torch.tensor([1.0, 1.5, 0.0, 1.0, 0.5])])
def test_gradcheck(weight: Tensor | None) -> None:
    label = torch.tensor([0, 0, 1, 1, 1])
    assert torch.autograd.gradcheck(lambda z: supcon(z, label, 0.3, weight), embeddings(5))


@pytest.mark.parametrize("label", [[0, 1, 2, 3], [0], [0, 0, 0]])
@pytest.mark.parametrize("scale", [0.0, 1e-4, 1.0, 1e4])
def test_corners_are_finite_with_finite_gradients(label: list[int], scale: float) -> None:
    z = (embeddings(len(label), torch.float32).detach() * scale).requires_grad_()
    loss = supcon(z, torch.tensor(label))
    loss.backward()
    assert loss.isfinite()
    assert z.grad is not None
    assert z.grad.isfinite().all()
    if len(set(label)) == len(label):
        assert loss == 0
        assert (z.grad == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_zero_embedding_among_others_is_finite(dtype: torch.dtype) -> None:
    z = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=dtype, requires_grad=True)
    loss = supcon(z, torch.tensor([0, 0, 1]))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2))  # it is as near to the one as to the other
    assert z.grad is not None
    assert z.grad.isfinite().all()


def test_a_positive_of_weight_zero_leaves_an_anchor_alone() -> None:
    z, label = embeddings(3), torch.tensor([0, 0, 1])
    loss = supcon(z, label, weight=torch.tensor([1.0, 0.0, 1.0]))
    assert loss == 0


@pytest.mark.parametrize("label", [[0], [0, 0, 1]])
def test_anomaly_detection_finds_nothing(label: list[int]) -> None:
    z, weight = embeddings(len(label)), torch.zeros(len(label))  # every row is masked whole
    with torch.autograd.set_detect_anomaly(True):
        supcon(z, torch.tensor(label), weight=weight).backward()
    assert z.grad is not None
    assert (z.grad == 0).all()


def test_only_the_direction_counts() -> None:
    z, label = embeddings(6).detach(), torch.tensor(LABELS[0])
    scale = torch.tensor([1e-4, 1.0, 3.0, 1e4, 0.5, 20.0], dtype=torch.float64)[:, None]
    torch.testing.assert_close(supcon(scale * z, label), supcon(z, label))


def test_all_weights_zero_is_zero() -> None:
    z = embeddings(4)
    loss = supcon(z, torch.tensor([0, 0, 1, 1]), weight=torch.zeros(4))
    loss.backward()
    assert loss == 0
    assert z.grad is not None
    assert (z.grad == 0).all()


def test_equal_embeddings_give_the_log_of_their_number() -> None:
    loss = supcon(torch.ones(5, 3), torch.tensor([0, 0, 0, 1, 1]))
    assert loss.item() == pytest.approx(math.log(4))


def test_bfloat16_is_computed_in_float32() -> None:
    z = embeddings(6, torch.float32).detach().to(torch.bfloat16)
    label = torch.tensor(LABELS[0])
    exact = supcon(z.float(), label)
    with torch.autocast("cpu", torch.bfloat16):
        found = supcon(z, label)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_not_positive_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match=f"temperature {temperature}"):
        supcon(torch.zeros(2, 2), torch.zeros(2), temperature)
    with pytest.raises(ValueError, match=f"temperature {temperature}"):
        SupCon(temperature)


def test_the_class_takes_the_batchs_weights() -> None:
    z, label, weight = embeddings(6), torch.tensor(LABELS[0]), torch.tensor([1.0, 0.5, 0, 1, 1, 1])
    batch = Batch(torch.zeros(6, 3, 1, 1, 1), label, torch.arange(6), weight)
    found = SupCon(0.2)(Output(torch.zeros(6, 3), z), batch)
    assert torch.equal(found, supcon(z, label, 0.2, weight))
