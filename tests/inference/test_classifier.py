"""Models from their files, and what is refused."""

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dfer.errors import InputError
from dfer.export.command import to_share
from dfer.inference import load_classifier
from dfer.models import checkpoint
from dfer.models.exported import Exported
from dfer.runs import RunFolder


@pytest.fixture
def clips() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 3, 4, 32, 32), dtype=np.uint8)


@pytest.fixture
def onnx_file(exported: Callable[[str], Path]) -> Path:
    return exported("onnx")


def test_a_run_gives_its_best_model(finished: RunFolder, clips: np.ndarray) -> None:
    found = load_classifier(finished.path, device="cpu")
    loaded = checkpoint.load(finished.checkpoint("best"))
    with torch.inference_mode():
        wanted = loaded.model(torch.from_numpy(clips)).logits.numpy()
    np.testing.assert_array_equal(found.logits(clips), wanted)
    assert found.logits(clips).dtype == np.float32
    assert found.name == finished.path.name
    assert found.input_spec == loaded.input_spec
    assert found.temperature == loaded.temperature
    assert found.sampling == "segments"
    assert found.about["data"]["name"] == "FolderClips"
    assert found.details == {
        "class": "dfer.models.Recognizer", "runtime": "torch", "device": "cpu", "precision": "float32",
    }  # fmt: skip


def test_a_checkpoint_is_the_same_model(finished: RunFolder, clips: np.ndarray) -> None:
    found = load_classifier(finished.checkpoint("best"), device="cpu")
    np.testing.assert_array_equal(found.logits(clips), load_classifier(finished.path, device="cpu").logits(clips))
    assert found.name == "best"


def set_sampling(path: Path, sampling: str | None) -> None:
    content = json.loads(path.read_text())
    about = content.get("about", content)
    about.pop("sampling", None)
    if sampling:
        about["sampling"] = sampling
    path.write_text(json.dumps(content))


def test_sampling_is_the_checkpoints_else_the_runs_else_segments(own_run: RunFolder, tmp_path: Path) -> None:
    weights, beside = own_run.checkpoint("best"), own_run.checkpoint("best").with_suffix(".json")
    set_sampling(own_run.manifest, "random")
    set_sampling(beside, "m3dfel")
    assert load_classifier(own_run.path).sampling == load_classifier(weights).sampling == "m3dfel"
    set_sampling(beside, None)
    assert load_classifier(own_run.path).sampling == load_classifier(weights).sampling == "random"
    set_sampling(own_run.manifest, None)
    assert load_classifier(own_run.path).sampling == "segments"
    for file in (weights, beside):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert load_classifier(tmp_path / weights.name).sampling == "segments"


def test_a_sampling_unknown_is_refused(own_run: RunFolder) -> None:
    set_sampling(own_run.checkpoint("best").with_suffix(".json"), "backwards")
    with pytest.raises(InputError, match=r"sampling 'backwards'; there is segments, m3dfel, random"):
        load_classifier(own_run.path)


def test_bfloat16_is_near_and_not_the_same(finished: RunFolder, clips: np.ndarray) -> None:
    exact = load_classifier(finished.path, device="cpu").logits(clips)
    half = load_classifier(finished.path, device="cpu", precision="bfloat16")
    assert half.details["precision"] == "bfloat16"
    assert half.logits(clips).dtype == np.float32
    difference = np.abs(half.logits(clips) - exact).max()
    assert 0 < difference < 0.2


def test_an_onnx_file_is_the_same_model(finished: RunFolder, onnx_file: Path, clips: np.ndarray) -> None:
    run, found = load_classifier(finished.path, device="cpu"), load_classifier(onnx_file)
    np.testing.assert_allclose(found.logits(clips), run.logits(clips), atol=1e-4)
    np.testing.assert_allclose(found.logits(clips[:1]), run.logits(clips[:1]), atol=1e-4)
    assert found.name == "mine"
    assert (found.input_spec, found.temperature) == (run.input_spec, run.temperature)
    assert found.about == to_share(run.about)
    assert found.details["class"] == "dfer.models.Recognizer"
    assert str(found.details["runtime"]).startswith("onnxruntime")


@pytest.mark.parametrize(("name", "value", "words"), [
    ("sampling", "backwards", "sampling 'backwards'"),
    ("temperature", 0.0, "temperature 0.0"),
    ("temperature", float("nan"), "temperature nan"),
    ("frames", 9, "is not the graph that its metadata describe"),
    ("labels", ("a", "b"), "is not the graph that its metadata describe"),
])  # fmt: skip
def test_an_exported_file_whose_description_lies_is_refused(
    onnx_file: Path, tmp_path: Path, name: str, value: object, words: str
) -> None:
    import onnx

    proto = onnx.load(onnx_file)
    exported = Exported.read({one.key: one.value for one in proto.metadata_props})
    if name in ("frames", "labels"):
        exported = dataclasses.replace(exported, input_spec=dataclasses.replace(exported.input_spec, **{name: value}))
    else:
        exported = dataclasses.replace(exported, **{name: value})
    del proto.metadata_props[:]
    proto.metadata_props.add(key="dfer", value=exported.write())
    onnx.save(proto, tmp_path / "lying.onnx")
    with pytest.raises(InputError, match=words) as caught:
        load_classifier(tmp_path / "lying.onnx")
    assert "\n" not in str(caught.value)


def test_an_exported_file_runs_as_it_is(onnx_file: Path) -> None:
    with pytest.raises(InputError, match="runs on cpu, not on cuda"):
        load_classifier(onnx_file, device="cuda")
    with pytest.raises(InputError, match="computes in float32, not in bfloat16"):
        load_classifier(onnx_file, precision="bfloat16")


def test_without_its_runtime_the_extra_is_named(onnx_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"pip install 'dfer\[onnx\]'"):
        load_classifier(onnx_file)


@pytest.mark.parametrize(("name", "content", "words"), [
    ("none", None, "not found; give a run folder"),
    ("a" * 300, None, r"cannot be read \(.*too long.*give a run folder"),
    ("a.onnx", b"", "no ONNX"),
    ("a.onnx", b"not a model", "no ONNX"),
    ("a.xml", b"<?xml version='1.0'?><note/>", r"a\.bin not found"),
    ("a.pt", b"PK", "no model that dfer can use; give a run folder"),
    ("a.safetensors", b"", r"a\.json not found"),
])  # fmt: skip
def test_other_files_are_refused_in_a_line(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        load_classifier(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_an_onnx_file_of_others_is_refused(onnx_file: Path, tmp_path: Path) -> None:
    import onnx

    proto = onnx.load(onnx_file)
    del proto.metadata_props[:]
    onnx.save(proto, tmp_path / "theirs.onnx")
    with pytest.raises(InputError, match=r"theirs\.onnx: no 'dfer' in the metadata"):
        load_classifier(tmp_path / "theirs.onnx")


def test_half_an_openvino_model_names_the_other(tmp_path: Path) -> None:
    for name in ("a.xml", "a.bin"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=r"half of a model; give .*a\.xml"):
        load_classifier(tmp_path / "a.bin")


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no run folder: run\.json missing"):
        load_classifier(tmp_path)


def test_a_run_without_a_checkpoint_is_refused(own_run: RunFolder) -> None:
    own_run.checkpoint("best").unlink()
    with pytest.raises(InputError, match="no checkpoint yet"):
        load_classifier(own_run.path)


@pytest.mark.parametrize("device", ["cuda:77", "toaster"])
def test_a_device_that_is_not_here_is_refused(finished: RunFolder, device: str) -> None:
    with pytest.raises(InputError, match=f"device {device}: ") as caught:
        load_classifier(finished.path, device=device)
    assert "\n" not in str(caught.value)


def test_another_precision_is_refused(finished: RunFolder) -> None:
    with pytest.raises(InputError, match="precision 'float8'"):
        load_classifier(finished.path, precision="float8")  # type: ignore[arg-type]
