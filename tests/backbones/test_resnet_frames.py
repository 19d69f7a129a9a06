from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from torchvision import models
from torchvision.models import ResNet18_Weights, ResNet50_Weights

from dfer.backbones import resnet18, resnet18_lstm, resnet50
from dfer.backbones.resnet_frames import IMAGENET_MEAN, IMAGENET_STD
from dfer.errors import InputError
from dfer.evaluation.heatmaps import grad_cam
from dfer.models import PUBLISHED_GMAC, Recognizer, cost

BACKBONES = {"resnet18": resnet18, "resnet50": resnet50, "resnet18_lstm": resnet18_lstm}
PAIRS = [(resnet18, models.resnet18), (resnet50, models.resnet50)]


def with_statistics(network: nn.Module) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)  # or a wrong batch norm would go unseen
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_equals_torchvision_frame_by_frame(
    ours: Callable[..., nn.Module], theirs: Callable[..., nn.Module], tmp_path: Path
) -> None:
    reference = with_statistics(theirs(num_classes=3)).eval()
    file = tmp_path / "weights.pth"
    torch.save(reference.state_dict(), file)
    backbone = ours(weights=str(file)).eval().double()
    reference = reference.double()
    clip = torch.randn(2, 3, 3, 33, 40, dtype=torch.float64)
    found: list[Tensor] = []
    reference.layer4.register_forward_hook(lambda module, inputs, output: found.append(output))
    with torch.no_grad():
        for step in range(3):
            reference(clip[:, :, step])
        assert_close(backbone(clip), torch.stack(found, dim=2), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_starts_and_learns_as_torchvisions(ours: Callable[..., nn.Module], theirs: Callable[..., nn.Module]) -> None:
    reference, backbone = theirs().double(), ours().double()
    state = {name: value for name, value in reference.state_dict().items() if not name.startswith("fc.")}
    for name, value in backbone.state_dict().items():
        if value.is_floating_point():
            assert_close(value.std(correction=0), state[name].std(correction=0), rtol=0.1, atol=0)
    backbone.load_state_dict(state)
    clip = torch.randn(2, 3, 3, 32, 32, dtype=torch.float64)
    reference.fc, reference.avgpool = nn.Identity(), nn.Identity()
    reference(clip.transpose(1, 2).flatten(0, 1)).square().sum().backward()  # its batch norm sees all frames at once
    backbone(clip).square().sum().backward()
    for name, value in backbone.named_parameters():
        assert_close(value.grad, reference.get_parameter(name).grad)
    assert_close(backbone.bn1.running_var, reference.bn1.running_var)


@pytest.mark.parametrize("weights", [ResNet18_Weights.IMAGENET1K_V1, *ResNet50_Weights])
def test_statistics_are_torchvisions(weights: ResNet18_Weights | ResNet50_Weights) -> None:
    transform = weights.transforms()
    assert (tuple(transform.mean), tuple(transform.std)) == (IMAGENET_MEAN, IMAGENET_STD)


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("resnet18", {1: 16, 2: 32, 3: 64, 4: 128}),
        ("resnet50", {1: 64, 2: 128, 3: 256, 4: 512}),
        ("resnet18_lstm", {1: 16, 2: 32, 3: 64, 4: 128}),
    ],
)
@pytest.mark.parametrize("size", [16, 33, 64])
def test_width_scales_every_stage(name: str, channels: dict[int, int], size: int) -> None:
    backbone = BACKBONES[name](width=0.25)
    assert backbone.stage_channels == channels
    side = 1 if name == "resnet18_lstm" else -(-size // 32)
    assert backbone(torch.zeros(2, 3, 5, size, size)).shape == (2, channels[4], 5, side, side)
    assert backbone.channels == channels[4]


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_a_frame_knows_nothing_of_the_others(name: str) -> None:
    backbone = BACKBONES[name](width=0.125).eval().double()
    clip = torch.randn(2, 3, 4, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        whole = backbone(clip)
        assert_close(backbone(clip[:, :, [2, 0, 3, 1]]), whole[:, :, [2, 0, 3, 1]])
        assert_close(backbone(clip[:1, :, 1:2]), whole[:1, :, 1:2])


def test_the_lstm_joins_frames_in_both_directions() -> None:
    backbone = resnet18_lstm(width=0.125).eval()
    clip = torch.randn(1, 3, 4, 32, 32, requires_grad=True)
    for step in (0, 3):
        (gradient,) = torch.autograd.grad(backbone(clip)[:, :, step].square().sum(), clip)
        assert (gradient.abs().amax(dim=(0, 1, 3, 4)) > 0).all()
    with torch.no_grad():
        assert not torch.allclose(backbone(clip.flip(2)).mean(dim=2), backbone(clip).mean(dim=2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_lstm_works_on_the_means_of_the_maps(dtype: torch.dtype) -> None:
    backbone, clip = resnet18_lstm(width=0.125).eval().to(dtype), torch.randn(2, 3, 3, 48, 32, dtype=dtype)
    plain = resnet18(width=0.125).eval().to(dtype)
    plain.load_state_dict({name: backbone.state_dict()[name] for name in plain.state_dict()})
    with torch.no_grad():
        tokens = torch.stack([plain(clip[:, :, [step]]).mean(dim=(2, 3, 4)) for step in range(3)], dim=1)
        expected = backbone.projection(backbone.lstm(tokens)[0])
        assert_close(backbone(clip)[..., 0, 0].transpose(1, 2), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_a_plugin_gets_its_stages_output(name: str, stage: int) -> None:
    seen: list[tuple[int, ...]] = []

    class Double(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(tuple(x.shape))
            return 2 * x

    torch.manual_seed(0)
    plain = BACKBONES[name](width=0.125).eval()
    torch.manual_seed(0)
    plugged = BACKBONES[name](width=0.125, plugins={stage: Double()}).eval()
    clip = torch.randn(2, 3, 5, 32, 32)
    with torch.no_grad():
        assert not torch.equal(plain(clip), plugged(clip))
    side = 16 >> stage
    assert seen == [(2, plugged.stage_channels[stage], plugged.stage_frames(5)[stage], side, side)]


def test_unknown_stage_and_width_are_refused() -> None:
    with pytest.raises(ValueError, match="stage 5"):
        resnet18(width=0.25, plugins={5: nn.Identity()})
    with pytest.raises(ValueError, match="width 0"):
        resnet50(width=0)


@pytest.mark.parametrize("name", BACKBONES)
def test_weights_of_another_width_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"IMAGENET1K_V1 are of width 1, asked for width 0\.25"):
        BACKBONES[name](weights="IMAGENET1K_V1", width=0.25)
    file = tmp_path / "half.pth"
    torch.save(BACKBONES[name](width=0.5).state_dict(), file)
    with pytest.raises(InputError, match=r"another width: conv1.weight is \(32, .* wanted \(16, "):
        BACKBONES[name](weights=str(file), width=0.25)


def test_published_names_are_torchvisions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file, asked = tmp_path / "published.pth", []
    torch.save(with_statistics(models.resnet18()).state_dict(), file)

    def download(url: str) -> Path:
        asked.append(url)
        return file

    monkeypatch.setattr("dfer.backbones.weights.download", download)
    for build in (resnet18, resnet18_lstm):
        backbone = build(weights="IMAGENET1K_V1")
        assert torch.equal(backbone.layer4[1].bn2.running_var, torch.load(file)["layer4.1.bn2.running_var"])
    assert asked == [ResNet18_Weights.IMAGENET1K_V1.url] * 2
    with pytest.raises(InputError, match="not this backbone's"):
        resnet50(weights="IMAGENET1K_V2")
    assert asked[2] == ResNet50_Weights.IMAGENET1K_V2.url
    with pytest.raises(InputError, match=r"no published name \(IMAGENET1K_V1, IMAGENET1K_V2, "):
        resnet50(weights="IMAGENET1K_V3")


@pytest.mark.parametrize("whole", [False, True])
def test_the_lstm_is_loaded_where_the_weights_have_one(whole: bool, tmp_path: Path) -> None:
    file = tmp_path / "own.pth"
    donor = (resnet18_lstm if whole else resnet18)(width=0.125)
    torch.save(donor.state_dict(), file)
    backbone = resnet18_lstm(weights=str(file), width=0.125, plugins={4: nn.BatchNorm3d(64)})
    assert torch.equal(backbone.layer4[1].conv2.weight, donor.layer4[1].conv2.weight)
    if whole:
        assert torch.equal(backbone.lstm.weight_hh_l1_reverse, donor.lstm.weight_hh_l1_reverse)
        assert torch.equal(backbone.projection.weight, donor.projection.weight)
    state = donor.state_dict()
    del state["lstm.bias_hh_l0" if whole else "conv1.weight"]
    torch.save(state, file)
    with pytest.raises(InputError, match="1 missing"):
        resnet18_lstm(weights=str(file), width=0.125)


@pytest.mark.parametrize("name", BACKBONES)
def test_trains_in_bfloat16_on_one_clip(name: str) -> None:
    backbone = BACKBONES[name](width=0.125).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        backbone(torch.randn(1, 3, 4, 32, 32)).float().square().sum().backward()
    for parameter_name, value in backbone.named_parameters():
        assert value.grad is not None, parameter_name
        assert value.grad.isfinite().all(), parameter_name


def test_gradients_of_maps_of_one_pixel_are_of_the_middle_tap_alone() -> None:
    torch.manual_seed(0)
    backbone = resnet18(width=0.125).train()  # layer 4 has one pixel at 16
    for _ in range(5):
        backbone.zero_grad()
        junk = [torch.full((count,), torch.nan) for count in (100, 1000, 10000, 40000)]
        del junk  # what torch's own convolution would take for gradients
        with torch.autocast("cpu", torch.bfloat16):
            backbone(torch.randn(2, 3, 2, 16, 16)).float().square().sum().backward()
        for name, value in backbone.named_parameters():
            assert value.grad.isfinite().all(), name
        outside = backbone.layer4[0].conv1.weight.grad.clone()
        assert outside[:, :, 1, 1].any()
        outside[:, :, 1, 1] = 0
        assert not outside.any()


def test_cnn_lstm_costs_what_is_published() -> None:
    with torch.device("meta"):
        found = cost(Recognizer(resnet18_lstm()))
    assert found.parameters == 22_207_047
    assert found.parameters / 1e6 == pytest.approx(22.2, abs=0.05)
    assert found.gmac == pytest.approx(7.93, abs=0.005)
    assert found.gmac == pytest.approx(PUBLISHED_GMAC["resnet18_lstm"], rel=0.005)


@pytest.mark.parametrize(("build", "weights"), [(resnet18, ResNet18_Weights), (resnet50, ResNet50_Weights)])
def test_counts_as_torchvision_does(build: Callable[..., nn.Module], weights: type[ResNet50_Weights]) -> None:
    meta = weights.IMAGENET1K_V1.meta
    with torch.device("meta"):
        found = cost(Recognizer(build(), num_classes=1000, frames=2, size=224))
    assert found.parameters == meta["num_params"]
    assert found.gmac == pytest.approx(2 * meta["_ops"], rel=0.001)


@pytest.mark.parametrize("window", [None, 4])
def test_heatmaps_weigh_channels_over_all_frames(window: int | None) -> None:
    torch.manual_seed(0)
    model = Recognizer(resnet18(width=0.125), frames=8, size=32, window=window).eval()
    clip = torch.randint(0, 256, (3, 8, 32, 32), dtype=torch.uint8)
    heat, stage = grad_cam(model, clip, label=3, stage=4)
    with torch.no_grad():
        maps = model.backbone(model.pixels(clip[None]))[0]  # (C, T, 1, 1), and the logit is linear in its mean
        expected = torch.einsum("c,cthw->thw", model.classifier.weight[3], maps).clamp(min=0)
    assert stage == 4
    assert heat.max() == 1
    assert_close(torch.from_numpy(heat), (expected / expected.max()).expand(8, 32, 32), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", BACKBONES)
def test_heatmaps_of_every_stage(name: str) -> None:
    model = Recognizer(BACKBONES[name](width=0.125), frames=8, size=32)
    clip = torch.randint(0, 256, (3, 8, 32, 32), dtype=torch.uint8)
    for stage in (1, 2, 3, 4):
        heat, found = grad_cam(model, clip, label=2, stage=stage)
        assert (heat.shape, found) == ((8, 32, 32), stage)
