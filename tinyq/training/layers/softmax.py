"""Softmax over the last axis."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tinyq.graph.ops import softmax
from tinyq.quantizers import Encoding
from tinyq.training import integer
from tinyq.training.base import QuantizedLayer, wide
from tinyq.training.lowering.emission import Lowering, Value
from tinyq.training.lowering.windows import plain
from tinyq.training.patterns import FusedLayer
from tinyq.training.recipe import Rule
from tinyq.training.registry import lowers, quantizes, rewrites, serializable
from tinyq.training.rewriting import Application, Rewriting
from tinyq.training.tracing import Step

METHOD = "int8"


@serializable
class QuantizedSoftmax(QuantizedLayer):
    """Softmax over the last axis by a table of exponentials; training uses the real softmax.

    Twin: tinyq.numerics.rounding.softmax
    """

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shape of the input."""
        return input_shape

    def encoding(self) -> Encoding:
        """Codes of scale 1/256 and zero point -128."""
        one = ops.ones((), "float32")
        return Encoding(self.source().encoding().format, one * (1.0 / 256.0), one * -128.0)

    def table(self) -> Any:
        """Exponentials for the input's scale, int64, shape (256,)."""
        return integer.softmax_table(wide(self.input_encoding().scale))

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Probabilities."""
        if training:
            return ops.softmax(inputs, axis=-1)
        centered = ops.cast(self.input_encoding().centered(inputs), "int64")
        return self.encoding().real(integer.softmax(centered, self.table()))


@quantizes("Softmax", reads=METHOD, emits=METHOD, nonnegative=lambda layer: True)
def build_softmax(fused: FusedLayer, options: dict[str, Any], rule: Rule) -> QuantizedSoftmax:
    """A softmax of 8-bit codes."""
    del fused, rule
    return QuantizedSoftmax(name=options["name"])


@lowers("QuantizedSoftmax")
def lower_softmax(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """Softmax by table."""
    table = lowering.constant(step, "table", ops.convert_to_numpy(step.layer.table()), "u16")
    return lowering.apply(step, softmax.Softmax(), plain(inputs[0], step), table)


@rewrites("Softmax", "ops.Softmax")
def rewrite_softmax(rewriting: Rewriting, use: Application) -> Any:
    """Softmax over the last axis; another axis is moved there and back."""
    rank = len(use.shape) + 1
    axis = use.layer.axis
    if not isinstance(axis, int) or axis % rank == 0:
        raise use.refuse(f"softmax over the axes {axis}", "use one axis, not that of the batch")
    if axis % rank == rank - 1:
        return rewriting.add(keras.layers.Softmax(name=use.name), *use.inputs)
    order = [*range(1, rank)]
    order[axis % rank - 1], order[-1] = order[-1], order[axis % rank - 1]
    there = keras.layers.Permute(order, name=rewriting.name(f"{use.name}_there"))
    layer = keras.layers.Softmax(name=use.name)
    back = keras.layers.Permute(order, name=rewriting.name(f"{use.name}_back"))
    moved = rewriting.apply(there, *use.inputs)
    return rewriting.apply(back, rewriting.add(layer, moved))
