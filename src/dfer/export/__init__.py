"""Models in formats that other programs run."""

from dfer.export.check import difference, in_torch, speeds
from dfer.export.onnx import export_onnx
from dfer.export.openvino import export_openvino

__all__ = ["difference", "export_onnx", "export_openvino", "in_torch", "speeds"]
