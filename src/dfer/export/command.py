"""``dfer export``: a run's model as a file that other programs run, checked before anyone can use it."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from dfer.errors import InputError
from dfer.export.check import TOLERANCE, clips, difference, in_torch, speeds
from dfer.export.onnx import describe, export_onnx
from dfer.export.openvino import export_openvino
from dfer.models import checkpoint
from dfer.models.engines import Engine, import_onnxruntime, import_openvino, open_onnx, open_openvino
from dfer.models.exported import Exported
from dfer.runs import RunFolder

AT_ONCE: Final = 2  # clips, when timed: for a single one torch takes slow convolutions where channels are few


@dataclass(frozen=True)
class Format:
    """How a format is written and read, and its files, the one that names the model last."""

    suffixes: tuple[str, ...]
    write: Callable[[nn.Module, Path, Exported], None]
    open: Callable[[Path], Engine]
    require: Callable[[], Any]


def write_openvino(model: nn.Module, path: Path, exported: Exported) -> None:
    """Write a model as OpenVINO's two files, by way of ONNX."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        onnx = Path(folder) / "model.onnx"
        export_onnx(model, onnx, exported)
        export_openvino(onnx, path, exported)


FORMATS: Final[Mapping[str, Format]] = {
    "onnx": Format((".onnx",), export_onnx, open_onnx, import_onnxruntime),
    "openvino": Format((".bin", ".xml"), write_openvino, open_openvino, import_openvino),
}


def export(
    run: Path,
    *,
    format: Literal["onnx", "openvino"] = "onnx",
    out: Path | None = None,
    overwrite: bool = False,
) -> int:
    """Write a run's best model as a file that needs neither this package nor PyTorch, and check it.

    The whole graph, from pixels to logits, for any number of clips; labels, input and temperature are its metadata.
    It is compared with PyTorch on clips of noise, and refused where the logits differ by more than 0.0001; the speed of
    both is printed. ``dfer predict`` and ``dfer serve`` take it as ``--model``.

    Args:
        run: a run folder, or a checkpoint (.safetensors).
        format: ``onnx``, or ``openvino``, two files, the quicker of the two on Intel's processors.
        out: where to; by default ``RUN/export/model.onnx`` or ``.xml``.
        overwrite: replace what is there.
    """
    chosen = FORMATS[format]
    model, exported, default = load(run)
    path = out or default.with_suffix(chosen.suffixes[-1])
    check_out(path, chosen, overwrite)
    chosen.require()
    with staging(path.parent) as folder, Console(stderr=True).status("exporting"):
        made = folder / f"model{chosen.suffixes[-1]}"  # not every program opens a file of any name
        chosen.write(model, made, exported)
        engine = chosen.open(made)
        ours = in_torch(model)
        apart = difference(engine.logits, ours, exported.input_spec)
        if not apart <= TOLERANCE:
            raise InputError(
                f"{run}: logits of the exported model are {apart:.2g} from PyTorch's, at most {TOLERANCE:g} is "
                "allowed; nothing was written; please report it"
            )
        found = speeds({"PyTorch": ours, engine.name: engine.logits}, clips(AT_ONCE, exported.input_spec))
        for suffix in chosen.suffixes:
            made.with_suffix(suffix).replace(path.with_suffix(suffix))
    show(path, exported, apart, found)
    return 0


def load(run: Path) -> tuple[nn.Module, Exported, Path]:
    """Load what is to be exported, what to say of it, and where to put it by default.

    Raises:
        InputError: no run or checkpoint there, or a run that is not finished.
    """
    if run.suffix == ".safetensors" and not run.is_dir():
        weights, default, manifest = run, run, {}
        with suppress(InputError):
            manifest = RunFolder(run.absolute().parents[1]).read_manifest()
    elif run.exists() and not run.is_dir():
        raise InputError(f"{run} is no model to export; give a run folder or a checkpoint (.safetensors)")
    else:
        folder = RunFolder(run)
        manifest, weights, default = folder.read_manifest(), folder.checkpoint("best"), run / "export" / "model.onnx"
        if (state := manifest.get("state", "unknown")) != "finished":
            raise InputError(
                f"{run} is not finished (state: {state}); go on with `dfer train ... --resume`, or give a checkpoint, "
                f"such as {weights}"
            )
    loaded = checkpoint.load(weights)
    sampling = loaded.about.get("sampling") or manifest.get("sampling") or "segments"
    about = to_share(loaded.about)
    exported = Exported(loaded.config["class_path"], loaded.input_spec, loaded.temperature, sampling, about)
    return loaded.model, exported, default


def to_share(about: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of what a checkpoint says what names folders of this machine, and the list of clips kept aside.

    Example:
        >>> to_share({"seed": 1, "recipe": "/home/me/my.yaml", "data": {"drawn": False, "description": {"args": {}}}})
        {'seed': 1, 'recipe': 'my.yaml', 'data': {'drawn': False}}
    """
    kept = {name: value for name, value in about.items() if name != "init"}
    recipe, data = kept.get("recipe"), kept.get("data")
    if isinstance(recipe, str) and Path(recipe).suffix:  # a file of someone's own
        kept["recipe"] = Path(recipe).name
    if isinstance(data, Mapping):
        kept["data"] = {name: value for name, value in data.items() if name not in ("description", "held_out_rows")}
    return kept


def check_out(path: Path, chosen: Format, overwrite: bool) -> None:
    """Refuse a place that the model cannot go to.

    Raises:
        InputError: another suffix, something there already, or no file.
    """
    suffix = chosen.suffixes[-1]
    if path.is_dir():
        raise InputError(f"--out {path} is a folder; give a file, such as {path / 'model'}{suffix}")
    if path.suffix != suffix:
        formats = ", ".join(f"{name} {one.suffixes[-1]}" for name, one in FORMATS.items())
        raise InputError(f"--out {path} does not end in {suffix}; each format has its own ({formats})")
    for one in (path.with_suffix(suffix) for suffix in chosen.suffixes):
        if one.exists() and not (overwrite and one.is_file()):
            what = "exists; give --overwrite, or another --out" if one.is_file() else "is no file; give another --out"
            raise InputError(f"{one} {what}")


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Make a folder within another, for files that are not good yet; afterwards nothing is left of it.

    Raises:
        InputError: it cannot be written to, or is full.
    """
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".export.", ignore_cleanup_errors=True) as place:
            yield Path(place)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror or error}; free it or give --out") from error
    finally:
        if is_new:
            with suppress(OSError):  # what was exported is in it
                folder.rmdir()


def show(path: Path, exported: Exported, apart: float, found: Mapping[str, float]) -> None:
    """Print what was exported, how exact and how fast it is."""
    print(f"{path} ({size(path)})")
    print(describe(exported))
    print(f"largest difference from PyTorch's logits: {apart:.1e} (at most {TOLERANCE:g} is allowed)")
    threads = torch.get_num_threads()
    table = Table(f"{AT_ONCE} clips at once", "clips/s", "ratio", caption=f"{threads} thread{'s'[: threads != 1]}")
    first = next(iter(found.values()))
    for name, per_second in found.items():
        table.add_row(name, f"{per_second:.2f}", f"{per_second / first:.2f}")
    Console().print(table)


def size(path: Path) -> str:
    """Say how large a model is, both files of it if there are two."""
    files = {path, path.with_suffix(".bin")} if path.suffix == ".xml" else {path}
    return f"{sum(one.stat().st_size for one in files) / 1e6:.1f} MB"
