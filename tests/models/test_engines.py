"""The programs that run exported models."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dfer.errors import InputError
from dfer.models import engines
from dfer.models.exported import Exported
from dfer.types import InputSpec

USE = {
    "onnxruntime": """
import numpy, onnx
from onnx import TensorProto, helper
from dfer.models.engines import import_onnxruntime
sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "ab"]
graph = helper.make_graph([helper.make_node("Relu", ["a"], ["b"])], "relu", sides[:1], sides[1:])
model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])
program = import_onnxruntime()
program.InferenceSession(model.SerializeToString()).run(None, {"a": numpy.zeros(1, numpy.float32)})
""",
    "openvino": """
import sys
from dfer.models.engines import import_openvino
program = import_openvino()
from openvino.tools import ovc
assert "stub" in type(ovc.telemetry).__module__, type(ovc.telemetry)
assert "openvino_telemetry" not in sys.modules
import openvino_telemetry  # others may have it afterwards
""",
}


@pytest.mark.parametrize("name", USE)
def test_leaves_nothing_in_the_home_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino" if name == "openvino" else "onnxruntime")
    for variable in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "CI", "TF_BUILD", "JENKINS_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", USE[name]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(("name", "extra"), [("onnxruntime", "onnx"), ("openvino", "openvino")])
def test_a_missing_program_is_one_line(name: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=rf"cannot be used \(.*\); pip install 'dfer\[{extra}\]'"):
        getattr(engines, f"import_{name}")()


def test_a_choice_of_the_user_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    fake = SimpleNamespace(disable_telemetry_events=lambda: called.append("disabled"))
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    assert engines.import_onnxruntime() is fake
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "0"
    assert called == ["disabled"]


LABELS = ("red", "green", "blue")
DESCRIBED = Exported("dfer.models.Recognizer", InputSpec(2, 4, LABELS), 1.5)


def write_onnx(
    path: Path, description: str | None = DESCRIBED.write(), *, kind: str = "UINT8", extra: bool = False
) -> Path:
    """Write a model whose logits are the mean of each colour."""
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    clip = helper.make_tensor_value_info("clip", getattr(types, kind), ["batch", 3, 2, 4, 4])
    outputs = [helper.make_tensor_value_info("logits", types.FLOAT, ["batch", 3])]
    nodes = [
        helper.make_node("Cast", ["clip"], ["pixels"], to=types.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["logits"], keepdims=0),
    ]
    if extra:
        outputs.append(helper.make_tensor_value_info("pixels", types.FLOAT, ["batch", 3, 2, 4, 4]))
    axes = helper.make_tensor("axes", types.INT64, [3], [2, 3, 4])
    graph = helper.make_graph(nodes, "mean", [clip], outputs, [axes])
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])
    if description is not None:
        model.metadata_props.add(key="dfer", value=description)
    path.write_bytes(model.SerializeToString())
    return path


def write_openvino(path: Path, description: str | None = DESCRIBED.write(), **changes: Any) -> Path:
    pytest.importorskip("openvino")
    openvino = engines.import_openvino()
    model = openvino.Core().read_model(write_onnx(path.with_suffix(".onnx"), None, **changes))
    if description is not None:
        model.set_rt_info(description, "dfer")
    openvino.save_model(model, path, compress_to_fp16=False)
    return path


WAYS = [
    pytest.param(engines.open_onnx, write_onnx, "model.onnx", id="onnx"),
    pytest.param(engines.open_openvino, write_openvino, "model.xml", id="openvino"),
]
Open = Callable[[Path], engines.Engine]
Write = Callable[..., Path]


@pytest.mark.parametrize(("opened", "write", "name"), WAYS)
def test_an_engine_gives_logits_for_any_number_of_clips(opened: Open, write: Write, name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    engine = opened(write(tmp_path / name))
    assert engine.exported == DESCRIBED
    assert engine.name.split()[0] in ("onnxruntime", "OpenVINO")
    for count in (1, 3, 2):
        clip = np.random.default_rng(count).integers(0, 256, (count, 3, 2, 4, 4), np.uint8)
        found = engine.logits(clip)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, clip.mean((2, 3, 4)), atol=1e-4)
    strided = np.zeros((2, 2, 3, 4, 4), np.uint8).transpose(0, 2, 1, 3, 4)
    np.testing.assert_array_equal(engine.logits(strided), np.zeros((2, 3)))


@pytest.mark.parametrize(("opened", "write", "name"), WAYS)
def test_several_threads_may_ask_an_engine_at_once(opened: Open, write: Write, name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    engine = opened(write(tmp_path / name))

    def ask(value: int) -> float:
        return float(np.ptp(engine.logits(np.full((1 + value % 3, 3, 2, 4, 4), value, np.uint8)) - value))

    with ThreadPoolExecutor(8) as pool:
        assert max(pool.map(ask, range(200))) < 1e-4


@pytest.mark.parametrize(("opened", "write", "name"), WAYS)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((None,), "no 'dfer' in the metadata: not exported by dfer"),
        (("{",), "damaged metadata"),
        (
            (replace(DESCRIBED, input_spec=InputSpec(2, 8, LABELS)).write(),),
            r"clip \(3, 2, 8, 8\) uint8 -> logits \(3,\)",
        ),
        (
            (replace(DESCRIBED, input_spec=InputSpec(2, 4, LABELS[:2])).write(),),
            r"-> logits \(2,\); export the model again",
        ),
    ],
    ids=["others'", "torn", "size", "labels"],
)
def test_a_file_that_says_something_else_is_refused(
    opened: Open, write: Write, name: str, arguments: tuple[Any], words: str, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(InputError, match=words) as caught:
        opened(write(tmp_path / name, *arguments))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("opened", "write", "name"), WAYS)
@pytest.mark.parametrize("changes", [{"kind": "FLOAT"}, {"extra": True}], ids=str)
def test_another_graph_is_refused(
    opened: Open, write: Write, name: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(InputError, match="is not the graph that its metadata describe"):
        opened(write(tmp_path / name, **changes))


@pytest.mark.parametrize(("opened", "write", "name"), WAYS)
def test_no_file_or_a_damaged_one_is_refused(
    opened: Open, write: Write, name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(InputError, match=r"not found; make it with `dfer export RUN`"):
        opened(tmp_path / name)
    path = write(tmp_path / name)
    whole = path.read_bytes()
    for content in (b"", b"a text\n", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"export") as caught:
            opened(path)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400
    assert "".join(capfd.readouterr()) == ""


def test_openvinos_weights_must_be_there_and_whole(tmp_path: Path) -> None:
    path = write_openvino(tmp_path / "model.xml")
    path.with_suffix(".bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"model\.xml and its \.bin are damaged or do not belong together"):
        engines.open_openvino(path)
    path.with_suffix(".bin").unlink()
    with pytest.raises(InputError, match=r"model\.bin not found"):
        engines.open_openvino(path)
