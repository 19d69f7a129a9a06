"""HDF against its parts put together by hand."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.testing import assert_close

from dfer.backbones import BACKBONES, r3d_18, x3d_s
from dfer.models import HDF, Recognizer
from dfer.modules import DAM


def clips(count: int = 2, frames: int = 8, size: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 3, frames, size, size), generator=generator, dtype=torch.uint8)


def small(**settings: object) -> HDF:
    torch.manual_seed(0)
    return HDF(backbone=r3d_18(width=0.25), frames=8, size=32, **settings)  # type: ignore[arg-type]


def disturbed(model: nn.Module) -> nn.Module:
    """Move what starts at nothing, or a part left out would go unseen."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def test_each_stage_passes_through_its_dam() -> None:
    model = disturbed(small(stages=[2, 4], dropout=0.0)).eval()
    backbone = model.backbone
    x = backbone.stem(
        (clips().float() / 255 - torch.tensor(backbone.mean).view(3, 1, 1, 1))
        / torch.tensor(backbone.std).view(3, 1, 1, 1)
    )  # type: ignore[operator, arg-type]
    x = backbone.plugins["2"](backbone.layer2(backbone.layer1(x)))  # type: ignore[operator, index]
    x = backbone.plugins["4"](backbone.layer4(backbone.layer3(x)))  # type: ignore[operator, index]
    output = model(clips())
    assert_close(output.embedding, x.mean((2, 3, 4)), atol=1e-5, rtol=1e-4)
    assert_close(output.logits, model.classifier(output.embedding))
    assert output.clip_logits is None


def test_stands_on_x3d_m_with_one_dam_after_the_last_stage() -> None:
    model = HDF()
    assert model.input_spec.frames == 16
    assert model.input_spec.size == 160
    assert list(model.backbone.plugins) == ["4"]  # type: ignore[arg-type]
    dam = model.backbone.plugins["4"]  # type: ignore[index]
    assert isinstance(dam, DAM)
    assert (dam.channels, dam.frames) == (192, 16)
    without = sum(p.numel() for p in HDF(frequency=False, temporal=False).parameters())
    assert abs(without - 2.99e6) < 5e3  # the published network with seven classes


@pytest.mark.parametrize("settings", [{"frequency": False, "temporal": False}, {"stages": []}])
def test_without_branches_or_stages_it_is_the_plain_recogniser(settings: dict[str, object]) -> None:
    model = small(**settings).eval()
    plain = Recognizer(r3d_18(width=0.25), frames=8, size=32).eval()
    plain.load_state_dict(model.state_dict())
    assert_close(model(clips()).logits, plain(clips()).logits)


def test_dam_changes_what_the_backbone_gives() -> None:
    model = small().eval()
    embedding = model(clips()).embedding
    model.backbone.plugins.clear()  # type: ignore[operator]
    assert not torch.allclose(embedding, model(clips()).embedding, rtol=0.05)


@pytest.mark.parametrize("stage", [1, 2, 3, 4])
@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_dam_stands_after_any_stage_of_any_backbone(name: str, stage: int) -> None:
    model = HDF(backbone=BACKBONES[name](width=0.125), frames=8, size=32, stages=[stage])
    model(clips()).logits.square().sum().backward()
    gradients = [p.grad for p in model.backbone.plugins[str(stage)].parameters()]  # type: ignore[index, union-attr]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


def test_branches_go_to_every_dam() -> None:
    model = small(stages=[3, 4], temporal=False, attention="conv")
    for dam in model.backbone.plugins.values():  # type: ignore[operator]
        assert dam.temporal is None
        assert any(isinstance(part, nn.Conv2d) for part in dam.modules())


def test_a_clip_does_not_depend_on_its_batch_mates_in_evaluation() -> None:
    model = disturbed(small(stages=[3, 4]))
    model.train()
    model(clips(4))  # running statistics of some batch
    model.eval()
    together, alone = model(clips(4)).logits, model(clips(4)[2:3]).logits
    assert_close(together[2:3], alone, atol=1e-5, rtol=1e-4)


def test_weights_of_a_backbone_alone_are_loaded_below_dam(tmp_path: Path) -> None:
    torch.manual_seed(3)
    trained = x3d_s(width=0.25)
    save_file(trained.state_dict(), tmp_path / "x3d.safetensors")
    model = HDF(backbone=x3d_s(str(tmp_path / "x3d.safetensors"), width=0.25), size=32)
    for name, value in trained.state_dict().items():
        assert torch.equal(model.backbone.state_dict()[name], value)


@pytest.mark.parametrize("stages", [[5], [0, 4], ["a"]])
def test_an_absent_stage_is_refused(stages: list[object]) -> None:
    with pytest.raises(ValueError, match=r"stage (\d|a); this backbone has the stages 1, 2, 3, 4"):
        small(stages=stages)


@pytest.mark.parametrize("stages", [[4, 4], [3, 4]])
def test_two_plugins_after_one_stage_are_refused(stages: list[int]) -> None:
    backbone = r3d_18(width=0.25, plugins={3: nn.Identity()})
    with pytest.raises(ValueError, match="give each stage one"):
        HDF(backbone=backbone, frames=8, size=32, stages=stages)


def test_the_embedding_is_taken_before_dropout() -> None:
    torch.manual_seed(0)
    model = small(dropout=0.5).train()
    output = model(clips(4))
    assert (output.embedding == 0).float().mean() < 0.3
    assert not torch.allclose(model.classifier(output.embedding), output.logits)


def test_fewer_channels_than_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="channels 4 for 16 frames"):
        HDF(backbone=r3d_18(width=0.0625), frames=16, size=32, stages=[1])
    HDF(backbone=r3d_18(width=0.0625), frames=16, size=32, stages=[1], temporal=False)


def test_weights_beside_a_backbone_are_refused() -> None:
    with pytest.raises(ValueError, match="give the backbone its own weights"):
        HDF(weights="KINETICS400", backbone=r3d_18(width=0.25))


@pytest.mark.parametrize("shape", [(2, 3, 16, 32, 32), (2, 3, 8, 48, 48), (2, 1, 8, 32, 32), (3, 8, 32, 32)])
def test_another_clip_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"the model takes \(B, 3, 8, 32, 32\)"):
        small()(torch.zeros(shape))
