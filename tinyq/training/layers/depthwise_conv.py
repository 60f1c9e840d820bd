"""Depthwise convolutions over images and over time."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tinyq.graph.ops.depthwise_conv2d import DepthwiseConv2D
from tinyq.training.lowering.emission import Lowering, Value, zero_of
from tinyq.training.lowering.windows import window_of
from tinyq.training.patterns import FusedLayer
from tinyq.training.recipe import Rule
from tinyq.training.registry import lowers, quantizes, serializable
from tinyq.training.tracing import Step
from tinyq.training.weighted import WeightedLayer, build_weighted


@serializable
class QuantizedDepthwiseConv2D(WeightedLayer, keras.layers.DepthwiseConv2D):
    """Depthwise convolution; options of its Keras twin, ``WeightedLayer``, ``FinishedLayer``."""

    shared_axes = (0, 1)
    reduced_axes = (0, 1)

    def accumulate(self, inputs: Any, kernel: Any) -> Any:
        """Convolution of each channel on its own."""
        return ops.depthwise_conv(
            inputs, kernel, self.strides, self.padding, None, self.dilation_rate
        )


@serializable
class QuantizedDepthwiseConv1D(WeightedLayer, keras.layers.DepthwiseConv1D):
    """Depthwise convolution over time; options of its Keras twin and as above."""

    shared_axes = (0,)
    reduced_axes = (0,)

    def accumulate(self, inputs: Any, kernel: Any) -> Any:
        """Convolution of each channel on its own."""
        return ops.depthwise_conv(
            inputs, kernel, self.strides, self.padding, None, self.dilation_rate
        )


_CLASSES = {
    "DepthwiseConv2D": QuantizedDepthwiseConv2D,
    "DepthwiseConv1D": QuantizedDepthwiseConv1D,
}


@quantizes("DepthwiseConv2D", "DepthwiseConv1D", weighted=True, fuses=True, equalizes=True)
def build_depthwise(fused: FusedLayer, options: dict[str, Any], rule: Rule) -> Any:
    """A quantized depthwise convolution with the options of the float one."""
    return build_weighted(_CLASSES[fused.kind])(fused, options, rule)


@lowers("QuantizedDepthwiseConv2D", "QuantizedDepthwiseConv1D")
def lower_depthwise(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """Depthwise convolution; over time it is one over images of height 1."""
    layer = step.layer
    codes = layer.weight_codes()
    codes = codes[None] if codes.ndim == 3 else codes
    codes = codes.reshape(*codes.shape[:2], -1)
    weights = lowering.constant(step, "weights", codes, layer.weight_format())
    window = window_of(step, inputs[0].padding)
    epilogue, constants = lowering.epilogue(step, layer.code_map(), codes.shape[-1])
    operation = DepthwiseConv2D(epilogue, window, zero_of(layer.input_encoding()))
    return lowering.on_image(step, inputs[0], operation, weights, *constants)
