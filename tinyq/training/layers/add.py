"""Sums of tensors."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.graph.ops.add import Add
from tinyq.training.base import wide
from tinyq.training.elementwise import ElementwiseLayer
from tinyq.training.layers.affine import shift_by
from tinyq.training.layers.broadcast import broadcast
from tinyq.training.lowering.emission import Lowering, Value, zero_of
from tinyq.training.lowering.windows import plain
from tinyq.training.patterns import FusedLayer
from tinyq.training.recipe import Rule
from tinyq.training.registry import lowers, quantizes, rewrites, serializable
from tinyq.training.rewriting import Application, Rewriting, constant_of, single_constant
from tinyq.training.tracing import Step

FACTOR_ONE = 2**14


@serializable
class QuantizedAdd(ElementwiseLayer):
    """Sum of two tensors, rounded once.

        acc = (a - a_zero) * a_factor + (b - b_zero) * b_factor
        factor_i = floor(2**14 * c_i * scale_i / max_j |c_j| * scale_j + 1/2)

    Args:
        coefficients: What the tensors are multiplied by: c = (1, 1), (1, -1) for a difference.
    """

    def __init__(self, coefficients: tuple[float, float] = (1.0, 1.0), **options: Any) -> None:
        super().__init__(**options)
        self.coefficients = tuple(float(factor) for factor in coefficients)

    def get_config(self) -> dict[str, Any]:
        """Options of the constructor."""
        return {**super().get_config(), "coefficients": self.coefficients}

    def factors(self) -> tuple[Any, Any]:
        """Integer factors that stand for coefficients and scales of the inputs, int64."""
        scales, largest = self._scales()
        first, second = (
            ops.cast(ops.floor(scale / largest * FACTOR_ONE + 0.5), "int64") for scale in scales
        )
        return first, second

    def _scales(self) -> tuple[list[Any], Any]:
        scales = [
            wide(self.input_encoding(index).scale) * factor
            for index, factor in enumerate(self.coefficients)
        ]
        return scales, ops.maximum(*(ops.abs(scale) for scale in scales))

    def accumulator_map(self) -> tuple[Any, Any]:
        """Largest scale of the inputs per 2**14 units, no offset; float64."""
        _, largest = self._scales()
        gain = largest * (1.0 / FACTOR_ONE)
        return gain, ops.zeros_like(gain)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Output values: simulated in training, exact integers in inference."""
        first, second = inputs
        if training:
            return self.simulate(first * self.coefficients[0] + second * self.coefficients[1])
        centered = [
            ops.cast(self.input_encoding(index).centered(values), "int64")
            for index, values in enumerate(inputs)
        ]
        first_factor, second_factor = self.factors()
        return self.finish(centered[0] * first_factor + centered[1] * second_factor)


class WeightedSum(keras.layers.Layer):
    """Sum of two tensors with a factor each, in a plain float model: a difference, a mean.

    Args:
        coefficients: The factors.
    """

    def __init__(self, coefficients: tuple[float, float], **options: Any) -> None:
        super().__init__(**options)
        self.coefficients = tuple(coefficients)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shape of the first input."""
        return tuple(input_shape[0])

    def call(self, inputs: Any) -> Any:
        """The sum."""
        return inputs[0] * self.coefficients[0] + inputs[1] * self.coefficients[1]

    def get_config(self) -> dict[str, Any]:
        """Options of the constructor."""
        return {**super().get_config(), "coefficients": self.coefficients}


class ConstantSum(keras.layers.Layer):
    """``x + constant`` in a plain float model; the constant has the shape of x."""

    def build(self, input_shape: Any) -> None:
        """Create the constant."""
        self.constant = self.add_weight(
            name="constant", shape=input_shape[1:], initializer="zeros", trainable=False
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shape of the input."""
        return input_shape

    def call(self, inputs: Any) -> Any:
        """The sum."""
        return inputs + self.constant


@quantizes("Add", fuses=True, keeps_sign=True)
def build_add(fused: FusedLayer, options: dict[str, Any], rule: Rule) -> QuantizedAdd:
    """A sum of two tensors."""
    del fused, rule
    return QuantizedAdd(**options)


@quantizes("WeightedSum", fuses=True)
def build_weighted_sum(fused: FusedLayer, options: dict[str, Any], rule: Rule) -> QuantizedAdd:
    """A sum of two tensors with factors."""
    del rule
    return QuantizedAdd(coefficients=fused.layer.coefficients, **options)


@lowers("QuantizedAdd")
def lower_add(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """Sum of two tensors."""
    layer = step.layer
    factors = [int(ops.convert_to_numpy(factor)) for factor in layer.factors()]
    zeros = [zero_of(layer.input_encoding(index)) for index in range(2)]
    epilogue, constants = lowering.epilogue(step, layer.code_map(), step.shape[-1])
    names = [plain(value, step) for value in inputs]
    return lowering.apply(step, Add(epilogue, *factors, *zeros), *names, *constants)


@rewrites("Add", "ops.Add")
def rewrite_add(rewriting: Rewriting, use: Application) -> Any:
    """Sums of two tensors, one after the other; constants become an offset."""
    constant = single_constant(use)
    if constant is None:
        return _sum(rewriting, use, (1.0, 1.0))
    if constant.size in (1, use.inputs[0].shape[-1]):
        return shift_by(rewriting, use, 1.0, constant)
    return add_constant(rewriting, use, constant)


def add_constant(rewriting: Rewriting, use: Application, constant: np.ndarray) -> Any:
    """A tensor plus a constant that is not the same for all positions."""
    if use.inputs[0].shape[1:] != use.shape:
        raise use.refuse(
            f"a constant of shape {constant.shape} makes the tensor larger",
            "give the tensor the shape of the sum before",
        )
    layer = ConstantSum(name=use.name)
    layer.build((None, *use.shape))
    layer.set_weights([np.broadcast_to(constant, (1, *use.shape))[0]])
    rewriting.fixed[use.name] = None
    return rewriting.add(layer, *use.inputs)


@rewrites("Average")
def rewrite_average(rewriting: Rewriting, use: Application) -> Any:
    """Sums of two tensors; the last one divides."""
    share = 1.0 / len(use.inputs)
    return _sum(rewriting, use, (share, share))


@rewrites("Subtract", "ops.Subtract")
def rewrite_subtract(rewriting: Rewriting, use: Application) -> Any:
    """A difference of two tensors, or of a tensor and a constant."""
    if (constant := single_constant(use)) is None:
        return _sum(rewriting, use, (1.0, -1.0))
    if constant_of(use.args[0]) is None:
        return shift_by(rewriting, use, 1.0, -constant)
    return shift_by(rewriting, use, -1.0, constant)


def _sum(rewriting: Rewriting, use: Application, last: tuple[float, float]) -> Any:
    tensors = broadcast(rewriting, use)
    if len(tensors) == 1:
        return rewriting.add(keras.layers.Identity(name=use.name), *tensors)
    total = tensors[0]
    for number, tensor in enumerate(tensors[1:-1], start=1):
        name = rewriting.name(f"{use.name}_part{number}")
        total = rewriting.add(keras.layers.Add(name=name), total, tensor)
    if last == (1.0, 1.0):
        return rewriting.add(keras.layers.Add(name=use.name), total, tensors[-1])
    return rewriting.add(WeightedSum(last, name=use.name), total, tensors[-1])
