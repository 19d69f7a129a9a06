from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from dfer.backbones import r3d_18, x3d_s
from dfer.modules import DAM
from dfer.modules.dam import Fusion

MODES = pytest.mark.parametrize("training", [True, False])
BRANCHES = pytest.mark.parametrize("branches", [(True, True), (True, False), (False, True), (False, False)])


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def randomise(module: nn.Module) -> None:
    """Leave no weight and no statistic at its start."""
    for name, value in (*module.named_parameters(), *module.named_buffers()):
        if name.endswith("running_mean") or isinstance(value, nn.Parameter):
            value.data.copy_(torch.randn(value.shape, dtype=torch.float64) / (4 if value.ndim > 1 else 1))


def random_dam(*arguments: Any, training: bool = False, **options: Any) -> DAM:
    dam = DAM(*arguments, **options).double().train(training)
    randomise(dam)
    return dam


def naive_fusion(fusion: Fusion, x_t: Tensor, x_s: Tensor) -> tuple[Tensor, Tensor]:
    """Equations 11 and 12, clip by clip: the two weights, and what they make of the branches."""
    weights, fused = [], []
    for b in range(len(x_t)):
        a_t = sum(fusion.weight[0, c] * x_t[b, c].mean() for c in range(x_t.shape[1])) + fusion.bias[0]
        a_s = sum(fusion.weight[1, c] * x_s[b, c].mean() for c in range(x_s.shape[1])) + fusion.bias[1]
        l_t, l_s = torch.sigmoid(a_t), torch.sigmoid(a_s)
        l_t, l_s = l_t / (l_t + l_s), l_s / (l_t + l_s)
        weights.append(torch.stack([l_t, l_s]))
        fused.append(l_t * x_t[b] + l_s * x_s[b])
    return torch.stack(weights), torch.stack(fused)


def naive(dam: DAM, x: Tensor) -> Tensor:
    """Equations 8, 10 and 12, each branch at full size; the gates have their own references."""
    assert dam.temporal is not None
    assert dam.frequency is not None
    assert dam.fusion is not None
    x_t = x * dam.temporal(x).expand_as(x) + x
    x_s = x * dam.frequency(x).expand_as(x) + x
    return naive_fusion(dam.fusion, x_t, x_s)[1]


@MODES
@pytest.mark.parametrize("attention", ["self", "conv"])
@pytest.mark.parametrize("size", [(3, 5, 4, 3, 2), (1, 6, 6, 2, 3), (2, 3, 1, 1, 4)])
def test_equals_the_equations(size: tuple[int, ...], attention: str, training: bool) -> None:
    dam = random_dam(size[1], size[2], attention=attention, training=training)
    x = torch.randn(size, dtype=torch.float64)
    y = dam(x)
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    assert_close(y, naive(dam, x), rtol=1e-9, atol=1e-12)


def test_gradients_equal_those_of_the_equations() -> None:
    dam = random_dam(5, 4)
    x = torch.randn(2, 5, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    score = torch.randn(2, 5, 4, 3, 3, dtype=torch.float64)
    wanted = [x, *dam.parameters()]
    found, expected = (torch.autograd.grad((run(x) * score).sum(), wanted) for run in (dam, lambda x: naive(dam, x)))
    for one, other in zip(found, expected, strict=True):
        assert other.abs().max() > 0
        assert_close(one, other, rtol=1e-8, atol=1e-12)


def test_fusion_equals_equation_11() -> None:
    fusion = Fusion(6).double()
    randomise(fusion)
    x = torch.randn(4, 6, 3, 2, 5, dtype=torch.float64)
    of_frame = 1 + torch.rand(4, 1, 3, 1, 1, dtype=torch.float64)
    of_place = 1 + torch.rand(4, 1, 3, 2, 5, dtype=torch.float64)
    weights = torch.cat(fusion(x, of_frame, of_place), dim=1)
    expected, _ = naive_fusion(fusion, x * of_frame, x * of_place)
    assert weights.shape == (4, 2, 1, 1, 1)
    assert weights[:, 0].std() > 0.01
    assert_close(weights.flatten(1), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scores", [(-1e4, -1e4), (1e4, -1e4), (-1e4, 1e4), (1e4, 1e4), (-200.0, -201.0)])
def test_fusion_of_hopeless_branches_is_finite(scores: tuple[float, float]) -> None:
    """Eq. 11 divided by its sum as it stands would give 0 / 0 for the first."""
    fusion = Fusion(2)
    fusion.bias.data = torch.tensor(scores)
    l_t, l_s = fusion(torch.ones(1, 2, 1, 1, 1), torch.ones(()), torch.ones(()))
    (l_t - 2 * l_s).sum().backward()
    assert (l_t + l_s).item() == pytest.approx(1)
    share = torch.nn.functional.logsigmoid(torch.tensor(scores, dtype=torch.float64)).softmax(0)
    assert_close(torch.stack([l_t, l_s]).flatten().double(), share, rtol=1e-4, atol=1e-6)
    assert fusion.weight.grad is not None
    assert fusion.weight.grad.isfinite().all()


def test_branches_count_alike_at_the_start() -> None:
    dam = DAM(24, 16).eval()
    x = torch.randn(2, 24, 16, 5, 4)
    assert dam.temporal is not None
    assert dam.frequency is not None
    assert dam.fusion is not None
    assert not dam.fusion.weight.any()
    assert not dam.fusion.bias.any()
    assert_close(dam(x), x * (1 + (dam.temporal(x) + dam.frequency(x)) / 2))


def test_gates_differ_at_the_start() -> None:
    scale = DAM(24, 16).scale(torch.randn(4, 24, 16, 5, 5))
    assert scale.shape == (4, 1, 16, 5, 5)
    assert scale.mean((3, 4)).std(2).min() > 1e-4
    assert scale.flatten(3).std(3).mean() > 1e-4


@MODES
def test_one_branch_off_gives_the_other(training: bool) -> None:
    both = random_dam(6, 4, training=training)
    x = torch.randn(2, 6, 4, 3, 3, dtype=torch.float64)
    assert both.temporal is not None
    assert both.frequency is not None
    for name, gate in (("temporal", both.temporal), ("frequency", both.frequency)):
        alone = random_dam(6, 4, training=training, **{"temporal": False, "frequency": False, name: True})
        alone.load_state_dict({key: value for key, value in both.state_dict().items() if key.startswith(name)})
        assert_close(alone(x), x * gate(x).expand_as(x) + x, rtol=1e-12, atol=1e-14)


def test_both_branches_off_is_the_identity() -> None:
    dam = DAM(6, 4, frequency=False, temporal=False)
    x = torch.randn(2, 6, 4, 3, 3)
    assert dam(x) is x
    assert not dam.state_dict()


@BRANCHES
def test_clips_do_not_meet_in_evaluation(branches: tuple[bool, bool]) -> None:
    dam = random_dam(6, 4, *branches)
    x = torch.randn(5, 6, 4, 3, 3, dtype=torch.float64)
    together = dam(x)
    for b in range(5):
        assert_close(dam(x[b : b + 1])[0], together[b], rtol=1e-12, atol=1e-14)
    assert_close(dam(torch.stack([x[0], 1e3 * x[1]]))[0], together[0], rtol=1e-12, atol=1e-14)


def test_clips_meet_in_training() -> None:
    dam = random_dam(6, 4, training=True)
    x = torch.randn(5, 6, 4, 3, 3, dtype=torch.float64)
    assert not torch.allclose(dam(x[:1])[0], dam(x)[0], rtol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (4, 9)])
def test_takes_any_size_of_frames(size: tuple[int, int]) -> None:
    dam = DAM(6, 4)
    for _ in range(2):
        assert dam(torch.randn(2, 6, 4, *size)).shape == (2, 6, 4, *size)
        dam.eval()


def test_frequency_branch_alone_takes_any_number_of_frames() -> None:
    dam = DAM(3, 16, temporal=False)
    assert dam(torch.randn(2, 3, 5, 4, 4)).shape == (2, 3, 5, 4, 4)


@BRANCHES
@pytest.mark.parametrize("attention", ["self", "conv"])
def test_autocast_changes_nothing(branches: tuple[bool, bool], attention: str) -> None:
    dam = DAM(6, 4, *branches, attention=attention).eval()
    x = torch.randn(2, 6, 4, 3, 3)
    expected = dam(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(dam(x), expected)


@BRANCHES
@pytest.mark.parametrize("attention", ["self", "conv"])
@pytest.mark.parametrize("weights", [torch.float32, torch.bfloat16])
def test_gives_the_type_of_its_input(weights: torch.dtype, branches: tuple[bool, bool], attention: str) -> None:
    dam = DAM(6, 4, *branches, attention=attention).eval()
    x = torch.randn(2, 6, 4, 3, 3, dtype=torch.bfloat16)
    expected = dam(x.float())
    y = dam.to(weights)(x)
    assert y.dtype == torch.bfloat16
    assert_close(y.float(), expected, rtol=0.02, atol=0)  # scale and product are rounded, each by up to 1 in 256
    assert dam(x.double()).dtype == torch.float64


def test_gates_of_bfloat16_features_are_in_float32() -> None:
    dam = random_dam(6, 4).float()
    x = torch.randn(2, 6, 4, 5, 5, dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = dam(x)
    assert torch.equal(y, x * dam.scale(x.float()).bfloat16())
    y.float().sum().backward()
    for value in (x, *dam.parameters()):
        assert value.grad is not None
        assert value.grad.isfinite().all()


def test_takes_channels_last() -> None:
    dam = random_dam(6, 4)
    x = torch.randn(2, 6, 4, 3, 3, dtype=torch.float64)
    assert_close(dam(x.to(memory_format=torch.channels_last_3d)), dam(x), rtol=1e-12, atol=1e-14)


INPUTS = {
    "zeros": torch.zeros(2, 9, 4, 5, 5),
    "constant": torch.full((2, 9, 4, 5, 5), 2.0),
    "equal frames": torch.arange(225.0).sin().view(1, 9, 1, 5, 5).expand(2, 9, 4, 5, 5),
    "batch of one": torch.arange(900.0).sin().view(1, 9, 4, 5, 5),
    "one of all": torch.ones(1, 1, 1, 1, 1),
    "large": 1e4 * torch.arange(1800.0).sin().view(2, 9, 4, 5, 5),
}


@MODES
@pytest.mark.parametrize("name", INPUTS)
def test_gradients_are_finite_in_the_corners(name: str, training: bool) -> None:
    x = INPUTS[name].clone().requires_grad_()
    dam = DAM(*x.shape[1:3]).train(training)
    randomise(dam)
    y = dam(x)
    y.square().mean().backward()
    assert y.isfinite().all()
    for value in (x, *dam.parameters()):
        assert value.grad is not None
        assert value.grad.isfinite().all()


def test_every_weight_learns() -> None:
    """But those that the fusion's zero weights hide, from the second step on."""
    dam = DAM(6, 4)
    x = torch.randn(2, 6, 4, 3, 3)
    (dam(x) * torch.randn(x.shape)).sum().backward()
    for name, value in dam.named_parameters():
        assert value.grad is not None, name
        assert value.grad.any(), name


def test_saves_its_running_mean() -> None:
    dam = DAM(6, 4)
    dam(torch.randn(2, 6, 4, 3, 3))
    other = DAM(6, 4)
    other.load_state_dict(dam.state_dict())
    assert dam.state_dict()["frequency.running_mean"].any()
    x = torch.randn(2, 6, 4, 3, 3)
    assert torch.equal(other.eval()(x), dam.eval()(x))


def test_statistics_can_be_frozen_from_outside() -> None:
    dam = DAM(6, 4)
    for module in dam.modules():
        if getattr(module, "track_running_stats", None) is True:
            module.track_running_stats = False
    dam(torch.randn(2, 6, 4, 3, 3))
    assert not dam.state_dict()["frequency.running_mean"].any()


def test_costs_are_counted_on_the_meta_device() -> None:
    x = torch.zeros(2, 6, 4, 3, 3, device="meta")
    assert DAM(6, 4).to("meta")(x).shape == x.shape


@pytest.mark.parametrize("build", [r3d_18, x3d_s])
def test_goes_behind_every_stage(build: Any) -> None:
    plain = build(width=0.25)
    frames = plain.stage_frames(8)
    dams = {stage: DAM(channels, frames[stage]) for stage, channels in plain.stage_channels.items()}
    backbone = build(width=0.25, plugins=dams)
    assert backbone(torch.randn(2, 3, 8, 32, 32)).shape == plain(torch.randn(2, 3, 8, 32, 32)).shape
    for dam in dams.values():
        assert dam.frequency is not None
        assert dam.frequency.running_mean.any()


@pytest.mark.parametrize(
    ("C", "T", "attention"),
    [
        (10, 4, "self"),
        pytest.param(8, 4, "self", marks=pytest.mark.slow),
        pytest.param(10, 4, "conv", marks=pytest.mark.slow),
    ],
)
def test_exports_to_onnx(tmp_path: Path, C: int, T: int, attention: str) -> None:
    dam = random_dam(C, T, attention=attention).float()
    path = tmp_path / "dam.onnx"
    torch.onnx.export(
        dam,
        (torch.randn(2, C, T, 5, 5),),
        path,
        dynamo=True,
        verbose=False,
        input_names=["x"],
        output_names=["y"],
        dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
    )
    session = onnxruntime.InferenceSession(path)
    for B in (1, 2, 5):
        x = torch.randn(B, C, T, 5, 5)
        (found,) = session.run(None, {"x": x.numpy()})
        assert_close(torch.from_numpy(found), dam(x).detach(), rtol=0, atol=1e-5)


def test_refuses_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"channels 8 for 16 frames"):
        DAM(8, 16)
    with pytest.raises(ValueError, match=r"channels 8 for 16 frames"):
        DAM(8, 16, frequency=False)
    with pytest.raises(ValueError, match=r"channels 0 must be at least 1"):
        DAM(0, 0)
    with pytest.raises(ValueError, match=r"frames -1 must be at least 1"):
        DAM(8, -1, temporal=False)
    with pytest.raises(ValueError, match=r"attention 'cbam' is not known"):
        DAM(8, 4, frequency=False, attention="cbam")


@pytest.mark.parametrize("shape", [(2, 6, 5, 3, 3), (2, 5, 4, 3, 3), (6, 4, 3, 3), (2, 6, 4, 3), (1, 2, 6, 4, 3, 3)])
@pytest.mark.parametrize("training", [True, False])
def test_refuses_other_inputs(shape: tuple[int, ...], training: bool) -> None:
    with pytest.raises(
        ValueError, match=rf"{list(shape)}; give \(B, 6, 4, H, W\)".replace("[", r"\[").replace("]", r"\]")
    ):
        DAM(6, 4).train(training)(torch.zeros(shape))


def test_refuses_other_channels_with_the_frequency_branch_alone() -> None:
    with pytest.raises(ValueError, match=r"\[2, 5, 4, 3, 3\]; give \(B, 6, T, H, W\)"):
        DAM(6, 4, temporal=False)(torch.zeros(2, 5, 4, 3, 3))
