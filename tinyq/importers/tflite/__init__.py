"""Integer .tflite models -> the integer graph, with TFLite's rounding or tinyq's own."""

from tinyq.importers.tflite.convert import import_tflite

__all__ = ["import_tflite"]
