"""A model as OpenVINO's two files, made from its ONNX file."""

import tempfile
from pathlib import Path

from dfer.errors import InputError, one_line
from dfer.models.engines import import_openvino
from dfer.models.exported import KEY, Exported


def export_openvino(onnx: Path, path: Path, exported: Exported) -> None:
    """Write ``path`` (``.xml``) and the ``.bin`` beside it, with all weights as they are.

    Neither is there before it is whole, and the ``.xml``, without which nobody asks for the ``.bin``, comes last. The
    description lies under the key ``dfer`` of the model's run-time information.

    Args:
        onnx: the file to convert, from `dfer.export.export_onnx`.

    Raises:
        InputError: no OpenVINO, or the folder cannot be written to.
        ValueError: a path of another suffix.
    """
    if path.suffix != ".xml":
        raise ValueError(f"OpenVINO model {path}: the name must end in .xml")
    openvino = import_openvino()
    model = openvino.Core().read_model(onnx)  # not openvino.convert_model, which reports to its makers
    from openvino.passes import ConstantFolding, Manager

    folding = Manager()
    folding.register_pass(ConstantFolding())  # of some weights a part alone is needed
    folding.run_passes(model)
    model.set_rt_info(exported.write(), KEY)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export.") as folder:
            made = Path(folder) / path.name
            openvino.save_model(model, made, compress_to_fp16=False)
            for suffix in (".bin", ".xml"):
                made.with_suffix(suffix).replace(path.with_suffix(suffix))
    except (OSError, RuntimeError) as error:
        raise InputError(f"cannot write {path} ({one_line(error)[-120:]}); free or choose another folder") from error
