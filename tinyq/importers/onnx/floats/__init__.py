"""Float ONNX files as Keras models, channels last."""

from tinyq.importers.onnx.floats.build import load_float_onnx

__all__ = ["load_float_onnx"]
