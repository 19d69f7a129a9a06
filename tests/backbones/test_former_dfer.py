import math
from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close
from torchvision import models

from dfer.backbones import former_dfer, resnet18
from dfer.backbones.former_dfer import Layer, SpatialTransformer, TemporalTransformer, interpolated
from dfer.errors import InputError
from dfer.evaluation.heatmaps import grad_cam
from dfer.models import PUBLISHED_GMAC, Recognizer, cost


def small(**arguments: object) -> nn.Module:
    return former_dfer(width=0.125, **arguments).eval().double()


def clip_of(batch: int, frames: int, size: int = 32) -> Tensor:
    return torch.randn(batch, 3, frames, size, size, dtype=torch.float64)


@pytest.mark.parametrize(("features", "heads"), [(16, 8), (51, 3), (13, 1)])
def test_a_layer_is_the_equation_in_loops(features: int, heads: int) -> None:
    layer, x = Layer(features).double(), torch.randn(2, 5, features, dtype=torch.float64)
    for value in layer.parameters():
        nn.init.normal_(value, std=0.3)
    size = features // heads
    expected = []
    for tokens in x:
        normed = F.layer_norm(tokens, (features,), layer.norm1.weight, layer.norm1.bias)
        q, k, v = (normed @ weight.T for weight in layer.qkv.weight.split(features))
        q, k, v = (part + bias for part, bias in zip((q, k, v), layer.qkv.bias.split(features), strict=True))
        seen = torch.zeros_like(tokens)
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            for i in range(len(tokens)):
                scores = torch.stack([q[i, own] @ k[j, own] / math.sqrt(size) for j in range(len(tokens))])
                seen[i, own] = sum(share * v[j, own] for j, share in enumerate(scores.softmax(0)))
        tokens = tokens + seen @ layer.out.weight.T + layer.out.bias
        hidden = F.layer_norm(tokens, (features,), layer.norm2.weight, layer.norm2.bias) @ layer.hidden.weight.T
        hidden = hidden + layer.hidden.bias
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
        expected.append(tokens + hidden @ layer.output.weight.T + layer.output.bias)
    assert layer.heads == heads
    assert_close(layer(x), torch.stack(expected))


@pytest.mark.parametrize("known", [1, 7, 16])
@pytest.mark.parametrize("steps", [1, 2, 4, 7, 10, 16, 64])
def test_positions_are_interpolated_linearly(known: int, steps: int) -> None:
    positions = torch.randn(known, 2, 3, dtype=torch.float64)
    found = interpolated(positions, steps)
    theirs = F.interpolate(positions.flatten(1).T[None], size=steps, mode="linear", align_corners=False)
    assert_close(found, theirs[0].T.reshape(steps, 2, 3))
    if steps == known:
        assert torch.equal(found, positions)


@pytest.mark.parametrize("size", [(7, 7), (2, 2), (7, 3), (1, 9)])
def test_every_place_gets_its_own_position(size: tuple[int, int]) -> None:
    transformer = SpatialTransformer(6, depth=0).double()
    maps = torch.randn(2, 6, *size, dtype=torch.float64)
    places = transformer.positions.detach().permute(2, 0, 1)[None]
    expected = maps + F.interpolate(places, size=size, mode="bilinear", align_corners=False)
    assert_close(transformer(maps).detach(), expected)
    if size == (7, 7):
        assert torch.equal(transformer(maps), maps + places)


@pytest.mark.parametrize("frames", [1, 4, 16])
def test_the_class_token_goes_first_and_comes_out(frames: int) -> None:
    transformer = TemporalTransformer(16, depth=2).double()
    tokens = torch.randn(2, frames, 16, dtype=torch.float64)
    rows = []
    for one in tokens:
        placed = [one[step] + interpolated(transformer.positions, frames)[step] for step in range(frames)]
        rows.append(torch.stack([transformer.token, *placed]))
    x = transformer.layers[1](transformer.layers[0](torch.stack(rows)))
    assert_close(transformer(tokens), F.layer_norm(x[:, 0], (16,), transformer.norm.weight, transformer.norm.bias))


def test_parts_follow_each_other_as_in_the_paper() -> None:
    backbone, clip = small(), clip_of(2, 3)
    plain = resnet18(width=0.125).eval().double()
    plain.load_state_dict({name: backbone.state_dict()[name] for name in plain.state_dict()})
    tokens = []
    with torch.no_grad():
        for step in range(3):
            x = plain.layer3(plain.layer2(plain.layer1(plain.stem(clip[:, :, [step]]))))
            x = plain.layer4(backbone.spatial(x[:, :, 0])[:, :, None])
            tokens.append(x.mean(dim=(2, 3, 4)))
        assert_close(backbone(clip)[..., 0, 0, 0], backbone.temporal(torch.stack(tokens, dim=1)))


@pytest.mark.parametrize(
    ("width", "heads", "channels"), [(1.0, 8, 512), (0.25, 8, 128), (0.1, 2, 51), (0.02, 5, 10), (0.03, 8, 15)]
)
def test_any_width_has_heads(width: float, heads: int, channels: int) -> None:
    backbone = former_dfer(width=width).eval()
    assert backbone.spatial.layers[0].heads == heads
    with torch.no_grad():
        assert backbone(torch.zeros(2, 3, 4, 32, 32)).shape == (2, channels, 1, 1, 1)
    assert backbone.channels == channels
    assert backbone.stage_frames(9) == {1: 9, 2: 9, 3: 9, 4: 9}


@pytest.mark.parametrize(("frames", "size"), [(1, 16), (4, 32), (16, 112), (20, 40)])
def test_any_length_and_size_will_do(frames: int, size: int) -> None:
    backbone = former_dfer(width=0.0625).eval()
    with torch.no_grad():
        found = backbone(torch.randn(1, 3, frames, size, size))
    assert found.shape == (1, 32, 1, 1, 1)
    assert found.isfinite().all()


def test_the_order_of_frames_counts_by_their_positions_alone() -> None:
    backbone, clip = small(), clip_of(2, 6)
    shuffled = clip[:, :, [3, 0, 5, 1, 4, 2]]
    with torch.no_grad():
        assert not torch.allclose(backbone(clip), backbone(shuffled), atol=1e-4)
        backbone.temporal.positions.zero_()
        assert_close(backbone(clip), backbone(shuffled))


def test_learns_which_way_features_go() -> None:
    torch.manual_seed(0)
    transformer, classifier = TemporalTransformer(32, depth=3), nn.Linear(32, 2)
    parameters = [*transformer.parameters(), *classifier.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    path = 0.8 + 0.46 * torch.randn(8, 32)  # mean and deviation of a fresh ResNet-18's features
    losses = []
    for _ in range(40):
        label = torch.randint(0, 2, (16,))
        tokens = torch.where(label.bool()[:, None, None], path, path.flip(0)) + 0.1 * torch.randn(16, 8, 32)
        loss = F.cross_entropy(classifier(transformer(tokens)), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) / 10 < 0.03  # 0.009; with positions that start at a deviation of 0.02 it is 0.2


def test_places_are_told_apart_by_their_positions_alone() -> None:
    transformer = SpatialTransformer(16, depth=1).double()
    maps = torch.randn(2, 16, 7, 7, dtype=torch.float64)
    with torch.no_grad():
        assert not torch.allclose(transformer(maps).flip(3), transformer(maps.flip(3)), atol=1e-3)
        transformer.positions.zero_()
        assert_close(transformer(maps).flip(3), transformer(maps.flip(3)))


def test_a_clip_knows_nothing_of_its_batch_mates() -> None:
    backbone, clip = small(), clip_of(3, 4)
    with torch.no_grad():
        assert_close(backbone(clip)[1:2], backbone(clip[1:2]))
        assert torch.equal(backbone(clip), backbone(clip))


@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_a_plugin_gets_its_stages_output(stage: int) -> None:
    seen: list[Tensor] = []

    class Double(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x)
            return 2 * x

    torch.manual_seed(0)
    plain = small()
    torch.manual_seed(0)
    plugged, clip = small(plugins={stage: Double()}), clip_of(2, 5, 64)
    with torch.no_grad():
        assert not torch.allclose(plain(clip), plugged(clip))
    assert [tuple(x.shape) for x in seen] == [(2, plugged.stage_channels[stage], 5, 32 >> stage, 32 >> stage)]
    with pytest.raises(ValueError, match="stage 5"):
        former_dfer(width=0.125, plugins={5: nn.Identity()})


def test_starts_from_torchvisions_resnet(tmp_path: Path) -> None:
    file, reference = tmp_path / "resnet18.pth", models.resnet18()
    torch.save(reference.state_dict(), file)
    backbone = former_dfer(weights=str(file))
    fresh = {name for name in backbone.state_dict() if name.startswith(("spatial.", "temporal."))}
    assert {name.split(".")[0] for name in fresh} == {"spatial", "temporal"}
    for name, value in backbone.state_dict().items():
        if name not in fresh:
            assert torch.equal(value, reference.state_dict()[name]), name
    with pytest.raises(InputError, match=r"IMAGENET1K_V1 are of width 1, asked for width 0\.5"):
        former_dfer(weights="IMAGENET1K_V1", width=0.5)


def test_loads_the_whole_network_or_says_what_is_missing(tmp_path: Path) -> None:
    file, donor = tmp_path / "own.pth", former_dfer(width=0.125)
    state = {f"backbone.{name}": value for name, value in donor.state_dict().items()}
    torch.save({**state, "backbone.plugins.4.weight": torch.ones(3), "classifier.weight": torch.ones(7, 64)}, file)
    backbone = former_dfer(weights=str(file), width=0.125, plugins={4: nn.BatchNorm3d(64)})
    for name, value in donor.state_dict().items():
        assert torch.equal(backbone.state_dict()[name], value), name
    del state["backbone.temporal.token"]
    torch.save(state, file)
    with pytest.raises(InputError, match=r"1 missing: temporal\.token"):
        former_dfer(weights=str(file), width=0.125)
    with pytest.raises(InputError, match="unexpected: spatial"):
        resnet18(weights=str(file), width=0.125)


@pytest.mark.parametrize("frames", [1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_trains_on_one_clip(frames: int, dtype: torch.dtype) -> None:
    backbone = former_dfer(width=0.125).train()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        found = backbone(torch.randn(1, 3, frames, 64, 64))
    (found.float() * torch.randn(64)[None, :, None, None, None]).sum().backward()
    for name, value in backbone.named_parameters():
        assert value.grad is not None, name
        assert value.grad.isfinite().all(), name
        assert value.grad.abs().amax() > 0, name


def test_inference_mode_equals_training_off() -> None:
    backbone, clip = small(), clip_of(2, 4)
    with torch.inference_mode():
        found = backbone(clip)
    assert_close(found, backbone(clip))


@pytest.mark.parametrize(("frames", "size"), [(4, 32), pytest.param(16, 112, marks=pytest.mark.slow)])
def test_exports_to_onnx(frames: int, size: int, tmp_path: Path) -> None:
    backbone, path = former_dfer(width=0.0625).eval(), tmp_path / "former.onnx"
    torch.onnx.export(
        backbone,
        (torch.randn(2, 3, frames, size, size),),
        path,
        input_names=["clip"],
        dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
        dynamo=True,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(path)
    for batch in (1, 3):
        clip = torch.randn(batch, 3, frames, size, size)
        (found,) = session.run(None, {"clip": clip.numpy()})
        with torch.no_grad():
            assert_close(torch.from_numpy(found), backbone(clip), rtol=0, atol=1e-4)


def test_costs_what_is_published() -> None:
    with torch.device("meta"):
        found = cost(Recognizer(former_dfer()))
    assert found.parameters == 18_037_831
    assert found.parameters / 1e6 == pytest.approx(18.0, abs=0.05)
    assert found.gmac == pytest.approx(8.296, abs=0.0005)
    assert found.gmac == pytest.approx(PUBLISHED_GMAC["former_dfer"], rel=0.002)


@pytest.mark.parametrize("window", [None, 4])
def test_heatmaps_of_every_stage(window: int | None) -> None:
    model = Recognizer(former_dfer(width=0.125), frames=8, size=32, window=window)
    clip = torch.randint(0, 256, (3, 8, 32, 32), dtype=torch.uint8)
    for stage in (1, 2, 3, 4):
        heat, found = grad_cam(model, clip, label=2, stage=stage)
        assert (heat.shape, found) == ((8, 32, 32), stage)
