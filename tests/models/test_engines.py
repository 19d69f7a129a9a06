"""The programs that run exported models."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from dfer.errors import InputError
from dfer.models import engines

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
