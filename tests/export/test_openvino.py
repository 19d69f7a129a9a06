"""Models as OpenVINO's two files."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dfer.backbones import r3d_18
from dfer.errors import InputError
from dfer.export import export_onnx, export_openvino, in_torch
from dfer.export.check import clips
from dfer.models import Recognizer
from dfer.models.engines import open_onnx, open_openvino
from dfer.models.exported import Exported

pytest.importorskip("onnxscript")
pytest.importorskip("openvino")

LABELS = ('it\'s <&> "so"', "two\nlines", "笑顔")
ABOUT = {"data": {"drawn": True, "faces": {"geometry": {"size": 224}}}, "recipe": "a/b  c\t]]>"}


@pytest.fixture(scope="module")
def model() -> Recognizer:
    torch.manual_seed(0)
    return Recognizer(r3d_18(width=0.0625), frames=4, size=16, labels=LABELS, num_classes=3)


@pytest.fixture(scope="module")
def described(model: Recognizer) -> Exported:
    return Exported("dfer.models.Recognizer", model.input_spec, 1.25, "centre", ABOUT)


@pytest.fixture(scope="module")
def onnx(model: Recognizer, described: Exported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    export_onnx(model, path, described)
    return path


def test_is_the_same_model_with_the_same_description(
    model: Recognizer, described: Exported, onnx: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    export_openvino(onnx, tmp_path / "new" / "model.xml", described)
    assert sorted(one.name for one in tmp_path.rglob("*.*")) == ["model.bin", "model.xml"]
    engine, some = open_openvino(tmp_path / "new" / "model.xml"), clips(3, model.input_spec)
    assert engine.exported == described == open_onnx(onnx).exported
    np.testing.assert_allclose(engine.logits(some), in_torch(model)(some), atol=1e-5)
    assert "".join(capfd.readouterr()) == ""


def test_names_nothing_of_this_machine(described: Exported, onnx: Path, tmp_path: Path) -> None:
    export_openvino(onnx, tmp_path / "model.xml", described)
    for word in (".py", str(onnx.parent), str(tmp_path), str(Path.home())):
        assert word not in (tmp_path / "model.xml").read_text()


def test_keeps_the_weights_in_float32(described: Exported, onnx: Path, tmp_path: Path) -> None:
    export_openvino(onnx, tmp_path / "model.xml", described)
    assert 'element_type="f32"' in (tmp_path / "model.xml").read_text()
    assert 'element_type="f16"' not in (tmp_path / "model.xml").read_text()


def test_a_folder_that_is_none_is_refused_and_nothing_is_left(described: Exported, onnx: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(InputError, match=r"cannot write .*model\.xml .*another folder"):
        export_openvino(onnx, tmp_path / "file" / "model.xml", described)
    assert [one.name for one in tmp_path.rglob("*")] == ["file"]


def test_a_full_disk_leaves_what_was_there(
    described: Exported, onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import openvino

    def fill(model: object, path: Path, **_: object) -> None:
        path.write_text("half of it")
        raise RuntimeError("basic_ios::clear: iostream error")

    for suffix in (".xml", ".bin"):
        (tmp_path / "model").with_suffix(suffix).write_text("before")
    monkeypatch.setattr(openvino, "save_model", fill)
    with pytest.raises(InputError, match="cannot write"):
        export_openvino(onnx, tmp_path / "model.xml", described)
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {"model.xml": "before", "model.bin": "before"}


def test_another_suffix_is_a_mistake(described: Exported, onnx: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"model\.bin: the name must end in \.xml"):
        export_openvino(onnx, tmp_path / "model.bin", described)


def test_a_missing_package_is_one_line(
    described: Exported, onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(InputError, match=r"pip install 'dfer\[openvino\]'"):
        export_openvino(onnx, tmp_path / "model.xml", described)
