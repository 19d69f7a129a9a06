import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from dfer.losses import CrossEntropy, DistributionAwareLoss, WeightedSum
from dfer.types import Batch, Output


class Norm(nn.Module):
    def __init__(self, include_ce: bool = False) -> None:
        super().__init__()
        self.include_ce = include_ce
        self.dataset: object = None
        self.scale = nn.Parameter(torch.ones(()))

    def bind(self, train_dataset: object) -> None:
        self.dataset = train_dataset

    def forward(self, output: Output, batch: Batch) -> Tensor:
        return self.scale * output.embedding.square().mean()


@pytest.fixture
def batch() -> Batch:
    return Batch(torch.zeros(2, 3, 1, 1, 1), torch.tensor([0, 1]), torch.arange(2), torch.ones(2))


def test_adds_with_weights(batch: Batch) -> None:
    output = Output(torch.randn(2, 7), torch.randn(2, 4))
    expected = 0.5 * CrossEntropy()(output, batch) - 2 * output.embedding.square().mean()
    assert_close(WeightedSum([CrossEntropy(), Norm()], [0.5, -2])(output, batch), expected)


def test_binds_its_parts_and_holds_their_parameters() -> None:
    part = Norm()
    loss = WeightedSum([CrossEntropy(), WeightedSum([part], [1.0])], [1.0, 1.0])
    loss.bind("clips")
    assert part.dataset == "clips"
    assert len(list(loss.parameters())) == 1


def test_tells_its_parts_the_norm_and_collects_what_they_report(batch: Batch) -> None:
    part = DistributionAwareLoss(include_ce=False)
    loss = WeightedSum([CrossEntropy(), WeightedSum([part, Norm()], [1.0, 1.0])], [1.0, 2.0])
    assert loss.diagnostics() == {}
    loss.update(3.0)
    assert part.grad_norm == 3
    loss(Output(torch.randn(2, 7), torch.randn(2, 4)), batch)
    assert loss.diagnostics().keys() == part.diagnostics().keys()
    assert loss.diagnostics()["lambda_sc"] == 0.25


def test_of_two_reports_the_later_counts(batch: Batch) -> None:
    parts = [DistributionAwareLoss(min_grad_norm=floor, include_ce=False) for floor in (3.0, 7.0)]
    loss = WeightedSum([*parts], [1.0, 1.0])
    loss(Output(torch.randn(2, 7), torch.randn(2, 4)), batch)
    assert loss.diagnostics()["grad_norm"] == 7


def test_cross_entropy_is_counted_once() -> None:
    with pytest.raises(ValueError, match="CrossEntropy and Norm"):
        WeightedSum([CrossEntropy(), Norm(include_ce=True)], [1.0, 1.0])
    with pytest.raises(ValueError, match="CrossEntropy and WeightedSum"):
        WeightedSum([CrossEntropy(), WeightedSum([CrossEntropy()], [1.0])], [1.0, 1.0])


@pytest.mark.parametrize("weights", [[], [1.0, 2.0], [float("nan")]])
def test_bad_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="one finite weight each"):
        WeightedSum([CrossEntropy()], weights)
