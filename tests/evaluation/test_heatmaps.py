"""Grad-CAM against the equation, written out."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dfer.backbones import mc3_18, r3d_18, resnet18, x3d_xs
from dfer.errors import InputError
from dfer.evaluation.heatmaps import grad_cam, stages
from dfer.models import HDF, M3DFEL, RDFER, SAFE, Recognizer
from dfer.types import InputSpec, Output


class Tiny(nn.Module):
    """Two stages of one convolution each, small enough to differentiate by hand."""

    def __init__(self, plugin: nn.Module | None = None) -> None:
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.layer1 = nn.Conv3d(3, 4, 3, stride=(1, 2, 2), padding=1)
        self.backbone.layer2 = nn.Conv3d(4, 5, 3, stride=(2, 2, 2), padding=1)
        self.backbone.stage_channels = {1: 4, 2: 5}
        self.backbone.plugins = nn.ModuleDict({"2": plugin} if plugin else {})
        self.classifier = nn.Linear(5, 3)
        self.input_spec = InputSpec(4, 24, ("a", "b", "c"))

    def features(self, clip: Tensor) -> Tensor:
        x = self.backbone.layer2(self.backbone.layer1(clip).tanh())
        return self.backbone.plugins["2"](x) if "2" in self.backbone.plugins else x

    def forward(self, clip: Tensor) -> Output:
        embedding = self.features(clip).square().mean(dim=(2, 3, 4))
        return Output(self.classifier(embedding), embedding)


def clip_of(frames: int, size: int) -> Tensor:
    return torch.randint(0, 256, (3, frames, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def interpolated(coarse: np.ndarray, size: int, axis: int) -> np.ndarray:
    """Linear in between, cells' middles on cells' middles, the outermost held beyond."""
    cells = coarse.shape[axis]
    at = np.clip((np.arange(size) + 0.5) * cells / size - 0.5, 0, cells - 1)
    below = np.floor(at).astype(int)
    above = np.minimum(below + 1, cells - 1)
    share = (at - below).reshape([-1 if one == axis else 1 for one in range(coarse.ndim)])
    return np.take(coarse, below, axis) * (1 - share) + np.take(coarse, above, axis) * share


@pytest.mark.parametrize("label", [0, 2])
@pytest.mark.parametrize("plugged", [False, True])
def test_equals_the_equation(label: int, plugged: bool) -> None:
    torch.manual_seed(1)
    model = Tiny(nn.Conv3d(5, 5, 1) if plugged else None)
    clip = clip_of(4, 24)
    heat, stage = grad_cam(model, clip, label)
    assert stage == 2
    maps = model.features(clip[None] / 255).detach()[0]  # (C, T', H', W')
    channels, *sizes = maps.shape
    cells = float(np.prod(sizes))
    wanted = np.zeros(sizes)
    for c in range(channels):
        # the logit is sum_c w_c mean(A_c^2): its gradient at a cell is 2 w_c A_c / cells
        weight = float((2 * model.classifier.weight[label, c].detach() * maps[c] / cells).mean())
        for t, y, x in np.ndindex(*sizes):
            wanted[t, y, x] += weight * float(maps[c, t, y, x])
    wanted = np.maximum(wanted, 0)
    for axis, size in enumerate((4, 24, 24)):
        wanted = interpolated(wanted, size, axis)
    np.testing.assert_allclose(heat, wanted / wanted.max(), atol=1e-5)


@pytest.mark.parametrize("backbone", [r3d_18, x3d_xs])
def test_of_hdf_what_its_attention_gives_out(backbone: Callable[..., nn.Module]) -> None:
    model = HDF(backbone=backbone(width=0.25), frames=4, size=96, stages=(2, 3))
    assert stages(model)[3] is model.backbone.plugins["3"]
    found = [grad_cam(model, clip_of(4, 96), label, stage=3)[0] for label in range(7)]
    assert {heat.shape for heat in found} == {(4, 96, 96)}
    assert max(heat.max() for heat in found) == pytest.approx(1)  # some class has something to speak for it


def test_takes_the_plugin_of_a_stage_if_there_is_one() -> None:
    plugin = nn.Identity()
    model = Recognizer(r3d_18(width=0.0625, plugins={3: plugin}), frames=8, size=48)
    assert list(stages(model)) == [1, 2, 3, 4]
    assert stages(model)[3] is plugin
    assert stages(model)[4] is model.backbone.layer4


def test_stages_may_be_blocks() -> None:
    model = nn.Module()
    model.backbone = nn.Module()
    model.backbone.blocks = nn.ModuleList(nn.Identity() for _ in range(5))
    model.backbone.stage_channels = {1: 8, 4: 16}
    assert stages(model) == {1: model.backbone.blocks[1], 4: model.backbone.blocks[4]}


@pytest.mark.parametrize(("size", "stage"), [(32, 2), (48, 3), (96, 4)])
def test_shows_the_last_stage_with_cells_enough(size: int, stage: int) -> None:
    model = Recognizer(r3d_18(width=0.0625), frames=8, size=size)
    heat, chosen = grad_cam(model, clip_of(8, size), 1)
    assert chosen == stage
    assert heat.shape == (8, size, size)
    assert heat.min() >= 0
    assert heat.max() == pytest.approx(1)


def test_a_map_that_is_always_small_is_of_the_first_stage() -> None:
    assert grad_cam(Recognizer(r3d_18(width=0.0625), frames=8, size=8), clip_of(8, 8), 0)[1] == 1


@pytest.mark.parametrize(
    "model",
    [
        SAFE(backbone=r3d_18(width=0.0625), frames=9, size=32, window=4, stride=2),
        Recognizer(mc3_18(width=0.0625), frames=9, size=32, window=4, stride=2),
    ],
    ids=["SAFE", "windows"],
)
def test_a_frame_shows_the_mean_of_the_windows_that_see_it(model: nn.Module) -> None:
    clip = clip_of(9, 32)
    heat, _ = grad_cam(model, clip, 3, stage=1)
    assert heat.shape == (9, 32, 32)
    assert (heat[8] == 0).all()  # no window sees the last frame
    kept: list[Tensor] = []
    hook = stages(model)[1].register_forward_hook(lambda *seen: kept.append(seen[2]))
    logit = model.eval()(clip[None] / 255).logits[0, 3]
    hook.remove()
    (gradient,) = torch.autograd.grad(logit, kept[0])  # (3, C, T', H', W')
    total, seen = np.zeros((9, 32, 32)), np.zeros(9)
    for window in range(3):
        one = np.zeros(kept[0].shape[2:])
        for c in range(gradient.shape[1]):
            one += float(gradient[window, c].mean()) * kept[0][window, c].detach().numpy()
        one = np.maximum(one, 0)
        for axis, size in enumerate((4, 32, 32)):
            one = interpolated(one, size, axis)
        for frame in range(4):
            total[2 * window + frame] += one[frame]
            seen[2 * window + frame] += 1
    wanted = total / np.maximum(seen, 1)[:, None, None]
    np.testing.assert_allclose(heat, wanted / wanted.max(), atol=1e-4)


def test_instances_lie_side_by_side() -> None:
    model = M3DFEL(backbone=mc3_18(width=0.0625), frames=8, size=32, instances=4, hidden_size=8, heads=2)
    kept: list[Tensor] = []
    hook = stages(model)[1].register_forward_hook(lambda *seen: kept.append(seen[2]))
    clip = clip_of(8, 32)
    logit = model.eval()(clip[None] / 255).logits[0, 3]
    hook.remove()
    (gradient,) = torch.autograd.grad(logit, kept[0])  # (4, C, 2, H', W')
    maps = (gradient.mean(dim=(2, 3, 4), keepdim=True) * kept[0]).sum(dim=1).clamp(min=0).detach().numpy()
    wanted = np.concatenate([interpolated(interpolated(one, 32, 1), 32, 2) for one in maps])  # (8, S, S)
    heat, _ = grad_cam(model, clip, 3, stage=1)
    np.testing.assert_allclose(heat, wanted / wanted.max(), atol=1e-4)


@pytest.mark.parametrize("resample", [True, False])
def test_maps_lie_where_frames_were_taken(resample: bool) -> None:
    torch.manual_seed(0)
    detector = resnet18(width=0.0625) if resample else None
    model = RDFER(
        backbone=resnet18(width=0.0625), detector=detector, resample=resample, frames=16, samples=4, size=32, features=8
    ).eval()
    clip = clip_of(16, 32)
    positions = [0, 4, 8, 12]
    if resample:
        with torch.no_grad():
            model.detector.place.bias.copy_(torch.tensor([0.9, -1.0]))
        centre, stride, _ = model.locate(clip[None])
        positions = [16 * centre.item() + k * stride.item() for k in (-2, -1, 0, 1)]
        assert 4 < positions[0] < positions[3] < 15
    kept: list[Tensor] = []
    hook = stages(model)[2].register_forward_hook(lambda *seen: kept.append(seen[2]))
    logit = model(clip[None] / 255).logits[0, 3]
    hook.remove()
    (gradient,) = torch.autograd.grad(logit, kept[0])  # (1, C, 4, H', W')
    maps = (gradient.mean(dim=(2, 3, 4), keepdim=True) * kept[0]).sum(dim=1).clamp(min=0)[0].detach().numpy()
    maps = interpolated(interpolated(maps, 32, 1), 32, 2)  # (4, S, S)
    wanted = np.zeros((16, 32, 32))
    for frame in range(16):
        for k in range(3):
            if positions[k] <= frame <= positions[k + 1]:
                share = (frame - positions[k]) / (positions[k + 1] - positions[k])
                wanted[frame] = (1 - share) * maps[k] + share * maps[k + 1]
    heat, _ = grad_cam(model, clip, 3, stage=2)
    np.testing.assert_allclose(heat, wanted / wanted.max(), atol=1e-4)


def test_leaves_the_model_as_it_was() -> None:
    model = Recognizer(r3d_18(width=0.0625), frames=8, size=32).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    grad_cam(model, clip_of(8, 32), 0)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())
    assert not any(layer._forward_hooks for layer in model.modules())


def test_no_evidence_is_no_heat() -> None:
    model = Tiny()
    nn.init.zeros_(model.classifier.weight)
    assert (grad_cam(model, clip_of(4, 24), 0)[0] == 0).all()


def test_refused() -> None:
    with pytest.raises(InputError, match="Linear has no backbone with stages"):
        stages(nn.Linear(2, 2))
    with pytest.raises(InputError, match="stage 7 of Tiny; it has 1, 2"):
        grad_cam(Tiny(), clip_of(4, 24), 0, stage=7)
