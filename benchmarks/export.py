"""Eager bfloat16, ONNX Runtime and OpenVINO against eager float32, on a processor, in one run.

Clips of 16 frames at 112 px. All take turns; prints milliseconds per clip and clips per second as multiples of eager
float32's (medians of the rounds), and how far the logits are from its. A single clip is another matter: where channels
are few, torch then takes slow convolutions for float32 (seen with 2.15).

    python benchmarks/export.py [--threads 2] [--clips 2] [--seconds 20] [--models "R3D-18, quarter"] [--json]
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from dfer.backbones import r3d_18, x3d_s
from dfer.export import difference, export_onnx, export_openvino, in_torch, speeds
from dfer.export.check import clips
from dfer.models import Recognizer
from dfer.models.engines import open_onnx, open_openvino
from dfer.models.exported import Exported

MODELS: dict[str, Callable[[], nn.Module]] = {
    "R3D-18, quarter": lambda: r3d_18(width=0.25),
    "R3D-18": r3d_18,
    "X3D-S": x3d_s,
}
FLOAT32 = "eager float32"


def compare(backbone: nn.Module, count: int, seconds: float) -> dict[str, dict[str, float]]:
    """Export a model and time it in every way, on the same clips."""
    model = Recognizer(backbone, frames=16, size=112).eval()
    spec = model.input_spec
    described = Exported("dfer.models.Recognizer", spec)
    with tempfile.TemporaryDirectory() as folder:
        onnx, openvino = Path(folder) / "model.onnx", Path(folder) / "model.xml"
        export_onnx(model, onnx, described)
        export_openvino(onnx, openvino, described)
        ways = {FLOAT32: in_torch(model), "eager bfloat16": in_torch(model, torch.bfloat16)}
        ways |= {engine.name: engine.logits for engine in (open_onnx(onnx), open_openvino(openvino))}
        found = speeds(ways, clips(count, spec), seconds)
        apart = {name: difference(logits, ways[FLOAT32], spec) for name, logits in ways.items()}
    return {
        name: {"ms": 1000 / found[name], "ratio": found[name] / found[FLOAT32], "difference": apart[name]}
        for name in ways
    }


def main() -> None:
    """Print a line for each model and way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clips", type=int, default=2, help="at once")
    parser.add_argument("--seconds", type=float, default=20, help="of timing, per model")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    found = {name: compare(MODELS[name](), options.clips, options.seconds) for name in options.models}
    if options.json:
        print(json.dumps(found))
        return
    for model, ways in found.items():
        for way, result in ways.items():
            print(
                f"{model:16s} {way:20s} {result['ms']:7.1f} ms per clip, {result['ratio']:5.2f}x eager float32, "
                f"logits {result['difference']:.1e} from its"
            )


if __name__ == "__main__":
    main()
