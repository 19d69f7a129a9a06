"""A model as an ONNX file: the whole graph, from pixels to logits."""

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from dfer.errors import InputError, one_line
from dfer.models.engines import import_onnxruntime
from dfer.models.exported import INPUT, KEY, OUTPUT, Exported
from dfer.notices import DRAWN
from dfer.runs import write_atomically

LIMIT: Final = 2**31 - 1  # bytes of a file in ONNX's format


class Logits(nn.Module):
    """A model that gives its logits alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, clip: Tensor) -> Tensor:
        logits: Tensor = self.model(clip).logits
        return logits


class MeanOverSpace(nn.Module):
    """Average over space and keep time, as RDFER's X3D does with a pooling that ONNX has no name for.

    Example:
        >>> maps = torch.randn(2, 3, 4, 5, 6)
        >>> torch.allclose(MeanOverSpace()(maps), nn.AdaptiveAvgPool3d((None, 1, 1))(maps), atol=1e-6)
        True
    """

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(3, 4), keepdim=True)


def export_onnx(model: nn.Module, path: Path, exported: Exported) -> None:
    """Write a model as ONNX, whole or not at all: ``clip`` uint8 -> ``logits`` float32, for any number of clips.

    The weights lie inside the file, the description under the key ``dfer`` of its metadata. With the same versions of
    all packages the same model gives the same bytes.

    Raises:
        InputError: the packages that it takes are missing, the folder cannot be written to, or more than 2 GB.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from dfer.backbones import r3d_18
        >>> from dfer.models import Recognizer
        >>> from dfer.models.engines import open_onnx
        >>> model = Recognizer(r3d_18(width=0.0625), frames=4, size=16)
        >>> with TemporaryDirectory() as folder:
        ...     export_onnx(model, Path(folder, "model.onnx"), Exported("dfer.models.Recognizer", model.input_spec))
        ...     engine = open_onnx(Path(folder, "model.onnx"))
        >>> engine.logits(torch.zeros(3, 3, 4, 16, 16, dtype=torch.uint8).numpy()).shape
        (3, 7)
    """
    proto = graph(model, exported)
    proto.metadata_props.add(key=KEY, value=exported.write())
    proto.doc_string = describe(exported)
    if (size := proto.ByteSize()) > LIMIT:
        raise InputError(f"the model takes {size / 1e9:.1f} GB, an ONNX file holds {LIMIT / 1e9:.1f}; export another")
    write_atomically(path, proto.SerializeToString(deterministic=True))


def describe(exported: Exported) -> str:
    """Say in words how the file is to be used, and whether its model is of drawn faces.

    Example:
        >>> from dfer.types import InputSpec
        >>> print(describe(Exported("dfer.models.HDF", InputSpec(16, 112, ("happy", "sad")), temperature=1.5)))
        dfer.models.HDF: clip (B, 3, 16, 112, 112) uint8 RGB, 0 to 255, frames chosen by segments -> logits (B, 2) of
        happy, sad; divide them by the temperature 1.5 before the soft-max.
    """
    spec, data = exported.input_spec, exported.about.get("data")
    drawn = f" {DRAWN}" if isinstance(data, Mapping) and data.get("drawn") else ""
    return (
        f"{exported.model}: {INPUT} (B, 3, {spec.frames}, {spec.size}, {spec.size}) uint8 RGB, 0 to 255, frames chosen "
        f"by {exported.sampling} -> {OUTPUT} (B, {len(spec.labels)}) of {', '.join(spec.labels)}; divide them by the "
        f"temperature {exported.temperature:g} before the soft-max.{drawn}"
    )


def graph(model: nn.Module, exported: Exported) -> Any:
    """Turn a model into an ``onnx.ModelProto`` that says nothing of this machine.

    Raises:
        InputError: the packages that it takes are missing.
    """
    import_onnxruntime()  # before anything else imports it, and because the file is to be checked
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(f"ONNX cannot be written ({one_line(error)}); pip install 'dfer[onnx]'") from error
    spec = exported.input_spec
    plain = Logits(prepared(model))
    with quiet(), torch.no_grad():
        program = torch.onnx.export(
            plain.eval(),
            (torch.zeros(2, 3, spec.frames, spec.size, spec.size, dtype=torch.uint8),),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            input_names=[INPUT],
            output_names=[OUTPUT],
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    forget_origin(proto)
    return proto


def prepared(model: nn.Module) -> nn.Module:
    """Copy a model to the processor, in float32, and put what ONNX knows for what it does not."""
    ours = copy.deepcopy(model).cpu().float()
    for parent in list(ours.modules()):
        for name, part in parent.named_children():
            if isinstance(part, nn.AdaptiveAvgPool3d) and part.output_size == (None, 1, 1):
                setattr(parent, name, MeanOverSpace())
    return ours


def forget_origin(proto: Any) -> None:
    """Take out which line of which file each node came from: it names folders of this machine."""
    for part in (proto.graph, *proto.functions):
        del part.metadata_props[:]
        for name in ("node", "input", "output", "value_info", "initializer"):
            for one in getattr(part, name, ()):
                if hasattr(one, "metadata_props"):
                    del one.metadata_props[:]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporter's warnings to itself: they are about its own inside."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [one.level for one in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "_check_is_size will be removed", FutureWarning)
        warnings.filterwarnings("ignore", r"The tensor attributes? .*_flat_weights", UserWarning)  # of an LSTM
        for one in loggers:
            one.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for one, level in zip(loggers, levels):
                one.setLevel(level)
