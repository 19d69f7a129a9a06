"""M3DFEL against a slow forward written instance by instance, and what it refuses."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dfer.backbones import BACKBONES, r3d_18
from dfer.backbones.resnet3d import Conv3DTrimmed
from dfer.errors import InputError
from dfer.models import M3DFEL, Recognizer, cost
from dfer.models.build import build
from dfer.models.checkpoint import load, load_for_finetuning, save
from dfer.modules import InstanceAggregation
from dfer.types import Output

CONFIG: dict[str, Any] = {
    "class_path": "dfer.models.M3DFEL",
    "init_args": {
        "frames": 16,
        "size": 32,
        "hidden_size": 8,
        "heads": 2,
        "backbone": {"class_path": "dfer.backbones.r3d_18", "init_args": {"width": 0.125}},
    },
}


class Frames(nn.Conv3d):
    """A backbone of frames: every one by itself, no step in time lost."""

    channels, mean, std = 6, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)

    def __init__(self) -> None:
        super().__init__(3, 6, kernel_size=(1, 4, 4), stride=(1, 4, 4))


def small(backbone: nn.Module | None = None, **arguments: Any) -> M3DFEL:
    torch.manual_seed(0)
    arguments = {"frames": 16, "size": 32, "hidden_size": 8, "heads": 2, **arguments}
    return M3DFEL(backbone=r3d_18(width=0.125) if backbone is None else backbone, **arguments)


def clips(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 3, 16, 32, 32), dtype=torch.uint8, generator=generator)


def slow(model: M3DFEL, clip: Tensor, instances: int) -> Output:
    """Sec. 3 of the paper: one instance of one clip, and one convolution tap, after the other."""
    mean, std = (torch.tensor(value).view(3, 1, 1, 1) for value in (model.backbone.mean, model.backbone.std))
    frames = clip.shape[2] // instances
    bags = []
    for one in clip:
        row = []
        for n in range(instances):
            pixels = (one[:, n * frames : (n + 1) * frames] / 255 - mean) / std
            row.append(model.backbone(pixels[None])[0].flatten(1).mean(1))
        bags.append(torch.stack(row))
    tokens = model.aggregation(torch.stack(bags))  # has its own loops in tests/modules
    B, N, D = tokens.shape
    embedding = model.fusion.bias.expand(B, D).clone()
    for n in range(N):
        for tap in range(3):
            for d in range(D):
                if 0 <= d + tap - 1 < D:
                    embedding[:, d] += model.fusion.weight[0, n, tap] * tokens[:, n, d + tap - 1]
    return Output(model.classifier(embedding), embedding, model.classifier(tokens))


@pytest.mark.parametrize(
    "backbone", ["r3d_18", "mc3_18", "r2plus1d_18", "x3d_s", "resnet18_lstm", "former_dfer", "frames"]
)
@pytest.mark.parametrize("instances", [1, 2, 4])
def test_equals_the_backbone_on_each_instance(backbone: str, instances: int) -> None:
    torch.manual_seed(0)
    network = Frames() if backbone == "frames" else BACKBONES[backbone](width=0.125)
    model = small(network, instances=instances).eval()
    with torch.no_grad():
        found, expected = model(clips(2)), slow(model, clips(2), instances)
    assert found.clip_logits is not None
    assert found.clip_logits.shape == (2, instances, 7)
    for one, other in zip(found, expected):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_an_instance_may_be_one_frame() -> None:
    model = small(Frames(), instances=16).eval()
    with torch.no_grad():
        for one, other in zip(model(clips(2)), slow(model, clips(2), 16)):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_all_instances_go_through_the_backbone_at_once() -> None:
    model, seen = small().eval(), []
    model.backbone.register_forward_hook(lambda module, inputs, output: seen.append(tuple(inputs[0].shape)))
    model(clips(3))
    assert seen == [(12, 3, 4, 32, 32)]


def test_bytes_and_floats_agree() -> None:
    model = small().eval()
    with torch.no_grad():
        torch.testing.assert_close(model(clips(2)).logits, model(clips(2) / 255).logits)


def test_a_batch_of_one_trains() -> None:
    model = small().train()
    output = model(clips(1))
    output.logits.sum().backward()
    assert output.logits.isfinite().all()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in model.parameters())


@pytest.mark.parametrize("training", [True, False])
def test_a_clips_output_does_not_depend_on_its_batch_mates(training: bool) -> None:
    model = small(Frames()).train(training)  # without batch norm, which mixes clips by design
    with torch.no_grad():
        together, alone = model(clips(3)), model(clips(3)[:1])
    for one, other in zip(together, alone):
        torch.testing.assert_close(one[:1], other)


def test_dropout_is_the_classifiers_alone_and_in_training_alone() -> None:
    dropped, whole = small(Frames(), dropout=1.0), small(Frames())
    with torch.no_grad():
        one, other = dropped(clips(2)), whole(clips(2))
        assert torch.equal(one.logits, dropped.classifier.bias.expand(2, 7))
        assert torch.equal(one.embedding, other.embedding)
        assert torch.equal(one.clip_logits, other.clip_logits)
        assert torch.equal(dropped.eval()(clips(2)).logits, whole.eval()(clips(2)).logits)


def test_weights_are_the_default_backbones(tmp_path: Path) -> None:
    with torch.device("meta"), pytest.raises(InputError, match=r"absent\.pth"):
        M3DFEL(weights=str(tmp_path / "absent.pth"))


def test_by_default_it_is_the_papers(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.device("meta"):
        model, aggregation, plain = M3DFEL(), InstanceAggregation(512, 4, 512, 8), Recognizer(r3d_18())
    assert (model.input_spec.frames, model.input_spec.size, model.window) == (16, 112, 4)
    assert (model.aggregation.heads, model.aggregation.out_features) == (8, 1024)
    assert model.fusion.weight.shape == (1, 4, 3)
    added = sum(value.numel() for value in aggregation.parameters()) + (4 * 3 + 1) + (1024 - 512) * 7
    assert cost(model).parameters == cost(plain).parameters + added
    assert cost(model).parameters == 46_826_456
    assert cost(model).gmac == pytest.approx(36.95, abs=0.01)
    monkeypatch.setattr(Conv3DTrimmed, "forward", nn.Conv3d.forward)
    assert cost(model).gmac == pytest.approx(43.2, abs=0.05)


def test_saved_and_loaded(tmp_path: Path) -> None:
    model = build(CONFIG).train()
    model(clips(2))
    save(model, tmp_path / "a.safetensors", config=CONFIG, about={})
    with torch.no_grad():
        assert torch.equal(load(tmp_path / "a.safetensors").model(clips(2)).logits, model.eval()(clips(2)).logits)


def test_other_labels(tmp_path: Path) -> None:
    save(build(CONFIG), tmp_path / "a.safetensors", config=CONFIG, about={})
    loaded = load_for_finetuning(tmp_path / "a.safetensors", ["sad", "happy", "bored"])
    assert loaded.model(clips(1)).logits.shape == (1, 3)
    assert "fresh bored" in loaded.note


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"instances": 3}, "instances 3 do not share 16 frames evenly; give a divisor of 16"),
        ({"instances": 0}, "instances 0 do not share 16"),
        ({"instances": -4}, "instances -4"),
        ({"instances": 32}, "instances 32"),
        ({"frames": 10}, "instances 4 do not share 10 frames"),
        ({"hidden_size": 0}, "hidden_size 0"),
        ({"heads": 3}, "heads 3"),
        ({"dropout": 1.5}, "1.5"),
        ({"weights": "KINETICS400_V1"}, "'KINETICS400_V1' beside a backbone"),
        ({"num_classes": 3, "labels": ["a", "b"]}, "num_classes 3"),
    ],
)
def test_bad_arguments_are_refused_with_the_value(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        small(**arguments)


@pytest.mark.parametrize("shape", [(1, 3, 12, 32, 32), (1, 1, 16, 32, 32), (1, 3, 16, 32, 24), (3, 16, 32, 32)])
def test_another_clip_is_refused_with_both_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{shape}, the model takes (B, 3, 16, 32, 32)")):
        small()(torch.zeros(shape))


def test_weights_in_bfloat16_do() -> None:
    model = M3DFEL(backbone=r3d_18(width=0.125), hidden_size=16, size=32).bfloat16()
    output = model(torch.randint(0, 256, (2, 3, 16, 32, 32), dtype=torch.uint8))
    assert output.logits.dtype == torch.bfloat16
    assert output.logits.isfinite().all()


def test_frames_and_classes_are_counted_from_one() -> None:
    with pytest.raises(ValueError, match="instances 4 do not share 0 frames"):
        M3DFEL(backbone=r3d_18(width=0.125), frames=0)
    with pytest.raises(ValueError, match="num_classes 0"):
        M3DFEL(0, backbone=r3d_18(width=0.125))
