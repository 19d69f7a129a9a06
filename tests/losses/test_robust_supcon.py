"""Robust contrastive loss, against HDF's Eq. 13-15 in plain loops, and every corner."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from dfer.losses import log_negative_weight, robust_supcon, supcon
from dfer.losses.robust_supcon import total_variance

LABELS = [[0, 0, 1, 1, 0, 2], [0, 1, 2], [3, 3], [0], [1, 1, 1, 1]]
KERNELS = ["tempered", "cosine", "none"]


def kernel(cosine: Tensor, temperature: float, eta: float, kernel_on: str) -> Tensor:
    s = {"tempered": cosine / temperature, "cosine": cosine, "none": torch.full_like(cosine, eta)}[kernel_on]
    return (-((s - eta) ** 2) / (2 * eta**2)).exp()


def slow(
    z: Tensor,
    label: list[int],
    temperature: float,
    eta: float,
    ib_weight: float,
    detach_weights: bool,
    kernel_on: str,
    weight: list[float],
) -> Tensor:
    """Eq. 13-15: anchors without a positive left out, clips of weight 0 nowhere, the covariance as a matrix."""
    unit = [row / row.norm() for row in z]
    there = [i for i in range(len(z)) if weight[i] != 0]
    total, anchors = z.sum() * 0, 0
    for i in there:
        positives = [j for j in there if j != i and label[j] == label[i]]
        if not positives:
            continue
        anchors += 1
        denominator = z.sum() * 0
        for a in there:
            if a == i:
                continue
            cosine = unit[i] @ unit[a]
            w = kernel(cosine, temperature, eta, kernel_on)
            if label[a] == label[i]:
                w = torch.ones_like(w)
            elif detach_weights:
                w = w.detach()
            denominator = denominator + w * (cosine / temperature).exp()
        terms = [((unit[i] @ unit[p] / temperature).exp() / denominator).log() for p in positives]
        total = total - weight[i] * sum(terms) / len(positives)
    loss = total / max(anchors, 1)
    if there:
        mean = sum(unit[i] for i in there) / len(there)
        covariance = sum(torch.outer(unit[i] - mean, unit[i] - mean) for i in there) / len(there)
        loss = loss + ib_weight * covariance.trace()
    return loss


def embeddings(count: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(count, 5, dtype=dtype, generator=torch.Generator().manual_seed(count)).requires_grad_()


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(("temperature", "eta"), [(0.07, 0.2), (0.5, 0.8)])
@pytest.mark.parametrize("kernel_on", KERNELS)
@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("weights", ["none", "ones", "some"])
def test_equals_the_equations(
    label: list[int], temperature: float, eta: float, kernel_on: Any, detach: bool, weights: str
) -> None:
    z, reference = embeddings(len(label)), embeddings(len(label))
    weight = [0.0 if i == 1 and weights == "some" else 1.5 if i == 0 and weights == "some" else 1.0 for i in range(6)]
    given = None if weights == "none" else torch.tensor(weight[: len(label)])
    loss = robust_supcon(z, torch.tensor(label), temperature, eta, 0.3, detach, kernel_on, given)
    expected = slow(reference, label, temperature, eta, 0.3, detach, kernel_on, weight)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(z.grad, reference.grad)


def test_the_defaults_are_the_papers_and_our_decisions() -> None:
    label, z, reference = LABELS[0], embeddings(6), embeddings(6)
    loss = robust_supcon(z, torch.tensor(label))
    expected = slow(reference, label, 0.07, 0.2, 0.1, True, "tempered", [1.0] * 6)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(z.grad, reference.grad)


@pytest.mark.parametrize("weight", [None, torch.tensor([1.0, 1.5, 0.0, 1.0, 0.5])])
@pytest.mark.parametrize("kernel_on", KERNELS)
def test_gradcheck(weight: Tensor | None, kernel_on: Any) -> None:
    label = torch.tensor([0, 0, 1, 1, 1])

    def loss(z: Tensor) -> Tensor:
        return robust_supcon(z, label, 0.5, 0.8, 0.3, detach_weights=False, kernel_on=kernel_on, weight=weight)

    assert torch.autograd.gradcheck(loss, embeddings(5))


@pytest.mark.parametrize("weight", [None, torch.tensor([1.0, 1.5, 0.0, 1.0, 0.5, 1.0])])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_without_kernel_and_trace_it_is_supcon(weight: Tensor | None, dtype: torch.dtype) -> None:
    z, label = embeddings(6, dtype), torch.tensor(LABELS[0])
    found = robust_supcon(z, label, 0.1, ib_weight=0.0, kernel_on="none", weight=weight)
    assert torch.equal(found, supcon(z, label, 0.1, weight))


@pytest.mark.parametrize("eta", [0.1, 0.2, 1.0])
def test_the_weights_equal_the_kernel(eta: float) -> None:
    cosine = torch.linspace(-1, 1, 41, dtype=torch.float64)
    for kernel_on in KERNELS:
        found = log_negative_weight(cosine, 0.07, eta, kernel_on).exp()  # type: ignore[arg-type]
        torch.testing.assert_close(found, kernel(cosine, 0.07, eta, kernel_on))


def test_with_the_papers_constants_nearly_every_negative_weighs_nothing() -> None:
    cosine = torch.linspace(-1, 1, 20001, dtype=torch.float64)
    weighty = cosine[log_negative_weight(cosine).exp() > 0.01]
    assert weighty.min().item() == pytest.approx(-0.0285, abs=2e-4)
    assert weighty.max().item() == pytest.approx(0.0565, abs=2e-4)
    assert weighty.numel() < 0.05 * cosine.numel()


def test_collapse_minimises_the_loss_with_the_papers_constants() -> None:
    label = torch.tensor([0, 0, 0, 1, 1, 2, 2])
    collapsed = robust_supcon(torch.ones(7, 3), label).item()
    assert collapsed == pytest.approx((3 * math.log(2)) / 7)  # log |P(i)|, and no trace
    apart = torch.eye(3)[label]
    assert collapsed < robust_supcon(apart, label).item()
    assert all(collapsed < robust_supcon(embeddings(7, torch.float32) + i, label).item() for i in range(5))


@pytest.mark.parametrize("label", [[0, 1, 2, 3], [0], [0, 0, 0], [0, 0, 1]])
@pytest.mark.parametrize("scale", [0.0, 1e-4, 1.0, 1e4])
@pytest.mark.parametrize("kernel_on", KERNELS)
@pytest.mark.parametrize("detach", [True, False])
def test_corners_are_finite_with_finite_gradients(label: list[int], scale: float, kernel_on: Any, detach: bool) -> None:
    ones, zeros = torch.ones(len(label)), torch.zeros(len(label))
    for dtype, weight in ((torch.float32, None), (torch.bfloat16, ones), (torch.float32, zeros)):
        z = (embeddings(len(label), torch.float32).detach() * scale).to(dtype).requires_grad_()
        with torch.autograd.set_detect_anomaly(True):
            loss = robust_supcon(z, torch.tensor(label), detach_weights=detach, kernel_on=kernel_on, weight=weight)
            loss.backward()
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        assert z.grad is not None
        assert z.grad.isfinite().all()
        if weight is not None and weight.sum() == 0:
            assert loss == 0
            assert (z.grad == 0).all()


@pytest.mark.parametrize("eta", [1e-30, 1e-3, 1e3, 1e30])
@pytest.mark.parametrize("detach", [True, False])
def test_narrow_and_wide_kernels_are_finite(eta: float, detach: bool) -> None:
    z = embeddings(5, torch.float32)
    loss = robust_supcon(z, torch.tensor([0, 0, 1, 1, 2]), eta=eta, detach_weights=detach)
    loss.backward()
    assert loss.isfinite()
    assert z.grad is not None
    assert z.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("detach", [True, False])
def test_duplicates_and_one_zero_embedding_are_finite(dtype: torch.dtype, detach: bool) -> None:
    z = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]], dtype=dtype, requires_grad=True)
    loss = robust_supcon(z, torch.tensor([0, 0, 0, 1]), detach_weights=detach)
    loss.backward()
    assert loss.isfinite()
    assert z.grad is not None
    assert z.grad.isfinite().all()


def test_without_a_positive_pair_the_trace_stays() -> None:
    z, label = embeddings(4), torch.arange(4)
    assert robust_supcon(z, label, ib_weight=0.0) == 0
    found = robust_supcon(z, label, ib_weight=0.5)
    torch.testing.assert_close(found, 0.5 * total_variance(z / z.norm(dim=1, keepdim=True)))
    assert torch.autograd.grad(found, z)[0].abs().sum() > 0


@pytest.mark.parametrize("weight", [torch.tensor([1.0, 0.0, 1.0, 2.0, 0.5, 0.0]), torch.full((6,), 3.0)])
def test_the_variance_counts_present_clips_alike(weight: Tensor) -> None:
    z = embeddings(6).detach()
    left = z[weight != 0]
    expected = torch.cov(left.T, correction=0).trace()
    torch.testing.assert_close(total_variance(z, weight), expected)
    torch.testing.assert_close(total_variance(left), expected)


def test_a_clip_of_weight_zero_is_nowhere() -> None:
    z, label = embeddings(6), torch.tensor(LABELS[0])
    weight = torch.tensor([1.0, 1.0, 0.0, 1.0, 1.0, 1.0])
    keep = weight != 0
    for kernel_on in ("tempered", "cosine"):
        found = robust_supcon(z, label, 0.5, kernel_on=kernel_on, weight=weight)  # type: ignore[arg-type]
        expected = robust_supcon(z[keep], label[keep], 0.5, kernel_on=kernel_on)  # type: ignore[arg-type]
        torch.testing.assert_close(found, expected)


def test_only_the_direction_counts() -> None:
    z, label = embeddings(6).detach(), torch.tensor(LABELS[0])
    scale = torch.tensor([1e-4, 1.0, 3.0, 1e4, 0.5, 20.0], dtype=torch.float64)[:, None]
    torch.testing.assert_close(robust_supcon(scale * z, label), robust_supcon(z, label))


def test_bfloat16_is_computed_in_float32() -> None:
    z, label = embeddings(6, torch.bfloat16), torch.tensor(LABELS[0])
    exact = robust_supcon(z.float(), label, kernel_on="cosine")
    with torch.autocast("cpu", torch.bfloat16):
        found = robust_supcon(z, label, kernel_on="cosine")
        weighted = robust_supcon(z, label, kernel_on="cosine", weight=torch.ones(6))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact)
    torch.testing.assert_close(weighted, exact)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"temperature": 0.0}, "temperature 0.0"),
        ({"temperature": float("inf")}, "temperature inf"),
        ({"eta": 0.0}, "eta 0.0"),
        ({"eta": -0.2}, "eta -0.2"),
        ({"eta": float("nan")}, "eta nan"),
        ({"eta": float("inf")}, "eta inf"),
        ({"ib_weight": -0.1}, "ib_weight -0.1"),
        ({"ib_weight": float("nan")}, "ib_weight nan"),
        ({"ib_weight": float("inf")}, "ib_weight inf"),
        ({"kernel_on": "gauss"}, "kernel_on 'gauss' is none of tempered, cosine, none"),
    ],
)
def test_bad_arguments_are_refused_with_the_value(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        robust_supcon(torch.zeros(2, 2), torch.zeros(2), **arguments)
    if "ib_weight" not in arguments:
        with pytest.raises(ValueError, match=said):
            log_negative_weight(torch.zeros(2), **arguments)
