"""Operators on plain INT32 tensors, which have no scale."""

from __future__ import annotations

from tinyq.graph import Op
from tinyq.importers.tflite.layer import Layer


def is_plain(layer: Layer) -> bool:
    """Whether an operator computes integers without a scale from two of them."""
    tensors = (layer.source(0), layer.source(1), layer.result())
    return all(tensor.type == "INT32" and tensor.quantization is None for tensor in tensors)


def import_integers(layer: Layer, operation: Op) -> None:
    """An operation on both operands under one shape, without an activation."""
    layer.require(layer.option("FusedActivationFunction", 0) == 0, "a fused activation")
    layer.finish(layer.apply(operation, *layer.broadcast()))
