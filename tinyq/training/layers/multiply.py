"""Products of tensors, element by element."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tinyq.graph.ops.multiply import Multiply
from tinyq.training.elementwise import ProductLayer
from tinyq.training.layers.affine import shift_by
from tinyq.training.layers.broadcast import broadcast
from tinyq.training.layers.table import Table
from tinyq.training.lowering.emission import Lowering, Value
from tinyq.training.lowering.products import lower_product_of
from tinyq.training.patterns import FusedLayer
from tinyq.training.recipe import Rule
from tinyq.training.registry import lowers, quantizes, rewrites, serializable
from tinyq.training.rewriting import Application, Rewriting, single_constant
from tinyq.training.tracing import Step

METHOD = "int8"


@serializable
class QuantizedMultiply(ProductLayer):
    """Product of two tensors of one shape, rounded once.

    acc = (a - a_zero) * (b - b_zero)
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Output values: simulated in training, exact integers in inference."""
        if training:
            return self.simulate(inputs[0] * inputs[1])
        first, second = (
            ops.cast(self.input_encoding(index).centered(values), "int64")
            for index, values in enumerate(inputs)
        )
        return self.finish(first * second)


@quantizes("Multiply", reads=METHOD, fuses=True, keeps_sign=True)
def build_multiply(fused: FusedLayer, options: dict[str, Any], rule: Rule) -> QuantizedMultiply:
    """A product of two tensors."""
    del fused, rule
    return QuantizedMultiply(**options)


@lowers("QuantizedMultiply")
def lower_multiply(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """Product of two tensors."""
    return lower_product_of(Multiply, lowering, step, inputs)


@rewrites("Multiply", "ops.Multiply")
def rewrite_multiply(rewriting: Rewriting, use: Application) -> Any:
    """Products of two tensors, one after the other; a constant becomes a factor."""
    if (constant := single_constant(use)) is not None:
        return shift_by(rewriting, use, constant, 0.0)
    tensors = broadcast(rewriting, use)
    product = tensors[0]
    for number, tensor in enumerate(tensors[1:], start=1):
        last = number == len(tensors) - 1
        name = use.name if last else rewriting.name(f"{use.name}_part{number}")
        layer = keras.layers.Multiply(name=name)
        if product is tensor:
            product = rewriting.add(Table("square", name=name), tensor)
        else:
            product = rewriting.add(layer, product, tensor)
    return product
