import pytest
import torch
from torch import nn
from torchvision.models.video import MC3_18_Weights, R2Plus1D_18_Weights, R3D_18_Weights

from dfer.backbones import BACKBONES, r3d_18
from dfer.models import PUBLISHED_GMAC, Recognizer, cost
from dfer.models.cost import dry_run
from dfer.modules import BiLSTM


@pytest.mark.parametrize(
    ("name", "methods_page", "published"),
    [
        ("r3d_18", 40.7, R3D_18_Weights),
        ("mc3_18", 43.4, MC3_18_Weights),
        ("r2plus1d_18", 40.6, R2Plus1D_18_Weights),
    ],
)
def test_equals_torchvisions_count(name: str, methods_page: float, published: type[R3D_18_Weights]) -> None:
    with torch.device("meta"):
        model = Recognizer(BACKBONES[name]())
    assert cost(model).gmac == pytest.approx(published.KINETICS400_V1.meta["_ops"], abs=0.001)
    assert cost(model).gmac == pytest.approx(methods_page, rel=0.003)
    assert name in PUBLISHED_GMAC


def test_counts_by_hand_a_linear_layer_and_an_lstm() -> None:
    class Tiny(nn.Conv3d):
        channels, mean, std = 4, (0.5,) * 3, (0.5,) * 3

    model = Recognizer(Tiny(3, 4, kernel_size=1), frames=5, size=8)
    convolution = 5 * 8 * 8 * 3 * 4
    assert cost(model).gmac * 1e9 == pytest.approx(convolution + 4 * 7)
    assert cost(model).parameters == 3 * 4 + 4 + 4 * 7 + 7
    headed = Recognizer(Tiny(3, 4, kernel_size=1), frames=5, size=8, temporal=BiLSTM(4, 6))
    lstm = 2 * 5 * 4 * 6 * (4 + 6)
    assert cost(headed).gmac * 1e9 == pytest.approx(convolution + lstm + 12 * 7)


def test_windows_cost_what_they_overlap() -> None:
    side_by_side = cost(Recognizer(r3d_18(width=0.25), size=32, window=4))
    overlapping = cost(Recognizer(r3d_18(width=0.25), size=32, window=4, stride=2))
    assert overlapping.gmac / side_by_side.gmac == pytest.approx(7 / 4, rel=1e-3)


def test_leaves_the_model_alone() -> None:
    model = Recognizer(r3d_18(width=0.25), frames=8, size=32).train()
    cost(model)
    assert model.training
    assert next(model.parameters()).device.type == "cpu"


def test_needs_an_input_spec() -> None:
    with pytest.raises(ValueError, match="Linear has no input_spec"):
        cost(nn.Linear(2, 2))


@pytest.mark.parametrize(("window", "shape"), [(None, None), (4, (1, 2, 7))])
def test_a_dry_run_gives_shapes_and_leaves_the_model_alone(window: int | None, shape: tuple[int, ...] | None) -> None:
    model = Recognizer(r3d_18(width=0.125), frames=8, size=32, window=window).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    output = dry_run(model)
    assert output.logits.is_meta
    assert output.logits.shape == (1, 7)
    assert (output.clip_logits if output.clip_logits is None else output.clip_logits.shape) == shape
    assert model.training
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
