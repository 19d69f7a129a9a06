"""RDFER against its figure, one clip and one frame after the other, and what it refuses."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from dfer.backbones import r3d_18, resnet18, resnet18_lstm, x3d_s
from dfer.errors import InputError
from dfer.models import RDFER, cost
from dfer.models.build import build
from dfer.models.checkpoint import load, load_for_finetuning, save
from dfer.modules.key_expression import KeyExpressionDetector
from dfer.types import Output

FRAMES, SIZE = 16, 48  # at 32 the detector ends in 1x1 maps, whose bfloat16 gradients PyTorch gets wrong on a CPU
CONFIG: dict[str, Any] = {
    "class_path": "dfer.models.RDFER",
    "init_args": {
        "frames": FRAMES,
        "size": SIZE,
        "samples": 8,
        "clips": 2,
        "features": 8,
        "backbone": {"class_path": "dfer.backbones.resnet18", "init_args": {"width": 0.125, "weights": "absent"}},
        "detector": {"class_path": "dfer.backbones.resnet18", "init_args": {"width": 0.125}},
    },
}


def small(**settings: Any) -> RDFER:
    torch.manual_seed(0)
    settings = {"frames": FRAMES, "size": SIZE, "samples": 8, "clips": 2, "features": 8, **settings}
    return RDFER(backbone=resnet18(width=0.125), detector=resnet18(width=0.125), **settings)


def moved(model: RDFER) -> RDFER:
    """Move the detector from uniform sampling, differently for each clip."""
    assert model.detector is not None
    nn.init.normal_(model.detector.place.weight, std=0.5)
    return model


def clips(count: int = 2, frames: int = FRAMES) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(256, (count, 3, frames, SIZE, SIZE), dtype=torch.uint8, generator=generator)


def slow(model: RDFER, clip: Tensor) -> Output:
    """Fig. 2 for one clip after the other, every frame taken and encoded by itself."""
    T, n, (n1, n2) = model.input_spec.frames, model.samples, (model.dual_stream.clips, model.dual_stream.clip_frames)
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (model.backbone.mean, model.backbone.std))
    outputs = []
    for dense in clip / 255:
        summary = None
        if model.detector is None:
            positions = [float(i * T // n) for i in range(n)]
        else:
            found = model.detector(dense[None])
            summary = found.summary
            positions = [float(T * found.centre + k * found.stride) for k in range(-(n // 2), n - n // 2)]
        tokens = []
        for position in positions:
            position = min(max(position, 0.0), T - 1.0)
            at, part = int(position), position - int(position)
            frame = (1 - part) * dense[:, at] + part * dense[:, min(at + 1, T - 1)]
            maps = model.backbone(((frame - mean) / std)[None, :, None])[0, :, 0]
            token = model.projection(maps.mean((1, 2)))
            tokens.append(token if summary is None else token * summary[0])
        embedding = model.dual_stream(torch.stack(tokens)[None])[0]
        alone = [model.dual_stream(torch.stack(tokens[a * n2 : (a + 1) * n2])[None], clips=1)[0] for a in range(n1)]
        outputs.append((model.classifier(embedding), embedding, torch.stack([model.classifier(one) for one in alone])))
    return Output(*(torch.stack(values) for values in zip(*outputs, strict=True)))


ROWS: list[dict[str, Any]] = [
    {},
    {"fusion": "sum"},
    {"resample": False},
    {"summary": False},
    {"dual": False},
    {"hierarchical": False},
]


@pytest.mark.parametrize("settings", ROWS)
def test_equals_the_papers_figure(settings: dict[str, Any]) -> None:
    model = small(**settings).eval()
    if model.detector is not None:
        moved(model)
    with torch.no_grad():
        found, expected = model(clips()), slow(model, clips())
        assert found.clip_logits is not None
        assert found.clip_logits.shape == (2, 2, 7)
        for one, other in zip(found, expected):
            assert_close(one, other, atol=1e-5, rtol=1e-3)
    if model.detector is not None:
        assert len(set(model.locate(clips()).centre.tolist()) - {0.5}) == 2  # else the places were not tried


@pytest.mark.parametrize(
    ("settings", "width"),
    [
        ({}, 1024),
        ({"resample": False}, 1024),
        ({"summary": False}, 1024),
        ({"dual": False}, 512),
        ({"hierarchical": False}, 1024),
        ({"fusion": "sum"}, 512),
    ],
)
def test_rows_of_table_3_at_the_papers_size(settings: dict[str, Any], width: int) -> None:
    with torch.device("meta"):
        model = RDFER(**settings)
    assert (model.input_spec.frames, model.input_spec.size, model.samples) == (64, 112, 16)
    assert (model.dual_stream.clips, model.dual_stream.clip_frames) == (4, 4)
    of_backbone = 25_557_032 - (1000 * 2048 + 1000)  # torchvision's ResNet-50, without the classifier
    of_detector = sum(value.numel() for value in resnet18(width=0.25).parameters()) + (16 * 128 * 2 + 2)
    of_summary = 128 * 512 + 512
    expected = of_backbone + (2048 * 512 + 512) + 4 * 4 * 256 * (512 + 256 + 2) + (width * 7 + 7)
    if settings.get("resample", True):
        expected += of_detector + (of_summary if settings.get("summary", True) else 0)
    found = cost(model)
    assert found.parameters == expected
    assert 16 * 1.03 < found.gmac < 16 * 1.15  # 16 frames of ResNet-50: a quarter of its 4.09 at 224
    output = model(torch.zeros(2, 3, 64, 112, 112, dtype=torch.uint8, device="meta"))
    assert output.embedding.shape == (2, width)
    assert output.clip_logits is not None
    assert output.clip_logits.shape == (2, 4, 7)


def test_starts_as_uniform_sampling() -> None:
    sampled = small(frames=64, samples=16, clips=4, summary=False).eval()
    plain = small(frames=64, samples=16, clips=4, resample=False).eval()
    rest = {name: value for name, value in sampled.state_dict().items() if not name.startswith("detector.")}
    plain.load_state_dict(rest)
    seen: list[Tensor] = []
    sampled.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    clip = clips(frames=64)
    with torch.no_grad():
        for one, other in zip(sampled(clip), plain(clip)):
            assert_close(one, other, atol=1e-5, rtol=0)
    assert_close(seen[0], sampled.pixels(torch.stack([clip[:, :, t] for t in range(0, 64, 4)], dim=2)))


def test_as_many_samples_as_frames_are_the_clip_itself() -> None:
    model = small(samples=FRAMES, resample=False).eval()
    seen: list[Tensor] = []
    model.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model(clips())
    assert torch.equal(seen[0], model.pixels(clips()))


def test_the_backbone_runs_once_on_the_frames_taken_alone() -> None:
    model = small().eval()
    seen: list[tuple[int, ...]] = []
    model.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape)))
    model(clips(3))
    assert seen == [(3, 3, 8, SIZE, SIZE)]


def test_gradients_reach_the_detector() -> None:
    model = moved(small(summary=False))
    model(clips()).logits.square().sum().backward()
    assert model.detector is not None
    for name, value in model.detector.named_parameters():
        assert value.grad is not None, name
        assert value.grad.isfinite().all(), name
        assert value.grad.any(), name


def test_at_the_start_place_and_summary_alone_move_in_the_detector() -> None:
    model = small()
    model(clips()).logits.square().sum().backward()
    assert isinstance(model.detector, KeyExpressionDetector)
    assert model.detector.place.weight.grad is not None
    assert model.detector.place.weight.grad.any()
    assert model.detector.summary is not None
    assert model.detector.summary.weight.grad is not None
    assert model.detector.summary.weight.grad.any()


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("settings", ROWS)
def test_a_batch_of_one_trains(settings: dict[str, Any], autocast: bool) -> None:
    model = small(**settings)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        output = model(clips(1))
        (output.logits.float().square().sum() + output.clip_logits.float().square().sum()).backward()
    assert output.logits.isfinite().all()
    for name, value in model.named_parameters():
        assert value.grad is not None, name
        assert value.grad.isfinite().all(), name


def test_bfloat16_is_near() -> None:
    model = moved(small()).eval()
    with torch.no_grad():
        expected = model(clips())
        with torch.autocast("cpu", torch.bfloat16):
            found = model(clips())
    assert_close(found.logits.float(), expected.logits, atol=0.05, rtol=0)


@pytest.mark.parametrize("resample", [True, False])
def test_bytes_and_floats_agree(resample: bool) -> None:
    model = small(resample=resample).eval()
    with torch.no_grad():
        assert_close(model(clips()).logits, model(clips() / 255).logits)


def test_dropout_is_before_the_classifier_and_in_training_alone() -> None:
    model = small(dropout=1.0)
    with torch.no_grad():
        output = model(clips())
        assert torch.equal(output.logits, model.classifier.bias.expand(2, 7))
        assert not torch.equal(output.clip_logits[:, 0], output.logits)
        assert torch.equal(model.eval()(clips()).logits, model.classifier(model(clips()).embedding))


def test_x3d_keeps_time_and_sees_the_neighbouring_clips() -> None:
    torch.manual_seed(0)
    backbone = x3d_s(width=0.25)
    for block in backbone.modules():  # each starts as its shortcut; time is then looked at by the stem alone
        if isinstance(block, nn.BatchNorm3d):
            nn.init.normal_(block.weight)
    names = list(backbone.state_dict())
    model = RDFER(backbone=backbone, frames=FRAMES, size=SIZE, samples=8, clips=2, features=8, resample=False).eval()
    assert list(model.backbone.state_dict()) == names
    clip, other = clips(1), clips(1)
    other[:, :, FRAMES // 2 :] = 0
    with torch.no_grad():
        assert model.tokens(clip[:, :, ::2]).shape == (1, 8, 8)
        assert not torch.allclose(model(clip).clip_logits[:, 0], model(other).clip_logits[:, 0], rtol=1e-3)
        images = small(resample=False).eval()
        assert_close(images(clip).clip_logits[:, 0], images(other).clip_logits[:, 0])


def test_x3d_will_do_for_the_detector() -> None:
    model = RDFER(
        backbone=resnet18(width=0.125),
        detector=x3d_s(width=0.25),
        frames=FRAMES,
        size=SIZE,
        samples=8,
        clips=2,
        features=8,
    )
    assert_close(model.locate(clips()).stride, torch.tensor([2.0, 2.0]))


def test_an_lstm_over_the_frames_will_do() -> None:
    model = RDFER(backbone=resnet18_lstm(width=0.125), frames=8, size=SIZE, samples=4, clips=2, features=8)
    assert model(clips(frames=8)).clip_logits.shape == (2, 2, 7)


def test_a_backbone_that_shortens_time_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ResNet3D gives 1 steps in time for 8 frames; give one that keeps time"):
        RDFER(backbone=r3d_18(width=0.125), frames=FRAMES, size=SIZE, samples=8, clips=2)
    model = small(resample=False)
    model.backbone.forward = lambda clip: torch.zeros(len(clip), 64, 1, 1, 1)  # says one thing, does another
    with pytest.raises(ValueError, match=r"ResNetFrames gives 1 steps in time for 8 frames"):
        model(clips())


def test_locates_the_key_expression() -> None:
    model = moved(small()).eval()
    assert model.detector is not None
    for found, expected in zip(model.locate(clips()), model.detector(clips()), strict=True):
        assert torch.equal(found, expected)
    assert small(summary=False).locate(clips()).summary is None
    with pytest.raises(ValueError, match="resample False"):
        small(resample=False).locate(clips())
    with pytest.raises(ValueError, match=re.escape("the model takes (B, 3, 16, 48, 48)")):
        model.locate(clips(frames=12))


def test_weights_are_the_default_backbones(tmp_path: Path) -> None:
    with torch.device("meta"), pytest.raises(InputError, match=r"absent\.pth"):
        RDFER(weights=str(tmp_path / "absent.pth"))


def test_built_from_a_description_saved_and_loaded(tmp_path: Path) -> None:
    model = build(CONFIG).train()
    model(clips())
    save(model, tmp_path / "a.safetensors", config=CONFIG, about={})
    with torch.no_grad():
        assert torch.equal(load(tmp_path / "a.safetensors").model(clips()).logits, model.eval()(clips()).logits)
    loaded = load_for_finetuning(tmp_path / "a.safetensors", ["sad", "happy", "bored"])
    assert loaded.model(clips(1)).logits.shape == (1, 3)


def test_a_description_without_resampling_may_name_a_detector() -> None:
    model = build({**CONFIG, "init_args": {**CONFIG["init_args"], "resample": False}})
    assert not [name for name in model.state_dict() if "detector" in name]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what PyTorch's exporter says of its own LSTM
def test_exports_to_onnx_with_any_batch(tmp_path: Path) -> None:
    model, file = moved(small()).eval(), tmp_path / "rdfer.onnx"
    batch = ({0: torch.export.Dim.DYNAMIC},)
    with torch.no_grad():
        torch.onnx.export(model, (clips() / 255,), file, dynamo=True, dynamic_shapes=batch, verbose=False)
    session = onnxruntime.InferenceSession(file)
    for count in (1, 3):
        clip = clips(count) / 255
        with torch.no_grad():
            expected = model(clip)
        found = session.run(None, {session.get_inputs()[0].name: clip.numpy()})
        assert len(found) == 3
        for one, other in zip(found, expected):
            assert np.abs(one - other.numpy()).max() < 1e-4


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"samples": 17}, "samples 17 of 16 frames"),
        ({"samples": 0}, "samples 0 of 16 frames"),
        ({"samples": 6}, "samples 6 of 16 frames .* give a divisor of 16"),
        ({"clips": 3}, "clips 3 do not share 8 samples"),
        ({"clips": 0}, "clips 0 do not share 8 samples"),
        ({"frames": 18, "samples": 9, "clips": 3}, "frames 18 are no multiple of 4"),
        ({"features": 7}, "features 7 must be even"),
        ({"fusion": "mean"}, "fusion 'mean'"),
        ({"dual": False, "hierarchical": False}, "dual False with hierarchical False"),
        ({"dropout": 1.5}, "1.5"),
        ({"weights": "IMAGENET1K_V1"}, "'IMAGENET1K_V1' beside a backbone"),
        ({"num_classes": 3, "labels": ["a", "b"]}, "num_classes 3"),
    ],
)
def test_bad_arguments_are_refused_with_the_value(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        small(**settings)


def test_without_resampling_frames_need_not_suit_the_detector() -> None:
    model = small(frames=18, samples=9, clips=3, resample=False)
    assert model(clips(frames=18)).clip_logits.shape == (2, 3, 7)


@pytest.mark.parametrize("shape", [(1, 3, 1, 32, 32), (1, 1, 16, 48, 48), (1, 3, 16, 32, 24), (3, 16, 48, 48)])
def test_another_clip_is_refused_with_both_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{shape}, the model takes (B, 3, 16, 48, 48)")):
        small()(torch.zeros(shape))


def test_weights_in_bfloat16_do() -> None:
    model = RDFER(backbone=resnet18(width=0.125), detector=resnet18(width=0.125), size=48, features=16).bfloat16()
    output = model(torch.randint(0, 256, (2, 3, 64, 48, 48), dtype=torch.uint8))
    assert output.logits.dtype == torch.bfloat16
    assert output.logits.isfinite().all()
