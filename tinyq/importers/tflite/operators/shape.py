"""Operators that only change the shape."""

from __future__ import annotations

from tinyq.importers.tflite.layer import Layer
from tinyq.importers.tflite.registry import imports


@imports("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def import_reshape(layer: Layer) -> None:
    """The same codes under the shape that the file states for the output."""
    layer.require(
        layer.source().elements == layer.result().elements,
        f"cannot reshape {layer.source()} to {layer.result()}",
    )
    layer.finish(layer.activation())


@imports("DEQUANTIZE")
def import_dequantize(layer: Layer) -> None:
    """What `islands` left: no activation with one scale."""
    layer.require(
        False,
        f"{layer.source()} is no activation with one scale",
        "convert with full-integer quantization (int8 weights and activations)",
    )
