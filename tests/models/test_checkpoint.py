import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from dfer.errors import InputError
from dfer.labels import BASIC, EXTENDED
from dfer.models import Recognizer
from dfer.models.build import build
from dfer.models.checkpoint import load, load_for_finetuning, save, set_temperature

CONFIG: dict[str, Any] = {
    "class_path": "dfer.models.Recognizer",
    "init_args": {
        "backbone": {"class_path": "dfer.backbones.r3d_18", "init_args": {"weights": None, "width": 0.125}},
        "temporal": {"class_path": "dfer.modules.BiLSTM", "init_args": {"input_size": 64, "hidden_size": 4}},
        "num_classes": 7,
        "labels": None,
        "frames": 8,
        "size": 32,
        "window": 4,
    },
}


@pytest.fixture
def model() -> nn.Module:
    return build(CONFIG).eval()


@pytest.fixture
def saved(model: nn.Module, tmp_path: Path) -> Path:
    path = tmp_path / "best.safetensors"
    save(model, path, config=CONFIG, about={"data": "drawn", "epoch": 3}, temperature=1.5)
    return path


def rewrite(path: Path, **changes: object) -> None:
    beside = path.with_suffix(".json")
    beside.write_text(json.dumps(json.loads(beside.read_text()) | changes))


def test_comes_back_as_it_was(model: nn.Module, saved: Path) -> None:
    clip = torch.randint(0, 256, (1, 3, 8, 32, 32), dtype=torch.uint8)
    state = torch.get_rng_state()
    loaded = load(saved)
    assert torch.equal(torch.get_rng_state(), state)
    assert not loaded.model.training
    assert torch.equal(loaded.model(clip).logits, model(clip).logits)
    assert loaded.input_spec == model.input_spec == loaded.model.input_spec
    assert (loaded.temperature, loaded.about, loaded.note) == (1.5, {"data": "drawn", "epoch": 3}, "")
    assert sorted(file.name for file in saved.parent.iterdir()) == ["best.json", "best.safetensors"]


def test_a_float_clip_of_the_data_names_its_labels(model: nn.Module, tmp_path: Path) -> None:
    spec = copy.copy(model.input_spec)
    object.__setattr__(spec, "labels", tuple("abcdefg"))
    model.input_spec = spec  # type: ignore[assignment]
    save(model, tmp_path / "a.safetensors", config=CONFIG, about={})
    assert load(tmp_path / "a.safetensors").model.input_spec == spec


def test_weights_named_in_the_config_are_not_fetched(model: nn.Module, tmp_path: Path) -> None:
    config = copy.deepcopy(CONFIG)
    config["init_args"]["backbone"]["init_args"]["weights"] = "KINETICS400_V1"  # refused at this width, were it read
    save(model, tmp_path / "a.safetensors", config=config, about={})
    assert load(tmp_path / "a.safetensors").model is not None


def test_the_temperature_can_be_set_later(saved: Path) -> None:
    before = saved.read_bytes()
    set_temperature(saved, 2)
    assert load(saved).temperature == 2.0
    assert saved.read_bytes() == before
    for value in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=str(value)):
            set_temperature(saved, value)


@pytest.mark.parametrize(
    "class_path", ["os.system", "dfer.runs.write_atomically", "dfer.models.checkpoint.os.system", "torch.nn.Linear"]
)
def test_a_malicious_checkpoint_builds_nothing(saved: Path, class_path: str) -> None:
    rewrite(saved, class_path=class_path, init_args={"command": "touch exploded"})
    with pytest.raises(InputError, match=r"best\.json: class_path .* nothing else is built"):
        load(saved)


def break_weights(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"\0")


def lose_json(path: Path) -> None:
    path.with_suffix(".json").unlink()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.unlink(), r"best.safetensors not found"),
        (lose_json, "best.json not found"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "not the file its .json describes"),
        (lambda path: path.write_bytes(b""), "not the file its .json describes"),
        (lambda path: path.with_suffix(".json").write_text("{"), "is no JSON"),
        (lambda path: path.with_suffix(".json").write_text("[]"), "format 'list'"),
        (lambda path: rewrite(path, format=99), "format 99"),
        (lambda path: rewrite(path, temperature="hot"), "no usable 'temperature'"),
        (lambda path: rewrite(path, input_spec={"frames": 8}), "no usable 'input_spec'"),
        (lambda path: rewrite(path, init_args=CONFIG["init_args"] | {"num_classes": 5}), r"classifier.bias is \(7,\)"),
        (lambda path: rewrite(path, init_args=CONFIG["init_args"] | {"size": 64}), "size=32.*size=64"),
        (lambda path: rewrite(path, init_args=CONFIG["init_args"] | {"depth": 64}), "'depth'"),
    ],
)
def test_damage_is_refused_in_one_line(saved: Path, damage: Any, said: str) -> None:
    damage(saved)
    with pytest.raises(InputError, match=said) as caught:
        load(saved)
    assert "\n" not in str(caught.value)
    assert str(saved.parent) in str(caught.value)


def test_other_labels_and_another_size_are_refused(saved: Path) -> None:
    assert load(saved, labels=BASIC, size=32)
    with pytest.raises(InputError, match=r"knows the labels happy, sad, .*; the data has calm, bored;"):
        load(saved, labels=["calm", "bored"])
    with pytest.raises(InputError, match="clips of 32 pixels, the data has 112"):
        load(saved, size=112)


def test_finetuning_on_the_same_labels_keeps_everything(saved: Path) -> None:
    loaded = load_for_finetuning(saved, BASIC)
    assert loaded.note == ""
    assert torch.equal(loaded.model.classifier.weight, load(saved).model.classifier.weight)  # type: ignore[union-attr]


@pytest.mark.parametrize("labels", [EXTENDED, BASIC[::-1], ("bored", "Anger"), ("bored",)])
def test_finetuning_on_other_labels_says_what_is_new(
    model: nn.Module, saved: Path, labels: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    loaded = load_for_finetuning(saved, labels)
    assert loaded.note in caplog.text
    assert "new classifier" in loaded.note
    assert loaded.model.input_spec.labels == labels  # type: ignore[union-attr]
    old, new = model.classifier.weight, loaded.model.classifier.weight  # type: ignore[union-attr]
    assert len(new) == len(labels)  # type: ignore[arg-type]
    for row, name in enumerate(labels):
        known = {"Anger": "angry"}.get(name, name)
        if known in BASIC:
            assert torch.equal(new[row], old[BASIC.index(known)])  # type: ignore[index]
        else:
            assert name in loaded.note.partition("fresh")[2]
    own = model.state_dict()
    for name, value in loaded.model.state_dict().items():
        assert name.startswith("classifier.") or torch.equal(value, own[name])
    again = saved.with_name("tuned.safetensors")
    save(loaded.model, again, config=loaded.config, about={})
    assert load(again).input_spec.labels == labels


def test_a_config_of_another_model_is_refused_at_once(model: nn.Module, tmp_path: Path) -> None:
    config = copy.deepcopy(CONFIG)
    config["init_args"]["num_classes"] = 5
    with pytest.raises(ValueError, match=r"does not build the model to save: classifier.bias"):
        save(model, tmp_path / "a.safetensors", config=config, about={})
    with pytest.raises(ValueError, match=r"must end in \.safetensors"):
        save(model, tmp_path / "a.ckpt", config=CONFIG, about={})
    assert not list(tmp_path.iterdir())


def test_a_failed_write_is_an_error_and_keeps_the_old_file(
    model: nn.Module, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    before = saved.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(InputError, match=r"cannot write .*best.safetensors: No space left"):
            save(model, saved, config=CONFIG, about={})
    assert saved.read_bytes() == before
    assert len(list(saved.parent.iterdir())) == 2
    assert_close(load(saved).temperature, 1.5)


def test_only_a_recognizer_with_an_input_spec_is_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Linear has no input_spec"):
        save(nn.Linear(2, 2), tmp_path / "a.safetensors", config=CONFIG, about={})
    assert Recognizer.__name__ in CONFIG["class_path"]
