"""Converters of Keras layers, registered by class name."""

from __future__ import annotations

from typing import Any

from keras import ops

from tinyq.errors import ModelError
from tinyq.graph.ops.add import Add
from tinyq.graph.ops.argmax import Argmax
from tinyq.graph.ops.average_pool2d import AveragePool2D
from tinyq.graph.ops.concatenate import Concatenate
from tinyq.graph.ops.conv2d import Conv2D
from tinyq.graph.ops.dense import Dense
from tinyq.graph.ops.depthwise_conv2d import DepthwiseConv2D
from tinyq.graph.ops.max_pool2d import MaxPool2D
from tinyq.graph.ops.pad2d import Pad2D
from tinyq.graph.ops.prelu import Prelu
from tinyq.graph.ops.rescale import Rescale
from tinyq.graph.ops.softmax import Softmax
from tinyq.graph.ops.sum_pool2d import SumPool2D
from tinyq.graph.ops.window import Window, same_padding
from tinyq.training.lowering.emission import (
    NO_PADDING,
    Lowering,
    Value,
    converts,
    type_of,
    zero_of,
)
from tinyq.training.tracing import Step

Inputs = tuple[Value, ...]
TO_DEPLOYED_ORDER = (3, 0, 1, 2)  # (height, width, in, out) to (out, height, width, in)


@converts("QuantizedInput")
def convert_input(lowering: Lowering, step: Step, inputs: Inputs) -> Value:
    """The graph's input."""
    del inputs
    return lowering.start(step.layer, step.shape)


@converts("QuantizedConv2D", "QuantizedConv1D")
def convert_convolution(lowering: Lowering, step: Step, inputs: Inputs) -> Value:
    """Convolution; over time it is one over images of height 1."""
    layer = step.layer
    codes = layer.weight_codes()
    codes = codes[None] if codes.ndim == 3 else codes
    weights = lowering.constant(
        step, "weights", codes.transpose(TO_DEPLOYED_ORDER), layer.weight_format()
    )
    window = _window(step, inputs[0].padding)
    stage, constants = lowering.stage(step, layer.code_map(), layer.filters)
    operation = Conv2D(stage, window, zero_of(layer.input_encoding()))
    return lowering.on_image(step, inputs[0], operation, weights, *constants)


@converts("QuantizedDepthwiseConv2D")
def convert_depthwise(lowering: Lowering, step: Step, inputs: Inputs) -> Value:
    """Depthwise convolution."""
    layer = step.layer
    codes = layer.weight_codes()
    codes = codes.reshape(*codes.shape[:2], -1)
    weights = lowering.constant(step, "weights", codes, layer.weight_format())
    window = _window(step, inputs[0].padding)
    stage, constants = lowering.stage(step, layer.code_map(), codes.shape[-1])
    operation = DepthwiseConv2D(stage, window, zero_of(layer.input_encoding()))
    return lowering.on_image(step, inputs[0], operation, weights, *constants)


@converts("QuantizedDense")
def convert_dense(lowering: Lowering, step: Step, inputs: Inputs) -> Value:
    """Fully connected layer."""
    layer = step.layer
    codes = layer.weight_codes().T
    weights = lowering.constant(step, "weights", codes, layer.weight_format())
    stage, constants = lowering.stage(step, layer.code_map(), layer.units)
    operation = Dense(stage, zero_of(layer.input_encoding()))
    return lowering.apply(step, operation, _plain(inputs[0], step), weights, *constants)


@converts("QuantizedActivation")
def convert_activation(lowering: Lowering, step: Step, inputs: Inputs) -> Value:
    """Stand-alone BatchNorm, activation or change of format."""
    layer = step.layer
    stage, constants = lowering.stage(step, layer.code_map(), step.shape[-1])
    operation = Rescale(stage, zero_of(layer.input_encoding()), layer.left_shift())
    return lowering.apply(step, operation, _plain(inputs[0], step), *constants)


@converts("QuantizedPReLU")
def convert_prelu(lowering: Lowering, step: Step, inputs: Inputs) -> Value:
    """A multiplier for positive values, one for negative ones, and the codes of the slopes."""
    layer = step.layer
    codes, _ = layer.slopes()
    slopes = lowering.constant(step, "slopes", ops.convert_to_numpy(codes).astype(int), "s8")
    (up, up_shift), (down, down_shift) = (
        (int(ops.convert_to_numpy(half.multiplier)), int(ops.convert_to_numpy(half.shift)))
        for half in layer.folded()
    )
    output = type_of(layer.encoding(), step.shape)
    zero = zero_of(layer.input_encoding())
    scale = float(output.scale or 1.0)
    operation = Prelu(up, up_shift, down, down_shift, 0, zero, output.zero_point, scale)
    return lowering.apply(step, operation, _plain(inputs[0], step), slopes)


@converts("QuantizedAdd")
def convert_add(lowering: Lowering, step: Step, inputs: Inputs) -> Value:
    """Sum of two tensors."""
    layer = step.layer
    factors = [int(ops.convert_to_numpy(factor)) for factor in layer.factors()]
    zeros = [zero_of(layer.input_encoding(index)) for index in range(2)]
    stage, constants = lowering.stage(step, layer.code_map(), step.shape[-1])
    names = [_plain(value, step) for value in inputs]
    return lowering.apply(step, Add(stage, *factors, *zeros), *names, *constants)


@converts("QuantizedConcatenate")
def convert_concatenate(lowering: Lowering, step: Step, inputs: Inputs) -> Value:
    """Every input rescaled to one encoding, then joined pair by pair."""
    layer = step.layer
    branches = []
    for index, (value, shape) in enumerate(zip(inputs, step.shapes, strict=True)):
        mark = f"input{index}"
        stage, constants = lowering.stage(step, layer.branch_map(index), shape[-1], mark)
        operation = Rescale(stage, zero_of(layer.input_encoding(index)))
        name = _plain(value, step)
        branches.append(lowering.apply(step, operation, name, *constants, suffix=mark))
    joined = branches[0]
    for index, branch in enumerate(branches[1:], start=1):
        last = index == len(branches) - 1
        joined = lowering.apply(
            step, Concatenate(), joined.name, branch.name, suffix="" if last else f"joined{index}"
        )
    return joined


@converts("QuantizedAveragePooling2D", "QuantizedAveragePooling1D")
def convert_average_pooling(lowering: Lowering, step: Step, inputs: Inputs) -> Value:
    """Mean of each window in the encoding of the input."""
    _plain(inputs[0], step)
    return lowering.on_image(step, inputs[0], AveragePool2D(step.layer.window(step.shapes[0])))


@converts("QuantizedGlobalAveragePooling")
def convert_global_average(lowering: Lowering, step: Step, inputs: Inputs) -> Value:
    """Sum over all positions; the division is in the stage."""
    layer = step.layer
    _plain(inputs[0], step)
    stage, constants = lowering.stage(step, layer.code_map(), step.shape[-1])
    operation = SumPool2D(stage, _whole(step), zero_of(layer.input_encoding()))
    return lowering.on_image(step, inputs[0], operation, *constants)


@converts("QuantizedSoftmax")
def convert_softmax(lowering: Lowering, step: Step, inputs: Inputs) -> Value:
    """Softmax by table."""
    table = lowering.constant(step, "table", ops.convert_to_numpy(step.layer.table()), "u16")
    return lowering.apply(step, Softmax(), _plain(inputs[0], step), table)


@converts("Argmax")
def convert_argmax(lowering: Lowering, step: Step, inputs: Inputs) -> Value:
    """Index of the largest value."""
    return lowering.apply(step, Argmax(), _plain(inputs[0], step))


@converts("MaxPooling1D", "MaxPooling2D")
def convert_max_pooling(lowering: Lowering, step: Step, inputs: Inputs) -> Value:
    """Largest code of each window."""
    layer = step.layer
    _plain(inputs[0], step)
    size, stride = _pair(layer.pool_size, 1), _pair(layer.strides, 1)
    padding = NO_PADDING
    if layer.padding == "same":
        padding = same_padding(_image_shape(step.shapes[0]), size, stride, (1, 1))
    return lowering.on_image(step, inputs[0], MaxPool2D(Window(size, stride, (1, 1), padding)))


@converts("GlobalMaxPooling1D", "GlobalMaxPooling2D")
def convert_global_max(lowering: Lowering, step: Step, inputs: Inputs) -> Value:
    """Largest code of each channel."""
    _plain(inputs[0], step)
    return lowering.on_image(step, inputs[0], MaxPool2D(_whole(step)))


@converts("ZeroPadding1D", "ZeroPadding2D")
def convert_padding(lowering: Lowering, step: Step, inputs: Inputs) -> Value:
    """Zeros around an image; around a binary one they are left to the next convolution."""
    sides = step.layer.padding
    if isinstance(sides[0], int):
        sides = ((0, 0), sides)
    top, bottom, left, right = (int(side) for pair in sides for side in pair)
    padding = (top, bottom, left, right)
    kind = lowering.type(inputs[0])
    if kind.format.step == 2:
        return Value(inputs[0].name, _together(inputs[0].padding, padding))
    return lowering.on_image(step, inputs[0], Pad2D(padding, kind.zero_point))


@converts("Flatten", "Reshape")
def convert_reshape(lowering: Lowering, step: Step, inputs: Inputs) -> Value:
    """The same codes under another shape."""
    _plain(inputs[0], step)
    return lowering.reshape(step, inputs[0], step.shape)


@converts("Activation", "Dropout", "Identity", "SpatialDropout1D", "SpatialDropout2D")
def convert_nothing(lowering: Lowering, step: Step, inputs: Inputs) -> Value:
    """Layers that do nothing in inference."""
    del lowering, step
    return inputs[0]


def _plain(value: Value, step: Step) -> str:
    """Name of a value that owes no padding.

    Raises:
        ModelError: It does, and the layer cannot add it.
    """
    if value.padding != NO_PADDING:
        raise ModelError(
            "the input is a binary image with zero padding, and signs have no zero",
            where=step.name,
            remedy="pad right before a convolution, or before the sign",
        )
    return value.name


def _pair(values: Any, missing: int) -> tuple[int, int]:
    numbers = [int(value) for value in values]
    first, second = [missing, *numbers][-2:]
    return first, second


def _image_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (1, *shape) if len(shape) == 2 else shape


def _together(
    first: tuple[int, int, int, int], second: tuple[int, ...]
) -> tuple[int, int, int, int]:
    top, bottom, left, right = (a + b for a, b in zip(first, second, strict=True))
    return (top, bottom, left, right)


def _window(step: Step, owed: tuple[int, int, int, int]) -> Window:
    """Window of a convolution, with the padding that its input owes."""
    layer = step.layer
    size, stride = _pair(layer.kernel_size, 1), _pair(layer.strides, 1)
    dilation = _pair(layer.dilation_rate, 1)
    height, width, channels = _image_shape(step.shapes[0])
    own = NO_PADDING
    if layer.padding == "same":
        # step.shapes is what Keras sees: the owed padding is part of it already.
        own = same_padding((height, width, channels), size, stride, dilation)
    elif layer.padding == "causal":
        own = (0, 0, (size[1] - 1) * dilation[1], 0)
    return Window(size, stride, dilation, _together(owed, own))


def _whole(step: Step) -> Window:
    height, width, _ = _image_shape(step.shapes[0])
    return Window((height, width), (1, 1))
