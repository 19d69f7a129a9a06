"""DSM's loss, against HDF's Eq. 16-17, and what it says of itself."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from dfer.losses import CrossEntropy, DistributionAwareLoss, cross_entropy, robust_supcon
from dfer.types import Batch, Output

LABEL = [0, 1, 2, 1, 2]


def batch_of(label: list[int], weight: list[float] | None = None) -> Batch:
    count = len(label)
    weights = torch.ones(count) if weight is None else torch.tensor(weight)
    return Batch(torch.zeros(count, 3, 1, 1, 1), torch.tensor(label), torch.arange(count), weights)


def output_of(count: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Output:
    generator = torch.Generator().manual_seed(count + seed)
    logits = torch.randn(count, 4, dtype=dtype, generator=generator).requires_grad_()
    return Output(logits, torch.randn(count, 6, dtype=dtype, generator=generator).requires_grad_())


@pytest.mark.parametrize("g", [0.25, 1.0, 3.7])
@pytest.mark.parametrize("weight", [[1.0] * 5, [1.5, 0.0, 1.0, 1.0, 0.5]])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_equals_the_equations(g: float, weight: list[float], smoothing: float) -> None:
    loss = DistributionAwareLoss(0.5, 0.8, 0.3, 2.0, 3.0, kernel_on="cosine", label_smoothing=smoothing)
    loss.update(g)
    one, other, batch = output_of(5), output_of(5), batch_of(LABEL, weight)
    robust = robust_supcon(other.embedding, batch.label, 0.5, 0.8, 0.3, kernel_on="cosine", weight=batch.weight)
    classified = cross_entropy(other.logits, batch.label, smoothing, batch.weight)
    expected = g / (g + 1) * 2.0 * classified + 1 / (g + 1) * 3.0 * robust
    found = loss(one, batch)
    torch.testing.assert_close(found, expected)
    found.backward()
    expected.backward()
    torch.testing.assert_close(one.logits.grad, other.logits.grad)
    torch.testing.assert_close(one.embedding.grad, other.embedding.grad)


def test_the_defaults_are_the_papers_and_our_decisions() -> None:
    output, batch = output_of(5), batch_of(LABEL)
    robust = robust_supcon(output.embedding, batch.label, 0.07, 0.2, 0.1, kernel_on="tempered")
    expected = 0.5 * cross_entropy(output.logits, batch.label) + 0.5 * robust
    loss = DistributionAwareLoss()
    torch.testing.assert_close(loss(output, batch), expected)
    loss.update(0.0)
    assert loss.grad_norm == 0.25


def test_without_cross_entropy_it_is_contrast_alone() -> None:
    loss, output, batch = DistributionAwareLoss(include_ce=False), output_of(5), batch_of(LABEL)
    loss.update(3.0)
    torch.testing.assert_close(loss(output, batch), 0.25 * robust_supcon(output.embedding, batch.label))
    assert not loss.include_ce
    assert DistributionAwareLoss().include_ce


@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize(
    ("norm", "floor", "expected"),
    [(4.0, 0.25, 4.0), (0.1, 0.25, 0.25), (0.0, 0.25, 0.25), (0.0, 0.0, 0.0), (1e-3, 0.0, 1e-3), (1e30, 0.25, 1e30)],
)
def test_update_takes_the_norm_or_the_floor(as_tensor: bool, norm: float, floor: float, expected: float) -> None:
    loss = DistributionAwareLoss(ce_scale=2.0, contrast_scale=3.0, min_grad_norm=floor)
    assert loss.grad_norm == 1
    loss.update(torch.tensor(norm, dtype=torch.float64) if as_tensor else norm)
    assert loss.grad_norm.item() == pytest.approx(expected)
    assert loss.grad_norm.dtype == torch.float32
    assert loss.lambda_ce.item() == pytest.approx(2.0 * expected / (expected + 1))
    assert loss.lambda_sc.item() == pytest.approx(3.0 / (expected + 1))


@pytest.mark.parametrize("norm", [float("inf"), float("nan"), torch.tensor(float("inf")), torch.tensor(float("nan"))])
def test_a_norm_that_is_not_finite_changes_nothing(norm: float | Tensor) -> None:
    loss = DistributionAwareLoss()
    loss.update(4.0)
    loss.update(norm)
    assert loss.lambda_ce.item() == pytest.approx(0.8)
    assert loss.lambda_sc.item() == pytest.approx(0.2)


@pytest.mark.parametrize("norm", [-1.5, float("-inf"), torch.tensor(-1.5), torch.tensor([1.0]), torch.ones(2, 3)])
def test_what_is_no_norm_is_refused(norm: float | Tensor) -> None:
    loss = DistributionAwareLoss()
    said = r"shape \(" if isinstance(norm, Tensor) and norm.dim() else rf"grad_norm {float(norm)}"
    with pytest.raises(ValueError, match=said):
        loss.update(norm)
    assert loss.grad_norm == 1


def test_a_floor_above_one_holds_from_the_start() -> None:
    assert DistributionAwareLoss(min_grad_norm=3.0).lambda_ce == 0.75


def test_update_holds_no_graph_and_leaves_a_loss_that_waits_for_its_gradient() -> None:
    loss, output, batch = DistributionAwareLoss(), output_of(5), batch_of(LABEL)
    value = loss(output, batch)
    loss.update((5 * torch.ones((), requires_grad=True)).square())
    assert not loss.grad_norm.requires_grad
    value.backward()
    other = output_of(5)
    DistributionAwareLoss()(other, batch).backward()
    torch.testing.assert_close(output.logits.grad, other.logits.grad)


def test_the_norm_is_in_the_state() -> None:
    one, other = DistributionAwareLoss(), DistributionAwareLoss()
    one.update(2.7)
    assert set(one.state_dict()) == {"grad_norm"}
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    output, batch = output_of(5), batch_of(LABEL)
    assert torch.equal(one(output, batch), other(output, batch))
    assert not list(one.parameters())


def test_without_the_floor_classification_dies_and_with_it_not() -> None:
    for floor, low, high in ((0.0, 0.0, 1e-4), (0.25, 0.2, 0.2001)):
        loss = DistributionAwareLoss(min_grad_norm=floor)
        for _ in range(40):
            loss.update(loss.lambda_ce * 0.5)  # cross-entropy's own gradient has norm 0.5, contrast's is 0
        assert low <= loss.lambda_ce.item() <= high


def test_diagnostics_by_hand() -> None:
    loss = DistributionAwareLoss()
    assert loss.diagnostics() == {}
    z = torch.tensor([[2.0, 0.0], [0.0, 3.0], [0.6, 0.8], [-1.0, 0.0]], requires_grad=True)
    loss.update(3.0)
    value = loss(Output(torch.zeros(4, 4), z), batch_of([0, 0, 1, 1], [1.0, 1.0, 0.5, 0.0]))
    loss.update(9.0)
    found = loss.diagnostics()
    assert not any(one.requires_grad or one.dim() for one in found.values())
    assert {name: one.item() for name, one in found.items()} == pytest.approx(
        {"lambda_ce": 0.75, "lambda_sc": 0.25, "grad_norm": 3.0, "between_class_cosine": 0.7, "trace": 1 - 5.8 / 9},
    )
    copy.deepcopy(loss)  # which a graph would forbid
    value.backward()


def test_diagnostics_are_of_training_alone() -> None:
    loss, batch = DistributionAwareLoss(), batch_of(LABEL)
    loss(output_of(5), batch)
    before = loss.diagnostics()
    loss.eval()(output_of(5, seed=1), batch)
    assert loss.diagnostics() == before
    loss.train()(output_of(5, seed=1), batch)
    assert loss.diagnostics()["trace"] != before["trace"]


def test_without_two_classes_there_is_no_cosine_between_them() -> None:
    loss = DistributionAwareLoss()
    for label, weight in (([1, 1, 1], None), ([0, 1, 1], [0.0, 1.0, 1.0]), ([0], None)):
        loss(output_of(len(label)), batch_of(label, weight))
        assert loss.diagnostics()["between_class_cosine"].isnan()
    loss(Output(torch.zeros(2, 4), torch.ones(2, 3)), batch_of([0, 1]))
    assert loss.diagnostics()["between_class_cosine"].item() == pytest.approx(1)


@pytest.mark.parametrize("label", [[0], [0, 0, 0], [0, 1, 1], [0, 1, 2]])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
@pytest.mark.parametrize("weight", [0.0, 1.0])
@pytest.mark.parametrize("g", [0.0, 1.0, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_corners_are_finite_with_finite_gradients(
    label: list[int], scale: float, weight: float, g: float, dtype: torch.dtype
) -> None:
    logits = (scale * output_of(len(label)).logits.detach()).to(dtype).requires_grad_()
    embedding = (scale * output_of(len(label)).embedding.detach()).to(dtype).requires_grad_()
    loss = DistributionAwareLoss(min_grad_norm=0.0)
    loss.update(g)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        value = loss(Output(logits, embedding), batch_of(label, [weight] * len(label)))
    value.backward()
    assert value.dtype == torch.float32
    assert value.isfinite()
    for part in (logits, embedding):
        assert part.grad is not None
        assert part.grad.isfinite().all()
    found = loss.diagnostics()
    cosine = found.pop("between_class_cosine")
    assert cosine.isnan() == (len(set(label)) == 1 or weight == 0)
    assert all(one.isfinite() for one in found.values())


def test_bfloat16_is_computed_in_float32() -> None:
    output, batch, loss = output_of(5, torch.bfloat16), batch_of(LABEL), DistributionAwareLoss()
    exact = loss(Output(output.logits.float(), output.embedding.float()), batch)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(loss(output, batch), exact)


def test_float64_embeddings_keep_float64() -> None:
    output, batch = output_of(5, torch.float64), batch_of(LABEL)
    found = DistributionAwareLoss(include_ce=False)(output, batch)
    torch.testing.assert_close(found, 0.5 * robust_supcon(output.embedding, batch.label), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"temperature": 0.0}, "temperature 0.0"),
        ({"eta": 0.0}, "eta 0.0"),
        ({"eta": float("nan")}, "eta nan"),
        ({"ib_weight": -1.0}, "ib_weight -1.0"),
        ({"kernel_on": "gauss"}, "kernel_on 'gauss'"),
        ({"ce_scale": -1.0}, "ce_scale -1.0"),
        ({"contrast_scale": float("inf")}, "contrast_scale inf"),
        ({"min_grad_norm": -0.1}, "min_grad_norm -0.1"),
        ({"min_grad_norm": float("nan")}, "min_grad_norm nan"),
        ({"label_smoothing": 1.0}, "label_smoothing 1.0"),
        ({"label_smoothing": -0.1, "include_ce": False}, "label_smoothing -0.1"),
    ],
)
def test_bad_arguments_are_refused_with_the_value(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DistributionAwareLoss(**arguments)


class Calls(TorchDispatchMode):
    """Write down what is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(str(function))
        return function(*args, **(kwargs or {}))


def test_nothing_waits_for_a_gpu() -> None:
    loss, output, batch = DistributionAwareLoss(), output_of(5), batch_of(LABEL)
    with Calls() as calls:
        loss(output, batch).backward()
        loss.diagnostics()
    assert "aten.mm.default" in calls.names
    assert not [name for name in calls.names if "_local_scalar_dense" in name or "nonzero" in name]
    distant = loss.to("meta")  # whose numbers cannot be read
    distant.update(torch.ones((), device="meta"))
    distant.update(2.0)


def test_large_norms_end_in_cross_entropy() -> None:
    loss, output, batch = DistributionAwareLoss(), output_of(5), batch_of(LABEL)
    loss.update(1e12)
    torch.testing.assert_close(loss(output, batch), CrossEntropy()(output, batch))
