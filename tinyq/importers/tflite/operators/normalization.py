"""Rows scaled to length 1."""

from __future__ import annotations

from tinyq.graph.ops.tflite_l2_norm import MAX_CHANNELS, TfliteL2Norm
from tinyq.importers.tflite.layer import Layer
from tinyq.importers.tflite.registry import imports


@imports("L2_NORMALIZATION")
def import_l2_normalization(layer: Layer) -> None:
    """Over the last axis, with TFLite's reciprocal square root under both rounding rules."""
    x, y = layer.type_of(layer.source()), layer.type_of(layer.result())
    layer.require(
        y.scale == 1.0 / 128.0 and y.zero_point == 0,
        f"L2 normalization into {layer.result()} with another scale than 1/128",
    )
    layer.require(x.shape[-1] < MAX_CHANNELS, f"rows of {x.shape[-1]} codes are too long")
    layer.require(layer.option("FusedActivationFunction", 0) == 0, "a fused activation")
    layer.finish(layer.apply(TfliteL2Norm(x.zero_point), layer.activation()))
