import pytest
import torch
from torch import nn
from torch.testing import assert_close

from dfer.backbones import mc3_18, r3d_18
from dfer.labels import EXTENDED
from dfer.models import Recognizer
from dfer.modules import BiLSTM


def clips(batch: int = 2, frames: int = 8, size: int = 32) -> torch.Tensor:
    return torch.randint(0, 256, (batch, 3, frames, size, size), dtype=torch.uint8)


def test_plain_is_pooled_features_and_a_classifier() -> None:
    model = Recognizer(mc3_18(width=0.25), frames=8, size=32).eval()
    clip = clips()
    output = model(clip)
    embedding = model.backbone(model.pixels(clip)).mean(dim=(2, 3, 4))
    assert_close(output.embedding, embedding)
    assert_close(output.logits, model.classifier(embedding))
    assert output.clip_logits is None


@pytest.mark.parametrize(("window", "stride", "starts"), [(4, 2, [0, 2, 4]), (4, None, [0, 4]), (3, 3, [0, 3])])
def test_windows_equal_a_loop(window: int, stride: int | None, starts: list[int]) -> None:
    head = BiLSTM(128, 16)
    model = Recognizer(r3d_18(width=0.25), frames=8, size=32, window=window, stride=stride, temporal=head).eval()
    clip = clips()
    each = [model.backbone(model.pixels(clip[:, :, s : s + window])).mean(dim=(2, 3, 4)) for s in starts]
    tokens = head(torch.stack(each, dim=1))
    output = model(clip)
    assert output.clip_logits is not None
    assert_close(output.embedding, tokens.mean(dim=1))
    assert_close(output.clip_logits, model.classifier(tokens))


def test_uint8_and_unit_float_are_the_same_clip() -> None:
    model = Recognizer(r3d_18(width=0.25), frames=8, size=32, window=4).eval()
    clip = clips()
    assert_close(model(clip).logits, model(clip.float() / 255).logits)


def test_dropout_acts_in_training_alone() -> None:
    model = Recognizer(r3d_18(width=0.25), frames=8, size=32, dropout=0.9).eval()
    clip = clips()
    assert torch.equal(model(clip).logits, model(clip).logits)
    model.dropout.train()
    assert not torch.equal(model(clip).logits, model(clip).logits)


def test_labels_have_defaults() -> None:
    assert Recognizer(r3d_18(width=0.25)).input_spec.labels[3] == "angry"
    assert Recognizer(r3d_18(width=0.25), num_classes=11).input_spec.labels == EXTENDED
    assert Recognizer(r3d_18(width=0.25), num_classes=2).input_spec.labels == ("class_0", "class_1")
    assert Recognizer(r3d_18(width=0.25), num_classes=2, labels=["a", "b"]).input_spec.labels == ("a", "b")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"window": 9}, "window 9 does not fit 8 frames"),
        ({"window": 0}, "window 0"),
        ({"window": 4, "stride": 0}, "stride 0"),
        ({"stride": 2}, "stride 2 without a window"),
        ({"num_classes": 3, "labels": ["a", "b"]}, r"num_classes 3 but labels \['a', 'b'\]"),
        ({"num_classes": 2, "labels": ["a", "a"]}, "one name per class"),
        ({"temporal": BiLSTM(64)}, "64 features, the backbone has 128"),
    ],
)
def test_bad_arguments_are_refused_with_their_value(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Recognizer(r3d_18(width=0.25), frames=8, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(1, 3, 4, 32, 32), (1, 3, 8, 16, 16), (1, 8, 3, 32, 32), (3, 8, 32, 32)])
def test_another_clip_is_refused(shape: tuple[int, ...]) -> None:
    model = Recognizer(r3d_18(width=0.25), frames=8, size=32)
    with pytest.raises(ValueError, match=r"takes \(B, 3, 8, 32, 32\)"):
        model(torch.zeros(shape))


def test_any_module_of_the_contract_is_a_backbone() -> None:
    class Tiny(nn.Conv3d):
        channels, mean, std = 4, (0.5,) * 3, (0.5,) * 3

    model = Recognizer(Tiny(3, 4, kernel_size=3), frames=8, size=32)
    assert model(clips()).embedding.shape == (2, 4)


def test_channels_last_is_the_same_model() -> None:
    model = Recognizer(r3d_18(width=0.25), frames=8, size=32, window=4).eval()
    clip = clips()
    expected = model(clip).logits
    assert_close(model.to(memory_format=torch.channels_last_3d)(clip).logits, expected)  # type: ignore[call-overload]
