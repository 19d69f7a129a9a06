"""X3D against pytorchvideo's, at odd sizes and widths, and inside the models."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from dfer.backbones import x3d_l, x3d_m, x3d_s, x3d_xs
from dfer.backbones.x3d import X3D, _multiple_of_8
from dfer.errors import InputError
from dfer.models import SAFE, Recognizer, cost
from dfer.modules import S2AM2

ALL = {"xs": x3d_xs, "s": x3d_s, "m": x3d_m, "l": x3d_l}
CLIPS = {"xs": (4, 160), "s": (13, 160), "m": (16, 224), "l": (16, 312)}


@pytest.fixture
def create_x3d() -> Callable[..., nn.Module]:
    with warnings.catch_warnings(action="ignore"):  # its decorators are torch.jit.script's
        found = pytest.importorskip("pytorchvideo.models.x3d").create_x3d

    def create(**arguments: Any) -> nn.Module:
        model: nn.Module = found(head_activation=None, **arguments)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm3d):  # or a wrong batch norm would go unseen
                nn.init.normal_(module.running_mean, std=0.1)
                nn.init.uniform_(module.running_var, 0.5, 2)
                nn.init.uniform_(module.weight, 0.5, 2)
                nn.init.normal_(module.bias, std=0.1)
        return model.double().eval()

    return create


@pytest.mark.parametrize("name", ALL)
def test_equals_pytorchvideo(name: str, create_x3d: Callable[..., nn.Module], tmp_path: Path) -> None:
    depth = 5.0 if name == "l" else 2.2
    reference = create_x3d(input_clip_length=4, input_crop_size=64, depth_factor=depth)
    torch.save({"model_state": reference.state_dict()}, tmp_path / "X3D.pyth")
    model = ALL[name](weights=str(tmp_path / "X3D.pyth"), num_classes=400)
    loaded = model.state_dict()
    assert all(torch.equal(loaded[key], value.to(loaded[key].dtype)) for key, value in reference.state_dict().items())
    model.double().eval().load_state_dict(reference.state_dict())  # what the file has beyond float32
    clip = torch.randn(2, 3, 4, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        assert_close(model.logits(clip), reference(clip), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["xs", "s", "m"])
def test_equals_pytorchvideo_at_the_published_length(name: str, create_x3d: Callable[..., nn.Module]) -> None:
    frames, _ = CLIPS[name]
    reference = create_x3d(input_clip_length=frames, input_crop_size=80)
    model = ALL[name](num_classes=400).double().eval()
    model.load_state_dict(reference.state_dict())
    clip = torch.randn(1, 3, frames, 80, 80, dtype=torch.float64)
    with torch.no_grad():
        assert_close(model.logits(clip), reference(clip), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("width", [0.25, 0.5, 0.75, 1.5])
def test_the_width_is_the_papers_factor(width: float, create_x3d: Callable[..., nn.Module]) -> None:
    reference = create_x3d(
        input_clip_length=4, input_crop_size=32, width_factor=2 * width, head_dim_out=round(2048 * width)
    )
    model = x3d_m(width=width, num_classes=400).double().eval()
    model.load_state_dict(reference.state_dict())
    clip = torch.randn(1, 3, 4, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        assert_close(model.logits(clip), reference(clip), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ALL)
def test_keys_and_shapes_are_pytorchvideos(name: str, create_x3d: Callable[..., nn.Module]) -> None:
    frames, size = CLIPS[name]
    with torch.device("meta"):
        reference = create_x3d(
            input_clip_length=frames, input_crop_size=size, depth_factor=5.0 if name == "l" else 2.2
        ).state_dict()
        ours = ALL[name](num_classes=400).state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in reference.items()}


@pytest.mark.parametrize("name", ["xs", "s", "m"])
def test_size_is_the_published_one(name: str) -> None:
    with torch.device("meta"):
        whole, backbone = ALL[name](num_classes=400), ALL[name](num_classes=7)
    assert len(whole.state_dict()) == 563
    assert sum(value.numel() for value in whole.parameters()) == pytest.approx(3.79e6, rel=0.005)
    assert sum(value.numel() for value in backbone.parameters()) == pytest.approx(2.99e6, rel=0.005)


@pytest.mark.parametrize(("name", "gmac"), [("xs", 0.60), ("s", 1.96), ("m", 4.73), ("l", 18.37)])
def test_costs_what_its_paper_says(name: str, gmac: float) -> None:
    frames, size = CLIPS[name]
    with torch.device("meta"):
        model = Recognizer(ALL[name](), frames=frames, size=size)
    assert cost(model).gmac == pytest.approx(gmac, abs=0.005)


def test_a_backbone_leaves_the_classifier_of_its_weights_out(tmp_path: Path) -> None:
    whole = x3d_s(width=0.25, num_classes=5).eval()
    torch.save({"model_state": whole.state_dict()}, tmp_path / "a.pyth")
    backbone = x3d_s(weights=str(tmp_path / "a.pyth"), width=0.25).eval()
    assert set(whole.state_dict()) - set(backbone.state_dict()) == {"blocks.5.proj.weight", "blocks.5.proj.bias"}
    clip = torch.randn(2, 3, 4, 32, 32)
    with torch.no_grad():
        features = backbone(clip)
        assert torch.equal(features, whole(clip))
        assert_close(whole.logits(clip), whole.blocks[5]["proj"](features.flatten(1)))  # type: ignore[index]
    with pytest.raises(ValueError, match="without a classifier; give num_classes"):
        backbone.logits(clip)


@pytest.mark.parametrize("frames", [4, 5, 8, 13, 16])
@pytest.mark.parametrize("size", [32, 40, 48, 160])
def test_any_length_and_size(frames: int, size: int) -> None:
    backbone = x3d_s(width=0.125).eval()
    with torch.no_grad():
        features = backbone(torch.randn(1, 3, frames, size, size))
    assert features.shape == (1, backbone.channels, 1, 1, 1) == (1, 256, 1, 1, 1)
    assert features.isfinite().all()


def test_a_block_starts_as_its_shortcut() -> None:
    block = x3d_s(width=0.125).blocks[1].res_blocks[1].eval()  # type: ignore[index, union-attr]
    x = torch.rand(1, 8, 4, 6, 6)
    assert torch.equal(block(x), x)  # type: ignore[operator]


def awake(backbone: nn.Module) -> nn.Module:
    """Let each block do something, which at the start passes its input on."""
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.uniform_(module.weight, 0.5, 2)
    return backbone


def test_every_frame_and_pixel_counts() -> None:
    backbone = awake(x3d_s(width=0.25)).double().eval()
    clip = torch.randn(1, 3, 5, 40, 40, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(backbone(clip).sum(), clip)
    assert (gradient.abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize(
    ("channels", "rounded"), [(1, 8), (8, 8), (11, 16), (12, 16), (19, 24), (20, 24), (24, 24), (27, 32), (54 / 16, 8)]
)
def test_rounds_to_eights_and_loses_at_most_a_tenth(channels: float, rounded: int) -> None:
    assert _multiple_of_8(channels) == rounded


@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_a_plugin_gets_its_stages_output(stage: int) -> None:
    seen: list[tuple[int, ...]] = []

    class Double(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(tuple(x.shape))
            return 2 * x

    torch.manual_seed(0)
    plain = x3d_m(width=0.25).eval()
    torch.manual_seed(0)
    plugged = x3d_m(width=0.25, plugins={stage: Double()}).eval()
    clip = torch.randn(1, 3, 5, 64, 64)
    with torch.no_grad():
        assert not torch.equal(plain(clip), plugged(clip))
    size = 64 >> (stage + 1)
    assert seen == [(1, plugged.stage_channels[stage], plugged.stage_frames(5)[stage], size, size)]


def test_plugins_train_and_are_saved_beside_the_weights(tmp_path: Path) -> None:
    torch.save(x3d_m(width=0.25).state_dict(), tmp_path / "own.pth")
    plugged = x3d_m(str(tmp_path / "own.pth"), 0.25, plugins={2: nn.BatchNorm3d(16), 4: nn.Conv3d(48, 48, 1)})
    assert [key for key in plugged.state_dict() if key.startswith("plugins.4")] == [
        "plugins.4.weight",
        "plugins.4.bias",
    ]
    plugged(torch.randn(2, 3, 4, 32, 32)).sum().backward()
    assert all(value.grad is not None for value in plugged.plugins.parameters())


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="stage 5; this backbone has the stages 1, 2, 3, 4"):
        x3d_m(width=0.25, plugins={5: nn.Identity()})
    for width in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"width {width} leaves no channels"):
            x3d_m(width=width)
    with pytest.raises(InputError, match=r"KINETICS400 are of width 1, asked for width 0\.5"):
        x3d_m(weights="KINETICS400", width=0.5)
    with pytest.raises(InputError, match=r"'IMAGENET': no such file.*no published name \(KINETICS400\)"):
        x3d_m(weights="IMAGENET")
    for text in ("none", "Null"):
        assert isinstance(x3d_m(weights=text, width=0.25), X3D)


def test_foreign_weights_are_listed_in_one_line(tmp_path: Path) -> None:
    torch.save({"model_state": {"head.weight": torch.ones(1)}}, tmp_path / "foreign.pyth")
    with pytest.raises(InputError) as caught:
        x3d_s(weights=str(tmp_path / "foreign.pyth"))
    first = "blocks.0.conv.conv_t.weight, blocks.0.conv.conv_xy.weight, blocks.0.norm.weight, ..."
    assert f"561 missing: {first}; 1 unexpected: head.weight;" in str(caught.value)
    assert "\n" not in str(caught.value)
    torch.save(x3d_s(width=0.25, num_classes=5).state_dict(), tmp_path / "five.pth")
    with pytest.raises(InputError, match=r"blocks\.5\.proj\.weight is \(5, 512\), wanted \(7, 512\)"):
        x3d_s(str(tmp_path / "five.pth"), 0.25, num_classes=7)
    torch.save(x3d_s(width=0.25).state_dict(), tmp_path / "none.pth")
    with pytest.raises(InputError, match=r"2 missing: blocks\.5\.proj\.weight, blocks\.5\.proj\.bias;"):
        x3d_s(str(tmp_path / "none.pth"), 0.25, num_classes=7)


@pytest.mark.parametrize("name", ALL)
def test_the_published_name_is_fetched(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def fetch(url: str, path: str) -> None:
        asked.append(url)
        torch.save({"model_state": {"head.weight": torch.ones(1)}}, path)

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    with pytest.raises(InputError, match="weights KINETICS400 are not this backbone's"):
        ALL[name](weights="KINETICS400")
    file = f"X3D_{name.upper()}.pyth"
    assert asked == [f"https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/{file}"]
    assert (tmp_path / "checkpoints" / f"{file}.sha256").is_file()


def test_scales_are_sane_before_training() -> None:
    torch.manual_seed(0)
    backbone = x3d_m().train()
    found: list[float] = []
    for block in backbone.modules():
        if hasattr(block, "branch2"):
            block.register_forward_hook(lambda module, inputs, output: found.append(output.detach().std().item()))
    features = backbone(torch.randn(2, 3, 4, 64, 64))
    assert len(found) == 26
    assert 0.3 < min(found) < max(found) < 10
    assert 0.1 < features.std() < 2
    assert (features > 0).float().mean() == pytest.approx(0.5, abs=0.2)
    awake(backbone)(torch.randn(2, 3, 4, 64, 64)).square().mean().backward()
    gradients = [float(value.grad.norm()) for value in backbone.parameters() if value.grad is not None]
    assert len(gradients) == len(list(backbone.parameters()))
    assert min(gradients) > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_batch_of_one_trains(dtype: torch.dtype) -> None:
    model = Recognizer(awake(x3d_s(width=0.25)), frames=4, size=48).train()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        model(torch.randint(0, 256, (1, 3, 4, 48, 48), dtype=torch.uint8)).logits.square().sum().backward()
    for value in model.parameters():
        assert value.grad is not None
        assert value.grad.isfinite().all()


@pytest.mark.parametrize("kind", ["recogniser", "windows", "safe"])
def test_the_models_take_it(kind: str) -> None:
    if kind == "safe":
        model: nn.Module = SAFE(
            backbone=x3d_s(width=0.25), temporal=lambda features: S2AM2(features, 8), frames=8, size=32
        )
    else:
        model = Recognizer(x3d_s(width=0.25), frames=8, size=32, window=4 if kind == "windows" else None)
    clip = torch.randint(0, 256, (2, 3, 8, 32, 32), dtype=torch.uint8)
    output = model(clip)
    assert output.logits.shape == (2, 7)
    output.logits.square().sum().backward()
    assert all(value.grad is not None for value in model.backbone.parameters())  # type: ignore[union-attr]
    model.eval()
    with torch.no_grad():
        assert_close(model(clip).logits[:1], model(clip[:1]).logits)
