"""Ambiguity-aware calibration loss, against Eq. 6-10 in plain loops, and every corner."""

import importlib
import logging
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dfer.losses import (
    AmbiguityCalibrationLoss,
    ConfusionAware,
    CrossEntropy,
    WeightedSum,
    ambiguity_aware,
    class_factor,
    supcon,
)
from dfer.types import Batch, Output

COUNTS = [60, 30, 10, 0]


def slow_logit_term(logits: Tensor, label: list[int], counts: list[int], alpha: Tensor, weight: list[float]) -> Tensor:
    """Eq. 6-8 as they are printed; f_MA is a plain number."""
    total = logits.sum() * 0
    for row, y, w in zip(logits, label, weight):
        rival = max(float(value) for m, value in enumerate(row.detach()) if m != y)
        m = next(m for m, value in enumerate(row.detach()) if m != y and float(value) == rival)
        confusion = -(row[y].exp() / (row[y].exp() + row[m].exp())).log()
        doubt = 1 - float(row[y].detach().exp() / row.detach().exp().sum())
        rarity = sum(counts) / (len(counts) * counts[y]) if counts[y] else 0.0
        fused = (alpha[0] * (doubt * confusion) ** 2 + alpha[1] * (rarity * confusion) ** 2) / 2
        total = total + w * fused.sqrt()
    return total / len(label)


def slow_cross_entropy(logits: Tensor, label: list[int], smoothing: float, weight: list[float]) -> Tensor:
    total = logits.sum() * 0
    for row, y, w in zip(logits, label, weight):
        log_p = (row.exp() / row.exp().sum()).log()
        total = total - w * ((1 - smoothing) * log_p[y] + smoothing * log_p.mean())
    return total / len(label)


def slow_contrast(z: Tensor, label: list[int], temperature: float, weight: list[float]) -> Tensor:
    """Eq. 9 over the clips whose weight is not 0; anchors without a positive left out."""
    unit, there = [row / row.norm() for row in z], [i for i in range(len(z)) if weight[i] != 0]
    total, anchors = z.sum() * 0, 0
    for i in there:
        positives = [j for j in there if j != i and label[j] == label[i]]
        others = sum((unit[i] @ unit[k] / temperature).exp() for k in there if k != i)
        for j in positives:
            total = total - weight[i] * ((unit[i] @ unit[j] / temperature).exp() / others).log() / len(positives)
        anchors += bool(positives)
    return total / max(anchors, 1)


def batch_of(label: list[int], weight: list[float] | None = None) -> Batch:
    count = len(label)
    weights = torch.ones(count) if weight is None else torch.tensor(weight)
    return Batch(torch.zeros(count, 3, 1, 1, 1), torch.tensor(label), torch.arange(count), weights)


def output_of(count: int, classes: int = 4, dtype: torch.dtype = torch.float64) -> Output:
    generator = torch.Generator().manual_seed(count)
    logits = torch.randn(count, classes, dtype=dtype, generator=generator).requires_grad_()
    return Output(logits, torch.randn(count, 6, dtype=dtype, generator=generator).requires_grad_())


@pytest.mark.parametrize("weight", [[1.0] * 5, [1.5, 0.0, 1.0, 1.0, 0.5]])
@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_the_logit_term_equals_the_equations(weight: list[float], scale: float) -> None:
    label, alpha = [0, 1, 2, 1, 3], torch.tensor([0.7, 1.3], dtype=torch.float64, requires_grad=True)
    one, other = ((scale * output_of(5).logits.detach()).requires_grad_() for _ in range(2))
    factor = torch.from_numpy(class_factor(COUNTS))
    loss = ambiguity_aware(one, torch.tensor(label), factor, alpha, weight=torch.tensor(weight))
    (of_alpha,) = torch.autograd.grad(loss, alpha, retain_graph=True)
    expected = slow_logit_term(other, label, COUNTS, alpha, weight)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    alpha.grad = None
    expected.backward()
    torch.testing.assert_close(one.grad, other.grad)
    torch.testing.assert_close(of_alpha, alpha.grad)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weight", [[1.0] * 5, [1.5, 0.0, 1.0, 1.0, 0.5]])
def test_the_whole_equals_the_equations(smoothing: float, weight: list[float]) -> None:
    label, one, other = [0, 1, 2, 1, 2], output_of(5), output_of(5)
    loss = AmbiguityCalibrationLoss(COUNTS, 0.3, 0.2, temperature=0.5, label_smoothing=smoothing).double()
    theta = torch.tensor([0.4, -0.9], dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        loss.theta.copy_(theta)
    alpha = 0.5 + theta.exp() / theta.exp().sum()
    expected = (
        slow_cross_entropy(other.logits, label, smoothing, weight)
        + 0.3 * slow_logit_term(other.logits, label, COUNTS, alpha, weight)
        + 0.2 * slow_contrast(other.embedding, label, 0.5, weight)
    )
    found = loss(one, batch_of(label, weight))
    found.backward()
    expected.backward()
    near = {"check_dtype": False, "rtol": 1e-5, "atol": 1e-6}  # cross-entropy and the factors are float32
    torch.testing.assert_close(found, expected, **near)
    torch.testing.assert_close(one.logits.grad, other.logits.grad, **near)
    torch.testing.assert_close(one.embedding.grad, other.embedding.grad, **near)
    torch.testing.assert_close(loss.theta.grad, theta.grad, **near)


def test_the_default_weights_are_the_papers() -> None:
    label, output, ones = [0, 1, 2, 1, 2], output_of(5), [1.0] * 5
    expected = (
        slow_cross_entropy(output.logits, label, 0.0, ones)
        + 0.05 * slow_logit_term(output.logits, label, COUNTS, torch.ones(2), ones)
        + 0.001 * slow_contrast(output.embedding, label, 0.07, ones)
    )
    found = AmbiguityCalibrationLoss(COUNTS)(output, batch_of(label))
    torch.testing.assert_close(found, expected, check_dtype=False, rtol=1e-6, atol=1e-6)


def test_the_factor_by_hand() -> None:
    np.testing.assert_allclose(class_factor(COUNTS), [100 / 240, 100 / 120, 100 / 40, 0])
    np.testing.assert_allclose(class_factor([5, 5]), [1, 1])


def test_no_gradient_through_doubt() -> None:
    logits = torch.tensor([[0.3, 0.1, -2.0]], dtype=torch.float64, requires_grad=True)
    ambiguity_aware(logits, torch.tensor([0]), torch.zeros(3), torch.ones(2)).backward()
    assert logits.grad is not None
    assert logits.grad[0, 2] == 0  # the third class is in p_y alone


def test_gradcheck_of_alpha() -> None:
    logits, factor = output_of(5).logits.detach(), torch.ones(4, dtype=torch.float64)
    alpha = torch.tensor([0.9, 1.1], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: ambiguity_aware(logits, torch.arange(5) % 4, factor, a), alpha)


@pytest.mark.parametrize("label", [[0], [0, 0, 0], [0, 1, 1], [3, 3, 0]])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4, -1e4])
@pytest.mark.parametrize("weight", [0.0, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_corners_are_finite_with_finite_gradients(
    label: list[int], scale: float, weight: float, dtype: torch.dtype
) -> None:
    logits = (scale * output_of(len(label)).logits.detach()).to(dtype).requires_grad_()
    embedding = (scale * output_of(len(label)).embedding.detach()).to(dtype).requires_grad_()
    loss = AmbiguityCalibrationLoss(COUNTS)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        value = loss(Output(logits, embedding), batch_of(label, [weight] * len(label)))
    value.backward()
    assert value.dtype == torch.float32
    assert value.isfinite()
    for part in (logits, embedding, loss.theta):
        assert part.grad is not None
        assert part.grad.isfinite().all()


def test_bfloat16_is_computed_in_float32() -> None:
    output, batch = output_of(5, dtype=torch.bfloat16), batch_of([0, 1, 2, 1, 0])
    loss = AmbiguityCalibrationLoss(COUNTS, 1.0, 1.0)
    exact = loss(Output(output.logits.float(), output.embedding.float()), batch)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(loss(output, batch), exact)


def test_a_small_doubt_is_not_rounded_up() -> None:
    logits, counts = torch.tensor([[8.0, 0.0, 0.0, 0.0]], dtype=torch.float64), COUNTS[::-1]
    factor, alpha = torch.from_numpy(class_factor(counts)), torch.ones(2, dtype=torch.float64)
    expected = slow_logit_term(logits, [0], counts, alpha, [1.0])  # no rarity, a doubt of 0.001
    torch.testing.assert_close(ambiguity_aware(logits, torch.tensor([0]), factor, alpha), expected, rtol=1e-7, atol=0)


def test_certain_and_right_is_finite() -> None:
    logits = torch.tensor([[40.0, 0.0, 0.0, 0.0]], requires_grad=True)
    loss = AmbiguityCalibrationLoss(COUNTS[::-1])  # class 0 has no training clip: the radicand is 0
    loss(Output(logits, torch.zeros(1, 2)), batch_of([0])).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert loss.theta.grad is not None
    assert loss.theta.grad.isfinite().all()


def test_alpha_learns_within_its_bounds() -> None:
    loss, output = AmbiguityCalibrationLoss(COUNTS, logit_weight=1.0), output_of(8, dtype=torch.float32)
    assert loss.alpha.tolist() == [1.0, 1.0]
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        loss(output, batch_of([0, 1, 2, 0, 1, 2, 0, 1])).backward()
        optimizer.step()
    first, second = loss.alpha.tolist()
    assert abs(first - second) > 0.3
    assert 0.5 <= min(first, second) < max(first, second) <= 1.5
    assert first + second == pytest.approx(2)


def test_theta_is_in_the_state_and_counts_are_not() -> None:
    one, other = AmbiguityCalibrationLoss(COUNTS), AmbiguityCalibrationLoss([1, 1, 1, 1])
    with torch.no_grad():
        one.theta.add_(torch.tensor([1.0, 2.0]))
    assert set(one.state_dict()) == {"theta"}
    other.load_state_dict(one.state_dict())
    assert torch.equal(other.alpha, one.alpha)


def test_the_state_of_a_bound_loss_is_theta_too() -> None:
    loss = AmbiguityCalibrationLoss()
    loss.bind(dataset(COUNTS))
    assert set(loss.state_dict()) == {"theta"}


def test_counts_are_bound_where_the_loss_is() -> None:
    loss = AmbiguityCalibrationLoss().to("meta")
    loss.bind(dataset(COUNTS))
    assert loss.factor is not None
    assert loss.factor.device.type == "meta"


def test_theta_is_trained_only_where_its_term_is() -> None:
    assert AmbiguityCalibrationLoss(COUNTS).theta.requires_grad
    loss = AmbiguityCalibrationLoss(COUNTS, logit_weight=0.0)
    loss(output_of(3, dtype=torch.float32), batch_of([0, 1, 1])).backward()
    assert all(value.grad is not None for value in loss.parameters() if value.requires_grad)


def dataset(counts: list[int]) -> Any:
    return SimpleNamespace(class_counts=np.array(counts), labels=("happy", "sad", "neutral", "angry"))


def test_bind_takes_the_counts_and_names_absent_classes(caplog: pytest.LogCaptureFixture) -> None:
    loss, output = AmbiguityCalibrationLoss(), output_of(3, dtype=torch.float32)
    with caplog.at_level(logging.WARNING, "dfer"):
        loss.bind(dataset(COUNTS))
        value = loss(output, batch_of([0, 1, 3]))
    assert [record.getMessage() for record in caplog.records] == [
        "no training clip shows angry; its factor of rarity is 0"
    ]
    assert torch.equal(value, AmbiguityCalibrationLoss(COUNTS)(output, batch_of([0, 1, 3])))


def test_bind_leaves_given_counts_alone() -> None:
    loss = AmbiguityCalibrationLoss([1, 1, 1, 1])
    loss.bind(dataset(COUNTS))
    assert loss.factor is not None
    assert loss.factor.tolist() == [1, 1, 1, 1]


def test_without_counts_classes_are_balanced_and_the_log_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    loss, output = AmbiguityCalibrationLoss(), output_of(3, dtype=torch.float32)
    with caplog.at_level(logging.WARNING, "dfer"):
        values = [loss(output, batch_of([0, 1, 2])) for _ in range(2)]
    assert len(caplog.records) == 1
    assert "class counts unknown" in caplog.records[0].getMessage()
    assert torch.equal(values[0], AmbiguityCalibrationLoss([5, 5, 5, 5])(output, batch_of([0, 1, 2])))


def test_a_weight_of_zero_leaves_a_term_out() -> None:
    output, batch = output_of(5, dtype=torch.float32), batch_of([0, 1, 2, 1, 0])
    plain = CrossEntropy(0.1)(output, batch)
    found = AmbiguityCalibrationLoss(COUNTS, 0.0, 0.0, label_smoothing=0.1)(output, batch)
    torch.testing.assert_close(found, plain)
    contrast = AmbiguityCalibrationLoss(COUNTS, 0.0, 0.5, include_ce=False)(output, batch)
    torch.testing.assert_close(contrast, 0.5 * supcon(output.embedding, batch.label))


def test_a_term_of_weight_zero_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    module = importlib.import_module("dfer.losses.ambiguity")
    for name in ("ambiguity_aware", "supcon"):
        term = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given, name=name, term=term: called.append(name) or term(*given))
    output, batch = output_of(5, dtype=torch.float32), batch_of([0, 1, 2, 1, 0])
    for logit_weight, feature_weight in ((0.0, 0.0), (0.1, 0.0), (0.0, 0.1)):
        called.clear()
        AmbiguityCalibrationLoss(COUNTS, logit_weight, feature_weight)(output, batch)
        assert called == ["ambiguity_aware"] * (logit_weight > 0) + ["supcon"] * (feature_weight > 0)


def test_cross_entropy_is_counted_once_in_a_sum() -> None:
    parts: list[nn.Module] = [CrossEntropy(), AmbiguityCalibrationLoss(COUNTS)]
    with pytest.raises(ValueError, match="counted by CrossEntropy and AmbiguityCalibrationLoss"):
        WeightedSum(parts, [1.0, 1.0])
    loss = WeightedSum([CrossEntropy(), AmbiguityCalibrationLoss(include_ce=False)], [1.0, 1.0])
    loss.bind(dataset(COUNTS))
    output, batch = output_of(4, dtype=torch.float32), batch_of([0, 1, 2, 0])
    torch.testing.assert_close(loss(output, batch), AmbiguityCalibrationLoss(COUNTS)(output, batch))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"class_counts": [0, 0, 0]}, r"\[0.0, 0.0, 0.0\]"),
        ({"class_counts": [1, -2]}, "-2"),
        ({"class_counts": [1, float("nan")]}, "nan"),
        ({"class_counts": [1, float("inf")]}, "inf"),
        ({"class_counts": []}, r"\[\]"),
        ({"class_counts": [[1, 2], [3, 4]]}, r"\[\[1.0, 2.0\], \[3.0, 4.0\]\]"),
        ({"class_counts": 5}, "class_counts 5.0"),
        ({"temperature": 0.0}, "temperature 0.0"),
        ({"temperature": -0.07}, "temperature -0.07"),
        ({"temperature": float("nan")}, "temperature nan"),
        ({"top_k": 0}, "top_k 0"),
        ({"top_k": 1.5}, "top_k 1.5"),
        ({"class_counts": [1, 2, 3], "top_k": 3}, "top_k 3 of 3"),
        ({"logit_weight": -0.1}, "logit_weight -0.1"),
        ({"logit_weight": float("inf")}, "logit_weight inf"),
        ({"logit_weight": float("nan")}, "logit_weight nan"),
        ({"feature_weight": -1.0}, "feature_weight -1.0"),
        ({"feature_weight": float("inf")}, "feature_weight inf"),
        ({"label_smoothing": 1.0}, "label_smoothing 1.0"),
    ],
)
def test_bad_arguments_are_refused_with_the_value(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        AmbiguityCalibrationLoss(**arguments)


def test_a_training_set_without_clips_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[0.0, 0.0, 0.0, 0.0\]"):
        AmbiguityCalibrationLoss().bind(dataset([0, 0, 0, 0]))


def test_counts_and_rivals_that_do_not_fit_the_logits_are_refused() -> None:
    output, batch = output_of(3, dtype=torch.float32), batch_of([0, 1, 2])
    with pytest.raises(ValueError, match="class_counts of 7 classes where there are 4"):
        AmbiguityCalibrationLoss([1] * 7)(output, batch)
    with pytest.raises(ValueError, match="top_k 4 of 4"):
        AmbiguityCalibrationLoss(COUNTS, top_k=4)(output, batch)


def test_what_does_not_fit_the_training_set_is_refused_before_training() -> None:
    with pytest.raises(ValueError, match="class_counts of 7 classes where there are 4"):
        AmbiguityCalibrationLoss([1] * 7).bind(dataset(COUNTS))
    with pytest.raises(ValueError, match="top_k 4 of 4"):
        AmbiguityCalibrationLoss(top_k=4).bind(dataset(COUNTS))
    with pytest.raises(ValueError, match="top_k 5 of 4"):
        ConfusionAware(5).bind(dataset(COUNTS))
