"""Tensors side by side along any axis."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.errors import ModelError
from tinyq.graph.ops.concatenate import Concatenate
from tinyq.graph.ops.rescale import Rescale
from tinyq.quantizers import find_activations
from tinyq.training.base import wide
from tinyq.training.elementwise import ElementwiseLayer
from tinyq.training.lowering.emission import Lowering, Value, zero_of
from tinyq.training.lowering.windows import plain
from tinyq.training.patterns import FusedLayer
from tinyq.training.recipe import Rule
from tinyq.training.registry import lowers, quantizes, rewrites, serializable
from tinyq.training.rewriting import Application, Rewriting
from tinyq.training.tracing import Step


@serializable
class QuantizedConcatenate(ElementwiseLayer):
    """Tensors side by side, brought to one scale.

    Every input passes an epilogue of its own, then the codes are joined.

    Args:
        axis: Axis along which they are joined, as in Keras.
    """

    def __init__(self, axis: int = -1, **options: Any) -> None:
        super().__init__(**options)
        self.axis = axis

    def get_config(self) -> dict[str, Any]:
        """Options of the constructor."""
        return {**super().get_config(), "axis": self.axis}

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Lengths along the axis added up."""
        shape = list(input_shape[0])
        shape[self.axis] = sum(shape[self.axis] for shape in input_shape)
        return tuple(shape)

    def branch_map(self, index: int) -> tuple[Any, Any]:
        """Output codes per code of an input, no offset; float64."""
        gain = wide(self.input_encoding(index).scale)
        if self.output_quantizer.format.step != 2:
            gain = gain / wide(self.encoding().scale)
        return gain, ops.zeros_like(gain)

    def _branch(self, index: int, values: Any) -> Any:
        acc = ops.cast(self.input_encoding(index).centered(values), "int64")
        return self.finish_map(acc, *self.branch_map(index))

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Output values: simulated in training, exact integers in inference."""
        if training:
            return self.simulate(ops.concatenate(inputs, axis=self.axis))
        branches = [self._branch(index, values) for index, values in enumerate(inputs)]
        return ops.concatenate(branches, axis=self.axis)


@quantizes("Concatenate", keeps_sign=True, joins=True)
def build_concatenate(
    fused: FusedLayer, options: dict[str, Any], rule: Rule
) -> QuantizedConcatenate:
    """Tensors side by side."""
    del rule
    parts = find_activations(options["output_method"])
    if parts.format == "b1" and not parts.whole:
        raise ModelError(
            "joins signs with learned shifts", where=fused.name, remedy="join int8 or binary"
        )
    return QuantizedConcatenate(axis=fused.layer.axis, **options)


@lowers("QuantizedConcatenate")
def lower_concatenate(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """Every input rescaled to one encoding, then joined pair by pair along the innermost axis."""
    layer = step.layer
    inner = layer.axis % (len(step.shape) + 1) == len(step.shape)
    branches = []
    for index, (value, shape) in enumerate(zip(inputs, step.shapes, strict=True)):
        mark = f"input{index}"
        epilogue, constants = lowering.epilogue(step, layer.branch_map(index), shape[-1], mark)
        operation = Rescale(epilogue, zero_of(layer.input_encoding(index)))
        name = plain(value, step)
        branch = lowering.apply(step, operation, name, *constants, suffix=mark)
        if not inner:
            branch = lowering.reshape(step, branch, _rows(layer.axis, shape), f"{mark}_rows")
        branches.append(branch)
    joined = branches[0]
    for index, branch in enumerate(branches[1:], start=1):
        last = inner and index == len(branches) - 1
        joined = lowering.apply(
            step, Concatenate(), joined.name, branch.name, suffix="" if last else f"joined{index}"
        )
    return joined if inner and len(branches) > 1 else lowering.reshape(step, joined, step.shape)


def _rows(axis: int, shape: tuple[int, ...]) -> tuple[int, int]:
    """What lies before the axis, and from it on."""
    axis = axis % (len(shape) + 1) - 1
    return int(np.prod(shape[:axis], dtype=np.int64)), int(np.prod(shape[axis:], dtype=np.int64))


@rewrites("Concatenate", "ops.Concatenate")
def rewrite_concatenate(rewriting: Rewriting, use: Application) -> Any:
    """The layer of the same meaning."""
    axis = use.layer.axis % (len(use.shape) + 1)
    if axis == 0:
        raise use.refuse("joins samples", "join another axis than that of the batch")
    if len(use.inputs) == 1:
        return rewriting.add(keras.layers.Identity(name=use.name), *use.inputs)
    axis = -1 if axis == len(use.shape) else axis
    return rewriting.add(keras.layers.Concatenate(axis=axis, name=use.name), *use.inputs)


@rewrites("ops.Stack")
def rewrite_stack(rewriting: Rewriting, use: Application) -> Any:
    """Tensors with a new axis, joined along it."""
    axis = use.layer.axis % (len(use.shape) + 1)
    if axis == 0:
        raise use.refuse("stacks samples", "stack along another axis than that of the batch")
    shape = (*use.shape[: axis - 1], 1, *use.shape[axis:])
    parts = [
        rewriting.add(
            keras.layers.Reshape(shape, name=rewriting.name(f"{use.name}_input{index}")), tensor
        )
        for index, tensor in enumerate(use.inputs)
    ]
    return rewriting.add(keras.layers.Concatenate(axis=axis, name=use.name), *parts)
