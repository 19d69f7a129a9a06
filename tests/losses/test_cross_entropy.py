import math

import pytest
import torch
from torch.testing import assert_close

from dfer.losses import CrossEntropy, cross_entropy
from dfer.types import Batch, Output


def slow(logits: list[list[float]], label: list[int], smoothing: float, weight: list[float]) -> float:
    total = 0.0
    for z, y, w in zip(logits, label, weight):
        log_sum = math.log(sum(math.exp(value) for value in z))
        for k, value in enumerate(z):
            target = (1 - smoothing) * (k == y) + smoothing / len(z)
            total -= w * target * (value - log_sum)
    return total / len(label)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("weight", [[1.0, 1.0, 1.0], [1.5, 0.0, 0.2], [0.0, 0.0, 0.0]])
def test_equals_the_equation(smoothing: float, weight: list[float]) -> None:
    logits, label = torch.randn(3, 7, dtype=torch.float64).float(), torch.tensor([0, 6, 2])
    expected = slow(logits.double().tolist(), label.tolist(), smoothing, weight)
    assert_close(cross_entropy(logits, label, smoothing, torch.tensor(weight)), torch.tensor(expected))
    batch = Batch(torch.zeros(3, 3, 1, 1, 1), label, torch.arange(3), torch.tensor(weight))
    assert_close(CrossEntropy(smoothing)(Output(logits, logits), batch), torch.tensor(expected))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_huge_logits_stay_finite(dtype: torch.dtype) -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0]], dtype=dtype, requires_grad=True)
    loss = cross_entropy(logits, torch.tensor([1]), 0.1)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_bad_smoothing_is_refused(smoothing: float) -> None:
    with pytest.raises(ValueError, match=str(smoothing)):
        CrossEntropy(smoothing)
