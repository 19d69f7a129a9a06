import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from dfer.losses import CrossEntropy, WeightedSum
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


def test_cross_entropy_is_counted_once() -> None:
    with pytest.raises(ValueError, match="CrossEntropy and Norm"):
        WeightedSum([CrossEntropy(), Norm(include_ce=True)], [1.0, 1.0])
    with pytest.raises(ValueError, match="CrossEntropy and WeightedSum"):
        WeightedSum([CrossEntropy(), WeightedSum([CrossEntropy()], [1.0])], [1.0, 1.0])


@pytest.mark.parametrize("weights", [[], [1.0, 2.0], [float("nan")]])
def test_bad_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="one finite weight each"):
        WeightedSum([CrossEntropy()], weights)
