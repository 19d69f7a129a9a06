"""SAFE against a slow forward written window by window, and what it refuses."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from dfer.backbones import r3d_18
from dfer.backbones.resnet3d import Conv3DTrimmed
from dfer.errors import InputError
from dfer.models import SAFE, cost
from dfer.models.build import build
from dfer.models.checkpoint import load, load_for_finetuning, save
from dfer.modules import S2AM2, BiLSTM
from dfer.types import Output

CONFIG: dict[str, Any] = {
    "class_path": "dfer.models.SAFE",
    "init_args": {
        "frames": 16,
        "size": 32,
        "backbone": {"class_path": "dfer.backbones.r3d_18", "init_args": {"width": 0.125}},
        "temporal": {"class_path": "dfer.modules.S2AM2", "init_args": {"hidden_size": 8}},
    },
}


def small(**arguments: Any) -> SAFE:
    torch.manual_seed(0)
    arguments = {"frames": 16, "size": 32, "temporal": partial(S2AM2, hidden_size=8), **arguments}
    model = SAFE(backbone=r3d_18(width=0.125), **arguments)
    for value in model.parameters():  # the attention's output starts at zero: it would go unseen
        if not value.any():
            nn.init.normal_(value, std=0.1)
    return model


def clips(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 3, 16, 32, 32), dtype=torch.uint8, generator=generator)


def slow(model: SAFE, clip: Tensor, window: int, stride: int) -> Output:
    """The paper's Fig. 2 (b), one window and one convolution tap after the other."""
    pixels = (clip / 255 - torch.tensor(model.backbone.mean).view(1, 3, 1, 1, 1)) / torch.tensor(
        model.backbone.std
    ).view(1, 3, 1, 1, 1)
    starts = range(0, clip.shape[2] - window + 1, stride)
    tokens = torch.stack([model.backbone(pixels[:, :, s : s + window]).mean((2, 3, 4)) for s in starts], dim=1)
    tokens = model.temporal(tokens)[0] if isinstance(model.temporal, S2AM2) else model.temporal(tokens)
    if isinstance(model.attention, nn.Identity):
        attended = tokens
    else:
        q, k, v = model.attention.qkv(tokens).chunk(3, dim=2)
        share = (q @ k.transpose(1, 2) / q.shape[2] ** 0.5).softmax(2)
        attended = tokens + model.attention.out(share @ v)
    B, N, D = attended.shape
    embedding = model.fusion.bias.expand(B, D).clone()
    for n in range(N):
        for tap in range(3):
            for d in range(D):
                if 0 <= d + tap - 1 < D:
                    embedding[:, d] += model.fusion.weight[0, n, tap] * attended[:, n, d + tap - 1]
    return Output(model.classifier(embedding), embedding, model.classifier(attended))


@pytest.mark.parametrize(("window", "stride", "count"), [(4, 2, 7), (4, 4, 4), (5, 3, 4), (16, 1, 1)])
def test_equals_the_papers_figure(window: int, stride: int, count: int) -> None:
    model = small(window=window, stride=stride).eval()
    with torch.no_grad():
        found, expected = model(clips(2)), slow(model, clips(2), window, stride)
    assert found.clip_logits is not None
    assert found.clip_logits.shape == (2, count, 7)
    for one, other in zip(found, expected):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_the_baseline_of_table_four_is_the_same_class() -> None:
    model = small(temporal=partial(BiLSTM, hidden_size=8), attention=False).eval()
    assert isinstance(model.attention, nn.Identity)
    with torch.no_grad():
        found, expected = model(clips(2)), slow(model, clips(2), 4, 2)
    for one, other in zip(found, expected):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    assert not [name for name, _ in model.named_parameters() if "attention" in name or "mask" in name]


def test_all_windows_go_through_the_backbone_at_once() -> None:
    model, seen = small().eval(), []
    model.backbone.register_forward_hook(lambda module, inputs, output: seen.append(tuple(inputs[0].shape)))
    model(clips(3))
    assert seen == [(21, 3, 4, 32, 32)]


def test_bytes_and_floats_agree() -> None:
    model = small().eval()
    with torch.no_grad():
        torch.testing.assert_close(model(clips(2)).logits, model(clips(2) / 255).logits)


def test_a_batch_of_one_trains() -> None:
    model = small()
    model(clips(1)).logits.sum().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in model.parameters())


def test_dropout_is_the_classifiers_alone_and_in_training_alone() -> None:
    model, plain = small(dropout=1.0), small()
    for other in (model, plain):
        for module in other.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.eval()
    with torch.no_grad():
        dropped, whole = model(clips(2)), plain(clips(2))
        assert torch.equal(dropped.logits, model.classifier.bias.expand(2, 7))
        assert torch.equal(dropped.embedding, whole.embedding)
        assert torch.equal(dropped.clip_logits, whole.clip_logits)
        assert torch.equal(model.eval()(clips(2)).logits, plain.eval()(clips(2)).logits)


def test_weights_are_the_default_backbones(tmp_path: Path) -> None:
    with torch.device("meta"), pytest.raises(InputError, match=r"absent\.pth"):
        SAFE(weights=str(tmp_path / "absent.pth"))


def test_by_default_it_is_the_papers(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.device("meta"):
        model = SAFE()
    assert (model.input_spec.frames, model.input_spec.size) == (16, 112)
    assert isinstance(model.temporal, S2AM2)
    assert (model.temporal.input_size, model.temporal.hidden_size) == (512, 256)
    assert model.fusion.weight.shape == (1, 7, 3)
    found, H = cost(model), 256
    of_backbone = 33_371_472 - (400 * 512 + 400)  # torchvision's, without the classifier
    of_direction = 5 * H * 512 + 5 * H + (7 * H + H // 4) * H + H // 4 + H * (H // 4) + H
    of_attention = (512 + 1) * 3 * 512 + (512 + 1) * 512
    assert found.parameters == of_backbone + 2 * of_direction + of_attention + (7 * 3 + 1) + (512 * 7 + 7)
    assert found.gmac == pytest.approx(64.6, abs=0.05)
    monkeypatch.setattr(Conv3DTrimmed, "forward", nn.Conv3d.forward)
    assert cost(model).gmac == pytest.approx(75.5, abs=0.05)


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


@pytest.mark.slow  # the fast tests of dfer.export write and read a small SAFE
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_exports_to_onnx_with_any_batch(tmp_path: Path) -> None:
    model = small().eval()
    file = tmp_path / "safe.onnx"
    torch.onnx.export(
        model, (clips(2) / 255,), file, dynamo=True, dynamic_shapes=({0: torch.export.Dim.DYNAMIC},), verbose=False
    )
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
    ("arguments", "said"),
    [
        ({"window": 17}, "window 17 does not fit 16"),
        ({"window": 0}, "window 0"),
        ({"stride": 0}, "stride 0"),
        ({"stride": -1}, "stride -1"),
        ({"temporal": BiLSTM(64, 8)}, "temporal is a BiLSTM already"),
        ({"temporal": partial(nn.LSTM, hidden_size=8)}, "temporal LSTM has no out_features"),
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
