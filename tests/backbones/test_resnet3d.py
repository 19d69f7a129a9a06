from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import video
from torchvision.models.video import MC3_18_Weights, R2Plus1D_18_Weights, R3D_18_Weights

from dfer.backbones import mc3_18, r2plus1d_18, r3d_18
from dfer.backbones.resnet3d import KINETICS_MEAN, KINETICS_STD, Conv3DTrimmed
from dfer.errors import InputError

BACKBONES = {"r3d_18": r3d_18, "mc3_18": mc3_18, "r2plus1d_18": r2plus1d_18}
PAIRS = [(r3d_18, video.r3d_18), (mc3_18, video.mc3_18), (r2plus1d_18, video.r2plus1d_18)]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_equals_torchvision(ours: Callable[..., nn.Module], theirs: Callable[..., nn.Module], tmp_path: Path) -> None:
    reference = theirs(num_classes=3).eval()
    for module in reference.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.normal_(module.running_mean, std=0.1)  # or a wrong batch norm would go unseen
            nn.init.uniform_(module.running_var, 0.5, 2)
    file = tmp_path / "weights.pth"
    torch.save(reference.state_dict(), file)
    backbone = ours(weights=str(file)).eval()
    clip = torch.randn(1, 3, 8, 32, 32)
    found: list[Tensor] = []
    reference.layer4.register_forward_hook(lambda module, inputs, output: found.append(output))
    with torch.no_grad():
        reference(clip)
        assert_close(backbone(clip), found[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("weights", [R3D_18_Weights, MC3_18_Weights, R2Plus1D_18_Weights])
def test_statistics_are_torchvisions(weights: type[R3D_18_Weights]) -> None:
    transform = weights.KINETICS400_V1.transforms()
    assert (tuple(transform.mean), tuple(transform.std)) == (KINETICS_MEAN, KINETICS_STD)


@pytest.mark.parametrize("name", BACKBONES)
def test_width_scales_every_stage(name: str) -> None:
    backbone = BACKBONES[name](width=0.25)
    assert backbone.stage_channels == {1: 16, 2: 32, 3: 64, 4: 128}
    assert backbone(torch.zeros(1, 3, 8, 32, 32)).shape == (1, 128, 8 if name == "mc3_18" else 1, 2, 2)


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_a_plugin_gets_its_stages_output(name: str, stage: int) -> None:
    seen: list[tuple[int, ...]] = []

    class Double(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(tuple(x.shape))
            return 2 * x

    torch.manual_seed(0)
    plain = BACKBONES[name](width=0.25).eval()
    torch.manual_seed(0)
    plugged = BACKBONES[name](width=0.25, plugins={stage: Double()}).eval()
    clip = torch.randn(1, 3, 4, 16, 16)
    with torch.no_grad():
        assert not torch.equal(plain(clip), plugged(clip))
    assert [shape[1] for shape in seen] == [plugged.stage_channels[stage]]


def test_unknown_stage_and_width_are_refused() -> None:
    with pytest.raises(ValueError, match="stage 5"):
        r3d_18(width=0.25, plugins={5: nn.Identity()})
    with pytest.raises(ValueError, match="width 0"):
        r3d_18(width=0)


def test_weights_of_another_width_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"KINETICS400_V1 are of width 1, asked for width 0\.25"):
        r3d_18(weights="KINETICS400_V1", width=0.25)
    file = tmp_path / "half.pth"
    torch.save(r3d_18(width=0.5).state_dict(), file)
    with pytest.raises(InputError, match=r"another width: stem.0.weight is \(32, .* wanted \(16, "):
        r3d_18(weights=str(file), width=0.25)


def test_weights_go_beside_plugins(tmp_path: Path) -> None:
    file = tmp_path / "own.pth"
    backbone = r3d_18(width=0.25)
    torch.save(backbone.state_dict(), file)
    plugged = r3d_18(weights=str(file), width=0.25, plugins={4: nn.BatchNorm3d(128)})
    assert torch.equal(plugged.stem[0].weight, backbone.stem[0].weight)
    assert "plugins.4.weight" in plugged.state_dict()


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("stride", [1, 2])
def test_trimmed_convolution_is_exact(frames: int, stride: int) -> None:
    convolution = Conv3DTrimmed(3, 5, stride=stride).double()
    one, other = (torch.randn(2, 3, frames, 7, 6, dtype=torch.float64) for _ in range(2))
    other.copy_(one)
    found, expected = convolution(one.requires_grad_()), nn.Conv3d.forward(convolution, other.requires_grad_())
    assert_close(found, expected)
    upstream = torch.randn_like(expected)
    (weight,) = torch.autograd.grad(found, convolution.weight, upstream, retain_graph=True)
    (reference,) = torch.autograd.grad(expected, convolution.weight, upstream, retain_graph=True)
    assert_close(weight, reference)
    found.backward(upstream)
    expected.backward(upstream)
    assert_close(one.grad, other.grad)


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
def test_gradients_of_short_windows_are_those_of_whole_kernels(frames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = r3d_18(width=0.125).double()
    clip = torch.randn(2, 3, frames, 32, 32, dtype=torch.float64)

    def gradients() -> list[Tensor]:
        return list(torch.autograd.grad(backbone(clip).square().sum(), list(backbone.parameters())))

    found = gradients()
    monkeypatch.setattr(Conv3DTrimmed, "forward", nn.Conv3d.forward)
    assert_close(found, gradients())


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 8])
def test_short_windows_equal_torchvision(frames: int) -> None:
    reference = video.r3d_18().eval()
    backbone = r3d_18().eval()
    backbone.load_state_dict({k: v for k, v in reference.state_dict().items() if not k.startswith("fc.")})
    clip = torch.randn(2, 3, frames, 32, 32)
    found: list[Tensor] = []
    reference.layer4.register_forward_hook(lambda module, inputs, output: found.append(output))
    with torch.no_grad():
        reference(clip)
        assert_close(backbone(clip), found[0], rtol=0, atol=1e-4)


def test_trimming_saves_a_seventh_of_a_window_of_four() -> None:
    with torch.device("meta"):
        ours, theirs = r3d_18(), video.r3d_18()
        clip = torch.zeros(1, 3, 4, 112, 112)
    counts = []
    for model in (ours, theirs):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(clip)
        counts.append(counter.get_total_flops())
    assert 1 - counts[0] / counts[1] == pytest.approx(0.14, abs=0.005)


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("frames", [4, 5, 16])
def test_the_frames_of_each_stage_are_foretold(name: str, frames: int) -> None:
    seen: dict[int, int] = {}

    class Count(nn.Module):
        def __init__(self, stage: int) -> None:
            super().__init__()
            self.stage = stage

        def forward(self, x: Tensor) -> Tensor:
            seen[self.stage] = x.shape[2]
            return x

    backbone = BACKBONES[name](width=0.0625, plugins={stage: Count(stage) for stage in (1, 2, 3, 4)})
    backbone(torch.zeros(1, 3, frames, 32, 32))
    assert backbone.stage_frames(frames) == seen


@pytest.mark.parametrize("name", ["r3d_18", "mc3_18", "r2plus1d_18"])
def test_windows_of_one_frame_are_finite_in_bfloat16(name: str) -> None:
    torch.manual_seed(0)
    backbone = BACKBONES[name](width=0.25).train()
    for _ in range(6):
        backbone.zero_grad()
        junk = [torch.full((count,), torch.nan) for count in (100, 1000, 10000, 100000, 1000000)]
        del junk  # what torch's own convolution would take for numbers
        with torch.autocast("cpu", torch.bfloat16):
            found = backbone(torch.randn(4, 3, 1, 48, 48)).float()
        found.square().mean().backward()
        assert found.isfinite().all()
        assert all(value.grad.isfinite().all() for value in backbone.parameters())
