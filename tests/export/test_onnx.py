"""Models as ONNX files."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock

from dfer.backbones import r3d_18
from dfer.backbones.resnet_frames import ResNetFrames
from dfer.backbones.x3d import X3D
from dfer.errors import InputError
from dfer.export import difference, export_onnx, export_openvino, in_torch
from dfer.export import onnx as onnx_export
from dfer.export.check import clips
from dfer.export.onnx import MeanOverSpace, describe, prepared
from dfer.models import HDF, M3DFEL, RDFER, SAFE, Recognizer
from dfer.models.build import build
from dfer.models.engines import open_onnx, open_openvino
from dfer.models.exported import Exported
from dfer.modules import S2AM2

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

FRAMES, SIZE = 4, 32
ODD = ('it\'s <&> "so"', "two\nlines", "笑顔", "")  # labels


def part(name: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": f"dfer.{name}", "init_args": arguments}


def recognizer(backbone: str, width: float = 0.125, **arguments: Any) -> dict[str, Any]:
    small = part(f"backbones.{backbone}", width=width)
    return part("models.Recognizer", backbone=small, frames=FRAMES, size=SIZE, **arguments)


def model(name: str, backbone: str = "r3d_18", **arguments: Any) -> dict[str, Any]:
    small = part(f"backbones.{backbone}", width=0.125 if backbone != "x3d_s" else 0.25)
    return part(f"models.{name}", backbone=small, size=SIZE, **{"frames": FRAMES, **arguments})


DAM = part("modules.DAM", channels=64, frames=1)
DETECTED = {"detector": part("backbones.resnet18", width=0.125), "frames": 8, "samples": 4, "clips": 2, "features": 16}
BILSTM = part("modules.BiLSTM", hidden_size=8)
CATALOGUE = {
    **{name: recognizer(name) for name in ("r3d_18", "mc3_18", "r2plus1d_18", "resnet18", "resnet50")},
    "resnet18_lstm": recognizer("resnet18_lstm"),
    "former_dfer": recognizer("former_dfer"),
    "x3d": recognizer("x3d_s", 0.25),
    "windows that overlap": recognizer("r3d_18", window=2, stride=1),
    "s2am2": recognizer("r3d_18", window=2, temporal=part("modules.S2AM2", input_size=64, hidden_size=8)),
    "bilstm": recognizer("resnet18", temporal=part("modules.BiLSTM", input_size=64, hidden_size=8)),
    "safe, baseline": model("SAFE", temporal=BILSTM, attention=False, window=2, stride=2),
    "safe with dam": part(
        "models.SAFE",
        backbone=part("backbones.r3d_18", width=0.125, plugins={"4": DAM}),
        temporal=BILSTM,
        frames=FRAMES,
        size=SIZE,
    ),
    "hdf": model("HDF", "x3d_s"),
    "hdf on r3d": model("HDF", stages=[1, 3], attention="conv"),
    "m3dfel on frames": model("M3DFEL", "resnet18", instances=2, hidden_size=8, heads=2),
    "rdfer": model("RDFER", "resnet50", **DETECTED),
    "rdfer, one stream": model("RDFER", "resnet18", **DETECTED, dual=False, summary=False),
    "rdfer, no hierarchy": model("RDFER", "resnet18", **DETECTED, hierarchical=False, fusion="sum"),
    "rdfer on x3d": model("RDFER", "x3d_s", resample=False, frames=8, samples=4, clips=2, features=16),
}


def frames_network() -> ResNetFrames:
    return ResNetFrames(BasicBlock, (1, 1, 1, 1), width=0.125)


def x3d() -> X3D:
    return X3D((1, 1, 1, 1), width=0.25)


def s2am2(features: int) -> S2AM2:
    return S2AM2(features, 8)


QUICK: dict[str, Callable[[], nn.Module]] = {
    "hdf": lambda: HDF(backbone=x3d(), frames=FRAMES, size=SIZE),
    "safe": lambda: SAFE(backbone=r3d_18(width=0.125), temporal=s2am2, frames=6, size=SIZE),
    "m3dfel": lambda: M3DFEL(backbone=frames_network(), instances=2, hidden_size=8, heads=2, frames=FRAMES, size=SIZE),
    "rdfer": lambda: RDFER(
        backbone=x3d(), detector=frames_network(), frames=8, samples=4, clips=2, features=16, size=SIZE
    ),
}


def shaken(made: nn.Module) -> nn.Module:
    """Give a model numbers as if it had been trained: what starts at zero or one would hide mistakes."""
    with torch.no_grad():
        for name, value in (*made.named_parameters(), *made.named_buffers()):
            if name.endswith("running_var"):
                value.uniform_(0.5, 1.5)
            elif value.is_floating_point() and (name.endswith(("running_mean", "bias")) or not value.any()):
                value.normal_(std=0.05)
    return made.eval()


def exported(made: Any) -> Exported:
    return Exported(f"dfer.models.{type(made).__name__}", made.input_spec)


def compare(made: nn.Module, folder: Path) -> None:
    """Export a model both ways and hold both files to what it gives."""
    description, path, wanted = exported(made), folder / "model.onnx", in_torch(made)
    spec = description.input_spec
    export_onnx(made, path, description)
    engine = open_onnx(path)
    some = clips(5, spec)
    alone = np.concatenate([engine.logits(some[at : at + 1]) for at in range(5)])
    bound = min(1e-4, 0.02 * float(np.ptp(alone, axis=0).max()))  # of no use where all clips look alike to a model
    assert bound > 1e-5
    assert difference(engine.logits, wanted, spec) < bound
    np.testing.assert_allclose(engine.logits(some), alone, atol=bound)  # no clip sees another
    pytest.importorskip("openvino")
    export_openvino(path, path.with_suffix(".xml"), description)
    assert difference(open_openvino(path.with_suffix(".xml")).logits, wanted, spec) < bound


@pytest.mark.parametrize("name", QUICK)
def test_small_models_export(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    compare(shaken(QUICK[name]()), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", CATALOGUE)
def test_every_part_of_the_catalogue_exports(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    compare(shaken(build(CATALOGUE[name])), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [HDF, RDFER, SAFE, M3DFEL])
def test_the_papers_models_export_whole(kind: type[nn.Module], tmp_path: Path) -> None:
    torch.manual_seed(0)
    compare(shaken(kind()), tmp_path)


@pytest.fixture(scope="module")
def made() -> Recognizer:
    torch.manual_seed(0)
    return Recognizer(r3d_18(width=0.0625), frames=4, size=16, labels=ODD, num_classes=len(ODD), dropout=0.5).train()


@pytest.fixture(scope="module")
def file(made: Recognizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    export_onnx(made, path, exported(made))
    return path


def test_says_all_that_is_needed_to_use_it(made: Recognizer, file: Path) -> None:
    proto = onnx.load(file)
    metadata = {one.key: one.value for one in proto.metadata_props}
    assert Exported.read(metadata) == exported(made) == open_onnx(file).exported
    assert proto.doc_string == describe(exported(made))
    (clip,), (logits,) = proto.graph.input, proto.graph.output
    kinds = [one.type.tensor_type.elem_type for one in (clip, logits)]
    assert kinds == [onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT]
    shapes = [[size.dim_param or size.dim_value for size in one.type.tensor_type.shape.dim] for one in (clip, logits)]
    assert (clip.name, logits.name) == ("clip", "logits")
    assert shapes == [["batch", 3, 4, 16, 16], ["batch", len(ODD)]]


def test_gives_the_same_bytes_again_and_leaves_the_model_alone(
    made: Recognizer, file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = {name: value.clone() for name, value in made.state_dict().items()}
    export_onnx(made, tmp_path / "again.onnx", exported(made))
    assert (tmp_path / "again.onnx").read_bytes() == file.read_bytes()
    assert made.training
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    assert "".join(capfd.readouterr()) == ""
    assert [one.name for one in tmp_path.iterdir()] == ["again.onnx"]


def test_names_nothing_of_this_machine(file: Path) -> None:
    content = file.read_bytes()
    for word in (b".py", b"stack_trace", str(Path(__file__).parents[2]).encode(), str(Path.home()).encode()):
        assert word not in content


def test_dropout_and_batch_statistics_are_those_of_evaluation(made: Recognizer, file: Path) -> None:
    logits, some = open_onnx(file).logits, clips(2, made.input_spec)
    np.testing.assert_array_equal(logits(some), logits(some))
    with torch.no_grad():
        training = made(torch.from_numpy(some)).logits.numpy()
    assert np.abs(logits(some) - training).max() > 1e-3  # else there would be nothing to tell


def test_a_folder_that_is_none_is_refused_and_nothing_is_left(
    made: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_export, "graph", lambda *_: onnx.ModelProto())
    (tmp_path / "file").write_text("kept")
    with pytest.raises(InputError, match=r"cannot write .*model\.onnx: .*another folder"):
        export_onnx(made, tmp_path / "file" / "model.onnx", exported(made))
    assert [one.name for one in tmp_path.rglob("*")] == ["file"]


def test_more_than_a_file_holds_is_refused(made: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "graph", lambda *_: onnx.ModelProto())
    monkeypatch.setattr(onnx_export, "LIMIT", 100)
    with pytest.raises(InputError, match=r"the model takes .* GB, an ONNX file holds"):
        export_onnx(made, tmp_path / "model.onnx", exported(made))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_one_line(
    package: str, made: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=r"pip install 'dfer\[onnx\]'"):
        export_onnx(made, tmp_path / "model.onnx", exported(made))
    assert not list(tmp_path.iterdir())


def test_a_pooling_that_keeps_time_has_another_name_for_the_same_numbers() -> None:
    network = nn.Sequential(nn.AdaptiveAvgPool3d((None, 1, 1)), nn.Sequential(nn.AdaptiveAvgPool3d(1)))
    ours, x = prepared(network), torch.randn(2, 3, 4, 5, 6)
    assert [type(one) for one in ours.modules() if not list(one.children())] == [MeanOverSpace, nn.AdaptiveAvgPool3d]
    torch.testing.assert_close(ours(x), network(x))
    assert isinstance(network[0], nn.AdaptiveAvgPool3d)
