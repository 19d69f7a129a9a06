"""A trained model from any of its files, ready to tell what clips show."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dfer.errors import InputError, one_line
from dfer.models import checkpoint
from dfer.models.engines import Engine, open_onnx, open_openvino
from dfer.runs import RunFolder
from dfer.transforms.presets import EVAL_SAMPLERS
from dfer.types import InputSpec

Precision = Literal["float32", "bfloat16"]
FORMATS: Final = "a run folder, a .safetensors, a .onnx or an OpenVINO .xml"


class Classifier(Protocol):
    """Tells what clips show, whatever runs it.

    ``name`` is for outputs; ``sampling`` says which frames of a clip it takes, as `dfer.transforms.EvalTransform` does;
    ``about`` is what its checkpoint says of the training; ``details`` say what runs here: the class, the runtime, the
    precision (plain JSON).
    """

    @property
    def name(self) -> str: ...
    @property
    def input_spec(self) -> InputSpec: ...
    @property
    def temperature(self) -> float: ...
    @property
    def sampling(self) -> str: ...
    @property
    def about(self) -> Mapping[str, Any]: ...
    @property
    def details(self) -> Mapping[str, Any]: ...

    def logits(self, clip: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run the model, ``(B, 3, T, S, S)`` -> ``(B, K)``, before the temperature."""
        ...


@dataclass(frozen=True)
class TorchClassifier:
    """A checkpoint's model in PyTorch."""

    model: nn.Module = field(repr=False)
    name: str
    input_spec: InputSpec
    temperature: float
    sampling: str
    about: Mapping[str, Any]
    device: torch.device
    precision: Precision
    class_path: str

    @property
    def details(self) -> Mapping[str, Any]:
        """Say what runs."""
        return {
            "class": self.class_path,
            "runtime": "torch",
            "device": self.device.type,
            "precision": self.precision,
        }

    def logits(self, clip: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run the model, ``(B, 3, T, S, S)`` -> ``(B, K)``, before the temperature."""
        half = torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")
        # On a GPU convolutions would otherwise round to ten bits, unasked, and not always add up in the same order.
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        whole = exact if self.device.type == "cuda" else nullcontext()
        with torch.inference_mode(), half, whole:
            found = self.model(torch.from_numpy(clip).to(self.device)).logits.float().cpu().numpy()
        return np.asarray(found, np.float32)


@dataclass(frozen=True)
class ExportedClassifier:
    """An exported file's model in the engine that runs it."""

    engine: Engine = field(repr=False)
    name: str

    @property
    def input_spec(self) -> InputSpec:
        """Say what clips it takes."""
        return self.engine.exported.input_spec

    @property
    def temperature(self) -> float:
        """Say what its logits are to be divided by."""
        return self.engine.exported.temperature

    @property
    def sampling(self) -> str:
        """Say which frames of a clip it takes."""
        return self.engine.exported.sampling

    @property
    def about(self) -> Mapping[str, Any]:
        """Say how it was trained."""
        return self.engine.exported.about

    @property
    def details(self) -> Mapping[str, Any]:
        """Say what runs."""
        return {
            "class": self.engine.exported.model,
            "runtime": self.engine.name,
            "device": "cpu",
            "precision": "float32",
        }

    def logits(self, clip: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run the model, ``(B, 3, T, S, S)`` -> ``(B, K)``, before the temperature."""
        return np.asarray(self.engine.logits(clip), np.float32)


def load_classifier(path: Path, *, device: str | None = None, precision: Precision = "float32") -> Classifier:
    """Load a model: a run folder's best, a checkpoint, or an exported file (``.onnx``, OpenVINO's ``.xml``).

    Args:
        device: ``cpu`` or ``cuda``; the GPU where there is one, unless given.
        precision: ``bfloat16`` computes in half the bits, on processors and GPUs that can; not for exported files.

    Raises:
        InputError: nothing there, something else, damaged, or made to run what is not installed.
    """
    path = Path(path)
    if precision not in ("float32", "bfloat16"):
        raise InputError(f"precision {precision!r}: give float32 or bfloat16")
    try:
        path.stat()
    except (OSError, ValueError) as error:
        reason = "not found" if isinstance(error, FileNotFoundError) else f"cannot be read ({one_line(error)[:80]})"
        raise InputError(f"{path} {reason}; give {FORMATS}") from error
    if path.is_dir():
        return _from_run(path, device, precision)
    if path.suffix == ".safetensors":
        return _from_checkpoint(path, path.stem, _beside(path), device, precision)
    if path.suffix in (".onnx", ".xml"):
        return _from_exported(path, device, precision)
    if path.suffix == ".bin" and path.with_suffix(".xml").is_file():
        raise InputError(f"{path} is half of a model; give {path.with_suffix('.xml')}")
    raise InputError(f"{path} is no model that dfer can use; give {FORMATS}")


def _from_run(path: Path, device: str | None, precision: Precision) -> Classifier:
    run = RunFolder(path)
    manifest = run.read_manifest()
    best = run.checkpoint("best")
    if not best.is_file():
        state = manifest.get("state", "unknown")
        raise InputError(f"{path} has no checkpoint yet (state: {state}); go on with `dfer train ... --resume`")
    return _from_checkpoint(best, path.resolve().name, manifest, device, precision)


def _beside(path: Path) -> Mapping[str, Any]:
    """Read the run that a checkpoint lies in, if any."""
    try:
        return RunFolder(path.absolute().parents[1]).read_manifest()
    except (InputError, IndexError):
        return {}


def _from_checkpoint(
    path: Path, name: str, manifest: Mapping[str, Any], device: str | None, precision: Precision
) -> Classifier:
    loaded = checkpoint.load(path)
    where = torch_device(device)
    return _checked(
        TorchClassifier(
            model=loaded.model.to(where).eval(),
            name=name,
            input_spec=loaded.input_spec,
            temperature=loaded.temperature,
            sampling=str(loaded.about.get("sampling") or manifest.get("sampling") or "segments"),
            about=loaded.about,
            device=where,
            precision=precision,
            class_path=loaded.config["class_path"],
        ),
        path,
    )


def _from_exported(path: Path, device: str | None, precision: Precision) -> Classifier:
    if device not in (None, "cpu"):
        raise InputError(f"{path} runs on cpu, not on {device}; leave the device out, or give the run")
    if precision != "float32":
        raise InputError(f"{path} computes in float32, not in {precision}; leave the precision out, or give the run")
    engine = open_onnx(path) if path.suffix == ".onnx" else open_openvino(path)
    return _checked(ExportedClassifier(engine, path.stem), path)


def _checked(classifier: Classifier, path: Path) -> Classifier:
    """Refuse what a damaged description might ask for."""
    if classifier.sampling not in EVAL_SAMPLERS:
        raise InputError(f"{path} asks for sampling {classifier.sampling!r}; there is {', '.join(EVAL_SAMPLERS)}")
    if not 0 < classifier.temperature < np.inf:
        raise InputError(f"{path} has the temperature {classifier.temperature}; it must be above 0")
    return classifier


def torch_device(name: str | None) -> torch.device:
    """Find a device by its name, by default a GPU where there is one.

    Raises:
        InputError: there is none of that name here.
    """
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {name}: {one_line(error)[:160]}; give cpu, or cuda where there is a GPU") from error
    return device
