"""ONNX files as integer graphs, and float ones as Keras models."""

from tinyq.importers.onnx.convert import import_onnx

__all__ = ["import_onnx"]
