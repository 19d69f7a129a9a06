"""``dfer export``."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dfer.cli import main
from dfer.errors import InputError
from dfer.export import command
from dfer.export.command import FORMATS, export, load, to_share
from dfer.models import checkpoint
from dfer.models.engines import Engine, open_onnx
from dfer.models.exported import Exported
from dfer.notices import DRAWN
from dfer.runs import RunFolder

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")


def fake(
    monkeypatch: pytest.MonkeyPatch, format: str = "onnx", apart: float = 0.0, fault: Exception | None = None
) -> None:
    """Have a format written and read in no time; its logits are so far from the model's."""
    held: dict[str, Any] = {}

    def write(model: Any, path: Path, exported: Exported) -> None:
        held["model"] = model
        for suffix in FORMATS[format].suffixes:
            path.with_suffix(suffix).write_text("new")
        if fault:
            raise fault

    def logits(clip: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.no_grad():
            found: NDArray[np.float32] = held["model"](torch.from_numpy(clip)).logits.numpy() + np.float32(apart)
        return found

    def opened(path: Path) -> Engine:
        return Engine("fake 1.0", None, logits)  # type: ignore[arg-type]

    monkeypatch.setattr(
        command,
        "FORMATS",
        {**FORMATS, format: replace(FORMATS[format], write=write, open=opened, require=lambda: None)},
    )


def below(folder: Path) -> list[str]:
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())


def test_writes_and_checks_a_runs_best_model(own_run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint.set_temperature(own_run.checkpoint(), 1.5)
    assert main(["export", str(own_run.path)]) == 0
    path = own_run.path / "export" / "model.onnx"
    assert below(path.parent) == ["model.onnx"]
    exported = open_onnx(path).exported
    loaded = checkpoint.load(own_run.checkpoint())
    assert (exported.model, exported.input_spec) == ("dfer.models.Recognizer", loaded.input_spec)
    assert (exported.temperature, exported.sampling) == (1.5, own_run.read_manifest()["sampling"])
    said = capsys.readouterr().out
    for words in (
        str(path),
        " MB)",
        "happy, sad, angry",
        "(B, 3, 4, 32, 32)",
        "temperature 1.5",
        "PyTorch",
        "onnxruntime",
    ):
        assert words in said
    assert float(said.split("PyTorch's logits: ")[1].split()[0]) < 1e-4
    assert DRAWN not in said


def test_openvino_is_two_files(own_run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("openvino")
    export(own_run.path, format="openvino")
    assert below(own_run.path / "export") == ["model.bin", "model.xml"]
    assert "OpenVINO 20" in capsys.readouterr().out


def test_a_checkpoint_goes_beside_itself(
    own_run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake(monkeypatch)
    export(own_run.checkpoint("last"))
    assert own_run.checkpoint("last").with_suffix(".onnx").read_text() == "new"
    assert not (own_run.path / "export").exists()


def test_goes_where_it_is_asked_to(own_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, "openvino")
    export(own_run.path, format="openvino", out=tmp_path / "a" / "it's 100% 笑.xml")
    assert below(tmp_path / "a") == ["it's 100% 笑.bin", "it's 100% 笑.xml"]


@pytest.mark.parametrize("apart", [0.0002, float("nan")])
def test_a_model_that_differs_is_refused_and_leaves_nothing(
    apart: float, own_run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake(monkeypatch, apart=apart)
    assert main(["export", str(own_run.path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    by = "0.0002" if apart == apart else "inf"
    assert f"logits of the exported model are {by} from PyTorch's, at most 0.0001 is allowed" in said.err
    assert said.err.count("\n") == 1
    assert not (own_run.path / "export").exists()


def test_what_is_there_stays_unless_told_and_until_the_new_one_is_good(
    own_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own_run.path / "export"
    folder.mkdir()
    (folder / "model.bin").write_text("old")  # half of it is enough
    fake(monkeypatch, "openvino", apart=1.0)
    with pytest.raises(InputError, match=r"model\.bin exists; give --overwrite, or another --out"):
        export(own_run.path, format="openvino")
    with pytest.raises(InputError, match="nothing was written"):
        export(own_run.path, format="openvino", overwrite=True)
    assert {name: (folder / name).read_text() for name in below(folder)} == {"model.bin": "old"}
    fake(monkeypatch, "openvino")
    export(own_run.path, format="openvino", overwrite=True)
    assert {name: (folder / name).read_text() for name in below(folder)} == {"model.bin": "new", "model.xml": "new"}


def test_a_full_disk_is_one_line_and_leaves_nothing(own_run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, fault=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    with pytest.raises(InputError, match=r"cannot write to .*export: No space left on device; free it or give --out"):
        export(own_run.path)
    assert not (own_run.path / "export").exists()


def test_drawn_faces_are_said(
    own_run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    beside = own_run.checkpoint().with_suffix(".json")
    content = json.loads(beside.read_text())
    content["about"]["data"]["drawn"] = True
    beside.write_text(json.dumps(content))
    fake(monkeypatch)
    export(own_run.path)
    assert capsys.readouterr().out.count(f"before the soft-max. {DRAWN}") == 1


@pytest.mark.parametrize("state", ["interrupted", "failed"])
def test_an_unfinished_run_is_refused(state: str, own_run: RunFolder) -> None:
    own_run.write_manifest({**own_run.read_manifest(), "state": state})
    with pytest.raises(InputError, match=rf"not finished \(state: {state}\).*--resume.*best\.safetensors"):
        export(own_run.path)
    assert load(own_run.checkpoint())[1].input_spec.size == 32  # its checkpoint may be


def test_a_run_without_its_checkpoint_is_refused(own_run: RunFolder) -> None:
    own_run.checkpoint().unlink()
    with pytest.raises(InputError, match=r"best\.safetensors not found"):
        export(own_run.path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing", "nothing is no run folder"),
        ("folder", "folder is no run folder"),
        ("model.pt", r"no model to export; give a run folder or a checkpoint \(\.safetensors\)"),
        ("gone.safetensors", r"gone\.safetensors not found"),
    ],
)
def test_what_is_no_run_is_refused(name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "model.pt").touch()
    with pytest.raises(InputError, match=words):
        export(tmp_path / name)
    assert below(tmp_path) == ["model.pt"]


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("model.xml", r"does not end in \.onnx; each format has its own \(onnx \.onnx, openvino \.xml\)"),
        ("model", r"does not end in \.onnx"),
        ("folder", r"is a folder; give a file, such as .*folder/model\.onnx"),
        ("file/model.onnx", "cannot write to .*file: (File exists|Not a directory)"),
        ("pipe.onnx", r"pipe\.onnx is no file; give another --out"),
    ],
)
def test_a_place_it_cannot_go_to_is_refused(
    out: str, words: str, own_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch)
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe.onnx")
    before = below(tmp_path)
    with pytest.raises(InputError, match=words):
        export(own_run.path, out=tmp_path / out, overwrite=True)
    assert below(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_rights_is_refused(own_run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(InputError, match=r"cannot write to .*locked: Permission denied"):
        export(own_run.path, out=tmp_path / "locked" / "model.onnx")


def test_a_missing_program_is_said_before_any_work(
    own_run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "openvino", None)
    assert main(["export", str(own_run.path), "--format", "openvino"]) == 2
    assert "pip install 'dfer[openvino]'" in capsys.readouterr().err
    assert not (own_run.path / "export").exists()


def test_shares_nothing_of_this_machine(own_run: RunFolder) -> None:
    _, exported, _ = load(own_run.path)
    root = own_run.read_manifest()["data"]["description"]["args"]["root"]
    assert Path(root).is_absolute()
    assert str(Path(root).parent) not in exported.write()
    assert exported.about["data"]["drawn"] is False
    assert exported.about["data"]["train_clips"] > 0


def test_shares_what_the_faces_were_cut_with() -> None:
    faces = {"geometry": {"size": 112}, "detector": "blaze_face"}
    about = {"init": "/home/me/run", "data": {"faces": faces, "held_out_rows": [1, 2]}, "recipe": "dfew/safe"}
    assert to_share(about) == {"data": {"faces": faces}, "recipe": "dfew/safe"}
    assert about["init"]
