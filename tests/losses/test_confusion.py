"""Confusion-aware loss, against Eq. 6 in plain loops."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from dfer.losses import ConfusionAware, confusion_aware
from dfer.types import Batch, Output


def slow(logits: Tensor, label: list[int], top_k: int) -> Tensor:
    """SAFE, Eq. 6 and Table V."""
    losses = []
    for row, y in zip(logits, label):
        rivals = sorted((float(value), m) for m, value in enumerate(row.detach()) if m != y)[::-1][:top_k]
        losses.append(-(row[y].exp() / (row[y].exp() + sum(row[m].exp() for _, m in rivals))).log())
    return torch.stack(losses)


def random_logits(count: int = 6, classes: int = 7) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, classes, dtype=torch.float64, generator=generator).requires_grad_()


@pytest.mark.parametrize("top_k", [1, 2, 3, 6])
def test_equals_the_equation(top_k: int) -> None:
    logits, reference, label = random_logits(), random_logits(), [0, 3, 6, 2, 2, 5]
    loss, expected = confusion_aware(logits, torch.tensor(label), top_k), slow(reference, label, top_k)
    torch.testing.assert_close(loss, expected)
    loss.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(logits.grad, reference.grad)


@pytest.mark.parametrize("top_k", [1, 3])
def test_gradcheck(top_k: int) -> None:
    label = torch.tensor([0, 3, 6, 2, 2, 5])
    assert torch.autograd.gradcheck(lambda logits: confusion_aware(logits, label, top_k), random_logits())


@pytest.mark.parametrize("label", [[4], [2, 2, 2]])
def test_one_clip_and_one_class(label: list[int]) -> None:
    logits = random_logits(len(label))
    torch.testing.assert_close(confusion_aware(logits, torch.tensor(label)), slow(logits, label, 1))


def test_two_classes_are_cross_entropy() -> None:
    logits, label = random_logits(4, classes=2), torch.tensor([0, 1, 1, 0])
    torch.testing.assert_close(confusion_aware(logits, label), F.cross_entropy(logits, label, reduction="none"))


def test_all_rivals_are_cross_entropy() -> None:
    logits, label = random_logits(), torch.arange(6)
    torch.testing.assert_close(confusion_aware(logits, label, 6), F.cross_entropy(logits, label, reduction="none"))


def test_reductions() -> None:
    logits, label = random_logits(), torch.arange(6)
    each = confusion_aware(logits, label)
    torch.testing.assert_close(confusion_aware(logits, label, reduction="mean"), each.mean())
    torch.testing.assert_close(confusion_aware(logits, label, reduction="sum"), each.sum())
    with pytest.raises(ValueError, match="'total'"):
        confusion_aware(logits, label, reduction="total")  # type: ignore[arg-type]


@pytest.mark.parametrize("scale", [1e4, -1e4])
@pytest.mark.parametrize("top_k", [1, 3])
def test_large_logits_stay_finite(scale: float, top_k: int) -> None:
    logits = torch.tensor([[scale, 0.0, -scale, 1.0], [0.0, 0.0, 0.0, 0.0]], requires_grad=True)
    loss = confusion_aware(logits, torch.tensor([0, 1]), top_k)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    # ahead by 1e4, or behind the best rival by 1e4 (row 0 then has 1e4 at class 2 and -1e4 at class 0)
    assert loss[0].item() == pytest.approx(0.0 if scale > 0 else 2e4)
    assert loss[1].item() == pytest.approx(math.log(1 + top_k))


@pytest.mark.parametrize("autocast", [False, True])
def test_bfloat16_is_computed_in_float32(autocast: bool) -> None:
    logits = random_logits().detach().to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = confusion_aware(logits, torch.arange(6))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, confusion_aware(logits.float(), torch.arange(6)))


@pytest.mark.parametrize(
    ("top_k", "said"), [(7, "top_k 7 of 7"), (9, "top_k 9 of 7"), (0, "top_k 0"), (-1, "top_k -1")]
)
def test_rivals_that_there_are_not_are_refused(top_k: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        confusion_aware(random_logits(), torch.arange(6), top_k)


def test_the_class_weighs_clips() -> None:
    logits, weight = random_logits(4), torch.tensor([1.0, 0.0, 1.5, 1.0])
    batch = Batch(torch.zeros(4, 3, 1, 1, 1), torch.arange(4), torch.arange(4), weight)
    found = ConfusionAware(2)(Output(logits, logits), batch)
    each = slow(logits, [0, 1, 2, 3], 2)
    torch.testing.assert_close(found, (each * weight).sum() / 4)
    with pytest.raises(ValueError, match="top_k 0"):
        ConfusionAware(0)
