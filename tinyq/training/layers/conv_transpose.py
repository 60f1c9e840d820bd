"""Transposed convolutions over images and over time."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tinyq.graph.ops.transpose_conv2d import TransposeConv2D
from tinyq.graph.ops.window import Window, same_padding
from tinyq.training.lowering.emission import NO_PADDING, Lowering, Value, zero_of
from tinyq.training.lowering.windows import image_shape, pair, plain
from tinyq.training.patterns import FusedLayer
from tinyq.training.recipe import Rule
from tinyq.training.registry import lowers, quantizes, rewrites, serializable
from tinyq.training.rewriting import Application, Rewriting
from tinyq.training.tracing import Step
from tinyq.training.weighted import WeightedLayer, build_weighted

TO_DEPLOYED_ORDER = (3, 0, 1, 2)  # (height, width, in, out) to (out, height, width, in)
METHOD = "int8"


class _TransposedLayer(WeightedLayer):
    """Its kernel lies as that of a convolution, the output channels innermost."""

    def build(self, input_shape: Any) -> None:
        """Create kernel, bias and the state of the epilogue."""
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*self.kernel_size, input_shape[-1], self.filters),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias", shape=(self.filters,), initializer=self.bias_initializer
            )
        self.finish_build(input_shape)

    def order_kernel(self, kernel: Any) -> Any:
        """Output channels innermost."""
        return ops.swapaxes(kernel, -1, -2)

    def accumulate(self, inputs: Any, kernel: Any) -> Any:
        """Transposed convolution."""
        return ops.conv_transpose(
            inputs,
            ops.swapaxes(kernel, -1, -2),
            self.strides,
            self.padding,
            self.output_padding,
            self.data_format,
            self.dilation_rate,
        )


@serializable
class QuantizedConv2DTranspose(_TransposedLayer, keras.layers.Conv2DTranspose):
    """Transposed convolution; options of its Keras twin, ``WeightedLayer``, ``FinishedLayer``."""

    shared_axes = (0, 1, 2)
    reduced_axes = (0, 1, 2)


@serializable
class QuantizedConv1DTranspose(_TransposedLayer, keras.layers.Conv1DTranspose):
    """Transposed convolution over time; options of its Keras twin and as above."""

    shared_axes = (0, 1)
    reduced_axes = (0, 1)


_CLASSES = {
    "Conv2DTranspose": QuantizedConv2DTranspose,
    "Conv1DTranspose": QuantizedConv1DTranspose,
}


@quantizes("Conv2DTranspose", "Conv1DTranspose", weighted=True, fuses=True)
def build_transposed(fused: FusedLayer, options: dict[str, Any], rule: Rule) -> Any:
    """A quantized transposed convolution with the options of the float one."""
    return build_weighted(_CLASSES[fused.kind])(fused, options, rule)


@rewrites("Conv2DTranspose", "Conv1DTranspose")
def rewrite_transposed(rewriting: Rewriting, use: Application) -> Any:
    """Itself, where the integer operation has all its options."""
    layer = use.layer
    if layer.output_padding is not None or any(rate != 1 for rate in layer.dilation_rate):
        raise use.refuse(
            "a transposed convolution with output_padding or dilation is not supported",
            "leave output_padding and dilation_rate out",
        )
    return rewriting.copy(use)


@lowers("QuantizedConv2DTranspose", "QuantizedConv1DTranspose")
def lower_transposed(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """Transposed convolution; over time it is one over images of height 1."""
    layer = step.layer
    plain(inputs[0], step)
    codes = layer.weight_codes()
    codes = codes[None] if codes.ndim == 3 else codes
    order = codes.transpose(TO_DEPLOYED_ORDER)
    weights = lowering.constant(step, "weights", order, layer.weight_format())
    epilogue, constants = lowering.epilogue(step, layer.code_map(), layer.filters)
    shape = image_shape(step.shape)
    size, stride = pair(layer.kernel_size, 1), pair(layer.strides, 1)
    padding = NO_PADDING
    if layer.padding == "same":
        padding = same_padding(shape, size, stride, (1, 1))
    window = Window(size, stride, (1, 1), padding)
    zero = zero_of(layer.input_encoding())
    operation = TransposeConv2D(epilogue, window, (shape[0], shape[1]), zero)
    return lowering.on_image(step, inputs[0], operation, weights, *constants)
