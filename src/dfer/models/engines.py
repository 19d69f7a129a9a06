"""The programs that run exported models, kept from telling their makers that they are used."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dfer.errors import InputError, one_line
from dfer.models.exported import INPUT, KEY, OUTPUT, Exported


@dataclass(frozen=True)
class Engine:
    """An exported model, ready to run on the processor.

    ``logits`` turns clips into logits before the temperature; several threads may call it at once.

    Shape:
        ``(B, 3, T, S, S)`` uint8 -> ``(B, K)`` float32.
    """

    name: str
    exported: Exported
    logits: Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def open_onnx(path: Path, threads: int | None = None) -> Engine:
    """Load an ONNX file into ONNX Runtime.

    Args:
        threads: by default as many as torch has.

    Raises:
        InputError: no such file, damaged, not what ``dfer export`` writes, or no ONNX Runtime.
    """
    _check_file(path)
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.log_severity_level = 4  # what matters is raised
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        metadata = session.get_modelmeta().custom_metadata_map
    except Exception as error:  # its errors have no class in common
        raise InputError(f"{path} is no ONNX file that can be run ({_brief(error)}); export the model again") from error
    exported = _described(path, metadata)
    sides = {one.name: (one.type, one.shape) for one in (*session.get_inputs(), *session.get_outputs())}
    kind, clip = sides.get(INPUT, ("", ()))
    _check_graph(path, exported, kind == "tensor(uint8)", clip, sides.get(OUTPUT, ("", ()))[1], len(sides))

    def logits(clip: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(session.run([OUTPUT], {INPUT: np.ascontiguousarray(clip)})[0], np.float32)

    return Engine(f"onnxruntime {onnxruntime.__version__}", exported, logits)


def open_openvino(path: Path, threads: int | None = None) -> Engine:
    """Load an OpenVINO model, a ``.xml`` with the ``.bin`` beside it; it computes in float32.

    Args:
        threads: by default as many as torch has.

    Raises:
        InputError: no such files, damaged, not what ``dfer export`` writes, or no OpenVINO.
    """
    _check_file(path)
    weights = path.with_suffix(".bin")
    _check_file(weights)
    with path.open("rb") as file:
        if b"<net" not in file.read(1000):  # else it is tried as everything that OpenVINO knows
            raise InputError(f"{path} is no OpenVINO model; make one with `dfer export RUN --format openvino`")
    openvino = import_openvino()
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",  # or it is bfloat16 where the processor has that
        "INFERENCE_NUM_THREADS": threads or torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    try:
        core = openvino.Core()
        model = core.read_model(path, weights)
        metadata = {KEY: model.get_rt_info(KEY).astype(str)} if model.has_rt_info(KEY) else {}
        inputs = {name: one for one in model.inputs for name in one.get_names()}
        outputs = {name: one for one in model.outputs for name in one.get_names()}
        exported = _described(path, metadata)
        is_bytes = INPUT in inputs and inputs[INPUT].element_type == openvino.Type.u8
        clip, found = (
            [*side[name].partial_shape] if name in side else [] for side, name in ((inputs, INPUT), (outputs, OUTPUT))
        )
        _check_graph(path, exported, is_bytes, clip, found, len(model.inputs) + len(model.outputs))
        compiled = core.compile_model(model, "CPU", settings)
    except RuntimeError as error:
        raise InputError(
            f"{path} and its .bin are damaged or do not belong together ({_brief(error)}); export the model again"
        ) from error

    def logits(clip: NDArray[np.uint8]) -> NDArray[np.float32]:
        request = compiled.create_infer_request()  # one of its own: calls may come from several threads
        return np.array(request.infer({INPUT: np.ascontiguousarray(clip)})[OUTPUT], np.float32)

    return Engine(f"OpenVINO {openvino.__version__.partition('-')[0]}", exported, logits)


def import_onnxruntime() -> Any:
    """Import onnxruntime with its telemetry off.

    Its makers' builds have it on: it would keep an identifier in the home folder and report what is run.

    Raises:
        InputError: not installed, or not fit for this machine.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, as it starts
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(f"ONNX Runtime cannot be used ({one_line(error)}); pip install 'dfer[onnx]'") from error
    if hasattr(onnxruntime, "disable_telemetry_events"):  # someone else may have started it
        onnxruntime.disable_telemetry_events()
    return onnxruntime


def import_openvino() -> Any:
    """Import OpenVINO with its telemetry off.

    Otherwise the import alone is reported, unless the user has opted out.

    Raises:
        InputError: not installed, or not fit for this machine.
    """
    name = "openvino_telemetry"
    hidden = "openvino" not in sys.modules and name not in sys.modules
    if hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # as if not installed: OpenVINO does without
    try:
        import openvino
    except ImportError as error:
        raise InputError(f"OpenVINO cannot be used ({one_line(error)}); pip install 'dfer[openvino]'") from error
    finally:
        if hidden:
            del sys.modules[name]
    return openvino


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path} not found; make it with `dfer export RUN`")


def _described(path: Path, metadata: Mapping[str, str]) -> Exported:
    try:
        return Exported.read(metadata)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _check_graph(
    path: Path, exported: Exported, is_bytes: bool, clip: Sequence[Any], logits: Sequence[Any], sides: int
) -> None:
    spec = exported.input_spec
    wanted = [3, spec.frames, spec.size, spec.size], [len(spec.labels)]
    if not is_bytes or ([*clip[1:]], [*logits[1:]]) != wanted or sides != 2:
        raise InputError(
            f"{path} is not the graph that its metadata describe, {INPUT} {tuple(wanted[0])} uint8 -> {OUTPUT} "
            f"{tuple(wanted[1])}; export the model again"
        )


def _brief(error: Exception) -> str:
    return one_line(error)[-120:]
