"""Convolutions over images and over time."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tinyq.errors import ModelError
from tinyq.graph.ops.concatenate import Concatenate
from tinyq.graph.ops.conv2d import Conv2D
from tinyq.graph.ops.depthwise_conv2d import DepthwiseConv2D
from tinyq.graph.ops.strided_copy import StridedCopy
from tinyq.quantizers import find_activations, find_weights
from tinyq.training.lowering.emission import Lowering, Value, zero_of
from tinyq.training.lowering.windows import plain, window_of
from tinyq.training.patterns import FusedLayer
from tinyq.training.recipe import Rule
from tinyq.training.registry import lowers, quantizes, serializable
from tinyq.training.tracing import Step
from tinyq.training.weighted import WeightedLayer, build_weighted

TO_DEPLOYED_ORDER = (3, 0, 1, 2)  # (height, width, in, out) to (out, height, width, in)
_GROUPED_WEIGHTS = ("s8", "s4", "t2", "b1")


@serializable
class QuantizedConv2D(WeightedLayer, keras.layers.Conv2D):
    """Convolution with few-bit weights; options of Conv2D, ``WeightedLayer``, ``FinishedLayer``."""

    shared_axes = (0, 1, 2)
    reduced_axes = (0, 1, 2)

    def accumulate(self, inputs: Any, kernel: Any) -> Any:
        """Convolution."""
        return self.convolution_op(inputs, kernel)


@serializable
class QuantizedConv1D(WeightedLayer, keras.layers.Conv1D):
    """Convolution over time; options of Conv1D, ``WeightedLayer``, ``FinishedLayer``."""

    shared_axes = (0, 1)
    reduced_axes = (0, 1)

    def accumulate(self, inputs: Any, kernel: Any) -> Any:
        """Convolution; causal padding is zeros before the start."""
        padding = self.padding
        if padding == "causal":
            inputs = ops.pad(inputs, self._compute_causal_padding())
            padding = "valid"
        return ops.conv(inputs, kernel, list(self.strides), padding, None, self.dilation_rate)


_CLASSES = {"Conv2D": QuantizedConv2D, "Conv1D": QuantizedConv1D}


@quantizes("Conv2D", "Conv1D", weighted=True, fuses=True, equalizes=True)
def build_convolution(fused: FusedLayer, options: dict[str, Any], rule: Rule) -> Any:
    """A quantized convolution with the options of the float one."""
    if fused.layer.groups > 1:
        _require_sliceable(fused, rule)
    return build_weighted(_CLASSES[fused.kind])(fused, options, rule)


def _require_sliceable(fused: FusedLayer, rule: Rule) -> None:
    """Check that the codes of groups can be told apart: tables of formats are for whole kernels."""
    assert rule.weights is not None
    channelwise = fused.layer.groups == fused.layer.input.shape[-1]
    reads = channelwise or find_activations(rule.activations or "int8").format == "s8"
    if not reads or find_weights(rule.weights).format not in _GROUPED_WEIGHTS:
        raise ModelError(
            f"a convolution in groups cannot read {rule.activations} with {rule.weights} weights",
            where=fused.name,
            remedy="let it read int8 with int8, int4, ternary or binary weights",
        )


@lowers("QuantizedConv2D", "QuantizedConv1D")
def lower_convolution(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """Convolution; over time it is one over images of height 1."""
    layer = step.layer
    codes = layer.weight_codes()
    codes = codes[None] if codes.ndim == 3 else codes
    groups = layer.groups
    if groups > 1 and codes.shape[2] == 1:
        return _lower_channelwise(lowering, step, inputs[0], codes)
    if groups > 1:
        return _lower_groups(lowering, step, inputs[0], codes)
    weights = lowering.constant(
        step, "weights", codes.transpose(TO_DEPLOYED_ORDER), layer.weight_format()
    )
    epilogue, constants = lowering.epilogue(step, layer.code_map(), layer.filters)
    window = window_of(step, inputs[0].padding)
    operation = Conv2D(epilogue, window, zero_of(layer.input_encoding()))
    return lowering.on_image(step, inputs[0], operation, weights, *constants)


def _lower_channelwise(lowering: Lowering, step: Step, value: Value, codes: Any) -> Value:
    """A group for each channel is a depthwise convolution."""
    layer = step.layer
    weights = lowering.constant(step, "weights", codes[:, :, 0], layer.weight_format())
    epilogue, constants = lowering.epilogue(step, layer.code_map(), layer.filters)
    window = window_of(step, value.padding)
    operation = DepthwiseConv2D(epilogue, window, zero_of(layer.input_encoding()))
    return lowering.on_image(step, value, operation, weights, *constants)


def _lower_groups(lowering: Lowering, step: Step, value: Value, codes: Any) -> Value:
    """The channels of each group, a convolution of each, side by side in the output's encoding."""
    layer = step.layer
    plain(value, step)
    image = lowering.image(step, value)
    height, width, channels = lowering.type(image).shape
    groups, each = layer.groups, codes.shape[2]
    filters = layer.filters // groups
    gain, offset = (ops.broadcast_to(part, (layer.filters,)) for part in layer.code_map())
    joined: Value | None = None
    for group in range(groups):
        mark = f"group{group}"
        own = slice(group * filters, (group + 1) * filters)
        picked = lowering.apply(
            step,
            StridedCopy((height, width, each), (width * channels, channels, 1), group * each),
            image.name,
            suffix=f"{mark}_input",
        )
        order = codes[..., own].transpose(TO_DEPLOYED_ORDER)
        weights = lowering.constant(step, f"{mark}_weights", order, layer.weight_format())
        epilogue, constants = lowering.epilogue(step, (gain[own], offset[own]), filters, mark)
        operation = Conv2D(
            epilogue, window_of(step, value.padding), zero_of(layer.input_encoding())
        )
        part = lowering.apply(step, operation, picked.name, weights, *constants, suffix=mark)
        if joined is None:
            joined = part
            continue
        last = group == groups - 1 and lowering.type(image).shape == step.shapes[0]
        joined = lowering.apply(
            step,
            Concatenate(),
            joined.name,
            part.name,
            suffix="" if last else f"joined{group}",
        )
    assert joined is not None
    return joined if lowering.type(joined).shape == step.shape else lowering.restore(step, joined)
