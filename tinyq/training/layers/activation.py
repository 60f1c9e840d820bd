"""Stand-alone BatchNormalization, ReLU, and changes of format."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
from keras import ops

from tinyq.graph.ops.rescale import Rescale
from tinyq.training.base import wide
from tinyq.training.elementwise import ElementwiseLayer
from tinyq.training.layers.table import FUNCTIONS, Table
from tinyq.training.lowering.emission import Lowering, Value, zero_of
from tinyq.training.lowering.windows import plain
from tinyq.training.patterns import NORMALIZATION, FusedLayer, is_merging_relu, require_last_axis
from tinyq.training.recipe import Rule
from tinyq.training.registry import lowers, quantizes, rewrites, serializable
from tinyq.training.rewriting import MERGED_ACTIVATIONS, Application, Rewriting, name_of
from tinyq.training.tracing import Step

LEFT_SHIFT = 16


@serializable
class QuantizedActivation(ElementwiseLayer):
    """Stand-alone BatchNorm, ReLU, sign or change of format.

    In integers: acc = (code - zero_point) * 2**left_shift, then the epilogue.
    """

    def left_shift(self) -> int:
        """Bits by which codes are raised, so that a BatchNorm's offset is not coarse."""
        return LEFT_SHIFT if self.batch_norm is not None else 0

    def accumulator_map(self) -> tuple[Any, Any]:
        """Scale of the input per raised unit, no offset; float64."""
        gain = wide(self.input_encoding().scale) * 2.0 ** -self.left_shift()
        return gain, ops.zeros_like(gain)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Output values: simulated in training, exact integers in inference."""
        if training:
            return self.simulate(inputs)
        centered = ops.cast(self.input_encoding().centered(inputs), "int64")
        return self.finish(centered * (1 << self.left_shift()))


@quantizes(NORMALIZATION, fuses=True)
def build_normalization(
    fused: FusedLayer, options: dict[str, Any], rule: Rule
) -> QuantizedActivation:
    """A BatchNormalization that no layer before it takes over."""
    del fused, rule
    return QuantizedActivation(**options)


@quantizes("ReLU", "Activation", keeps_sign=True)
def build_activation(fused: FusedLayer, options: dict[str, Any], rule: Rule) -> QuantizedActivation:
    """A ReLU that no layer before it takes over."""
    del fused, rule
    return QuantizedActivation(**options)


@lowers("QuantizedActivation")
def lower_activation(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """Stand-alone BatchNorm, activation or change of format."""
    layer = step.layer
    epilogue, constants = lowering.epilogue(step, layer.code_map(), step.shape[-1])
    operation = Rescale(epilogue, zero_of(layer.input_encoding()), layer.left_shift())
    return lowering.apply(step, operation, plain(inputs[0], step), *constants)


@lowers("Activation", preserves=lambda layer: layer.activation is keras.activations.linear)
def lower_linear(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """An activation that does nothing."""
    del lowering, step
    return inputs[0]


@rewrites(NORMALIZATION)
def rewrite_normalization(rewriting: Rewriting, use: Application) -> Any:
    """Itself, where it is over the channels."""
    require_last_axis(use.layer, use.layer.axis, len(use.shape) + 1, NORMALIZATION)
    return rewriting.copy(use)


@rewrites("ReLU", "ops.Relu", "ops.ReLU")
def rewrite_relu(rewriting: Rewriting, use: Application) -> Any:
    """A ReLU or ReLU6; any other as a table."""
    options = {
        "negative_slope": float(getattr(use.layer, "negative_slope", 0.0)),
        "max_value": getattr(use.layer, "max_value", None),
        "threshold": float(getattr(use.layer, "threshold", 0.0)),
    }
    layer = keras.layers.ReLU(**options, name=use.name)
    if is_merging_relu(layer):
        return rewriting.add(layer, *use.inputs)
    return rewriting.add(Table("relu", options, name=use.name), *use.inputs)


@rewrites("Activation")
def rewrite_activation(rewriting: Rewriting, use: Application) -> Any:
    """What the function is: nothing, a ReLU, a softmax or a table."""
    function = use.layer.activation
    if isinstance(function, keras.layers.Layer):
        return rewriting.rewrite(replace(use, layer=function))
    name = name_of(function)
    if name == "linear":
        return rewriting.add(keras.layers.Identity(name=use.name), *use.inputs)
    if name in MERGED_ACTIVATIONS:
        return rewriting.add(keras.layers.Activation(name, name=use.name), *use.inputs)
    if name == "softmax":
        return rewriting.apply(keras.layers.Softmax(name=use.name), *use.inputs)
    if name not in FUNCTIONS:
        raise use.refuse(
            f"activation {name!r} is not supported",
            f"use relu, softmax, {', '.join(FUNCTIONS)} or none",
        )
    return rewriting.add(Table(name, name=use.name), *use.inputs)
