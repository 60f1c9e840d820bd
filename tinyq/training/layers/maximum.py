"""The larger or smaller of two tensors, element by element."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.graph.ops.concatenate import Concatenate
from tinyq.graph.ops.lookup import Lookup
from tinyq.graph.ops.max_pool2d import MaxPool2D
from tinyq.graph.ops.rescale import Rescale
from tinyq.graph.ops.window import Window
from tinyq.training.base import wide
from tinyq.training.elementwise import ElementwiseLayer
from tinyq.training.layers.broadcast import broadcast
from tinyq.training.layers.table import rewrite_limit
from tinyq.training.lowering.emission import Lowering, Value, zero_of
from tinyq.training.lowering.windows import plain
from tinyq.training.patterns import FusedLayer
from tinyq.training.recipe import Rule
from tinyq.training.registry import lowers, quantizes, rewrites, serializable
from tinyq.training.rewriting import Application, Rewriting, single_constant
from tinyq.training.tracing import Step

METHOD = "int8"


@serializable
class QuantizedMaximum(ElementwiseLayer):
    """The larger of two tensors: both are brought to one scale, then codes are compared."""

    def branch_map(self, index: int) -> tuple[Any, Any]:
        """Output codes per code of an input, no offset; float64."""
        gain = wide(self.input_encoding(index).scale) / wide(self.encoding().scale)
        return gain, ops.zeros_like(gain)

    def choose(self, first: Any, second: Any) -> Any:
        """The larger."""
        return ops.maximum(first, second)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Output values: simulated in training, exact integers in inference."""
        if training:
            return self.simulate(self.choose(*inputs))
        branches = [
            self.finish_map(
                ops.cast(self.input_encoding(index).centered(values), "int64"),
                *self.branch_map(index),
            )
            for index, values in enumerate(inputs)
        ]
        return self.choose(*branches)


@serializable
class QuantizedMinimum(QuantizedMaximum):
    """The smaller of two tensors."""

    def choose(self, first: Any, second: Any) -> Any:
        """The smaller."""
        return ops.minimum(first, second)


@quantizes("Maximum", reads=METHOD, emits=METHOD, keeps_sign=True)
def build_maximum(fused: FusedLayer, options: dict[str, Any], rule: Rule) -> QuantizedMaximum:
    """The larger of two tensors."""
    del fused, rule
    return QuantizedMaximum(**options)


@quantizes("Minimum", reads=METHOD, emits=METHOD, keeps_sign=True)
def build_minimum(fused: FusedLayer, options: dict[str, Any], rule: Rule) -> QuantizedMinimum:
    """The smaller of two tensors."""
    del fused, rule
    return QuantizedMinimum(**options)


@lowers("QuantizedMaximum")
def lower_maximum(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """Codes of one encoding in pairs, and the largest of each pair."""
    branches = [_branch(lowering, step, value, index) for index, value in enumerate(inputs)]
    return lowering.reshape(step, _largest(lowering, step, branches), step.shape)


@lowers("QuantizedMinimum")
def lower_minimum(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """The largest of the codes turned round, code to -1 - code, turned round again."""
    table = lowering.constant(step, "turned", -1 - np.arange(-128, 128), "s8")
    branches = []
    for index, value in enumerate(inputs):
        branch = _branch(lowering, step, value, index)
        branches.append(_turn(lowering, step, branch, table, f"turned{index}"))
    largest = _largest(lowering, step, branches)
    flat = lowering.reshape(step, largest, step.shape, "largest")
    return _turn(lowering, step, flat, table, "")


def _branch(lowering: Lowering, step: Step, value: Value, index: int) -> Value:
    layer = step.layer
    mark = f"input{index}"
    epilogue, constants = lowering.epilogue(step, layer.branch_map(index), step.shape[-1], mark)
    operation = Rescale(epilogue, zero_of(layer.input_encoding(index)))
    return lowering.apply(step, operation, plain(value, step), *constants, suffix=mark)


def _turn(lowering: Lowering, step: Step, value: Value, table: str, suffix: str) -> Value:
    kind = lowering.type(value)
    operation = Lookup(kind.scale, -1 - kind.zero_point)
    return lowering.apply(step, operation, value.name, table, suffix=suffix)


def _largest(lowering: Lowering, step: Step, branches: list[Value]) -> Value:
    count = int(np.prod(step.shape))
    first, second = (
        lowering.reshape(step, branch, (count, 1), f"column{index}")
        for index, branch in enumerate(branches)
    )
    pairs = lowering.apply(step, Concatenate(), first.name, second.name, suffix="pairs")
    image = lowering.reshape(step, pairs, (count, 2, 1), "rows")
    pool = MaxPool2D(Window((1, 2), (1, 2)))
    return lowering.apply(step, pool, image.name, suffix="chosen")


@rewrites("Maximum", "ops.Maximum")
def rewrite_maximum(rewriting: Rewriting, use: Application) -> Any:
    """The larger of two tensors, one after the other; with a number a table."""
    return _pairwise(rewriting, use, keras.layers.Maximum, "maximum")


@rewrites("Minimum", "ops.Minimum")
def rewrite_minimum(rewriting: Rewriting, use: Application) -> Any:
    """The smaller of two tensors, one after the other; with a number a table."""
    return _pairwise(rewriting, use, keras.layers.Minimum, "minimum")


def _pairwise(rewriting: Rewriting, use: Application, layer: Any, function: str) -> Any:
    if single_constant(use) is not None:
        return rewrite_limit(rewriting, use, function)
    tensors = broadcast(rewriting, use)
    chosen = tensors[0]
    for number, tensor in enumerate(tensors[1:], start=1):
        last = number == len(tensors) - 1
        name = use.name if last else rewriting.name(f"{use.name}_part{number}")
        chosen = rewriting.add(layer(name=name), chosen, tensor)
    return chosen
