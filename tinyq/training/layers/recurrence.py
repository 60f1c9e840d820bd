"""The two plain layers that recurrent ones become: what the input adds, and the steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.errors import ModelError
from tinyq.graph.ops.recurrence import MAX_UNITS, Recurrence
from tinyq.numerics import rounding
from tinyq.numerics.recurrence import (
    CELLS,
    CODE_BITS,
    WORD_BITS,
    Cell,
    Function,
    Library,
    Step,
    find_curve,
    follow_curve,
    make_library,
)
from tinyq.quantizers.fixed_point import FixedPoint, FixedPointQuantizer
from tinyq.training import integer
from tinyq.training.base import wide
from tinyq.training.layers.dense import QuantizedDense, lower_dense
from tinyq.training.layers.table import apply_function
from tinyq.training.lowering.emission import Lowering, Value
from tinyq.training.lowering.windows import plain
from tinyq.training.patterns import FusedLayer
from tinyq.training.recipe import Rule
from tinyq.training.registry import lowers, quantizes, serializable
from tinyq.training.tracing import Step as Place
from tinyq.training.weighted import OWN_OPTIONS, WeightedLayer, build_weighted, has_few_bits

METHOD = "int8"
_HIDDEN = FixedPoint("", 8, -CODE_BITS)
_WORDS = FixedPoint("", 16, -WORD_BITS)
_WORD, _UNIT, _CODE = 2.0**WORD_BITS, 2.0**15, 2.0**CODE_BITS


def _floor(x: Any) -> Any:
    return x + ops.stop_gradient(ops.floor(x) - x)


INTEGERS = make_library(ops.clip, ops.right_shift)
REALS = Library(
    clip=lambda x, least, most: x,
    shift=lambda x, bits: x * 2.0**-bits,
    round=lambda x, bits: x * 2.0**-bits,
)
SIMULATED = Library(
    clip=ops.clip,
    shift=lambda x, bits: _floor(x * 2.0**-bits),
    round=lambda x, bits: _floor(x * 2.0**-bits + 0.5),
)
"""Integers as floats, with the gradient of what they stand for."""


class Gates(keras.layers.Dense):
    """What the inputs add to the gates of all steps, in a plain float model."""


class Recurrent(keras.layers.Layer):
    """All steps of a recurrent layer from gates (steps, gates * units), in a plain float model.

    Args:
        units: Hidden values.
        cell: Key of ``CELLS``.
        update: Activation, key of ``FUNCTIONS``.
        gate: Activation of the gates, one of ``tinyq.numerics.recurrence.GATES``.
        every: Whether the hidden state of each step comes out, else that of the last one.
        use_bias: Whether recurrent products have a bias of their own.
        kernel_regularizer: Of the recurrent kernel.
    """

    def __init__(  # noqa: PLR0913, options of a Keras layer
        self,
        units: int,
        cell: str,
        update: str = "tanh",
        gate: str = "sigmoid",
        every: bool = False,
        use_bias: bool = False,
        kernel_regularizer: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.units, self.cell, self.update, self.gate = int(units), cell, update, gate
        self.every, self.use_bias = bool(every), bool(use_bias)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.activation = None

    @property
    def kind(self) -> Cell:
        """What the cell does."""
        return CELLS[self.cell]

    def build(self, input_shape: Any) -> None:
        """Create the recurrent kernel."""
        del input_shape
        rows = self.kind.gates * self.units
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.units, rows),
            initializer="orthogonal",
            regularizer=self.kernel_regularizer,
        )
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(rows,), initializer="zeros")
        self.built = True

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(steps, units), or (units,)."""
        steps = (input_shape[1],) if self.every else ()
        return (input_shape[0], *steps, self.units)

    @property
    def functions(self) -> tuple[str, ...]:
        """Names of the activations, that of gates first."""
        return (self.gate, self.update)[-self.kind.curves :]

    def advance(self, step: Step, gates: Any) -> Any:
        """Hidden codes of each step or of the last one."""
        kind, zero = self.kind, ops.zeros_like(gates[:, 0, : self.units])

        def follow(state: Any, one: Any) -> Any:
            state = kind.advance(step, one, state)
            return state, state

        state, states = ops.scan(follow, (zero,) * kind.states, ops.swapaxes(gates, 0, 1))
        if not self.every:
            return kind.hidden(step, state)
        return ops.swapaxes(kind.hidden(step, states), 0, 1)

    def step_of_reals(self, library: Library, kernel: Any) -> Step:
        """A step of floats with a kernel of reals."""

        def product(hidden: Any, first: int, last: int) -> Any:
            rows = slice(first * self.units, last * self.units)
            sums = ops.matmul(hidden / _CODE, kernel[:, rows])
            sums = (sums + self.bias[rows] if self.use_bias else sums) * _WORD
            return library.clip(library.round(sums, 0), -(2**15), 2**15 - 1)

        return Step(library, tuple(map(_scale, self.functions)), self.units, product)

    def call(self, inputs: Any) -> Any:
        """Hidden states."""
        return self.advance(self.step_of_reals(REALS, self.kernel), inputs * _WORD) / _CODE

    def get_config(self) -> dict[str, Any]:
        """Options of the constructor."""
        names = ("units", "cell", "update", "gate", "every", "use_bias")
        regularizer = keras.regularizers.serialize(self.kernel_regularizer)
        own = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **own, "kernel_regularizer": regularizer}


def _scale(name: str) -> Function:
    return lambda x: apply_function(name, {}, x / _WORD) * _UNIT


@serializable
class QuantizedGates(QuantizedDense):
    """What the inputs add to the gates of all steps, rounded to Q3.12."""

    rounds_to_even = False

    def make_output_quantizer(self, fixed: dict[str, Any]) -> Any:
        """The grid of Q3.12."""
        del fixed
        return FixedPointQuantizer(_WORDS, "s16", name="output_quantizer")


quantizes("Gates", weighted=True, emits=METHOD)(build_weighted(QuantizedGates))
lowers("QuantizedGates")(lower_dense)


@serializable
class QuantizedRecurrent(WeightedLayer, Recurrent):
    """All steps of a recurrent layer, in the integers of ``tinyq.numerics.recurrence``.

    Training computes them in float32, with the gradient of the roundings' arguments.

    Twin: tinyq.graph.ops.recurrence.Recurrence
    """

    shared_axes = (0,)
    reduced_axes = (0,)
    sums_inputs = False

    def count_macs(self, input_shape: tuple[int, ...]) -> int:
        """Recurrent products of all steps."""
        return int(input_shape[0] * np.prod(self.kernel.shape))

    def integer_step(self) -> Step:
        """The step that the device computes."""
        codes, _ = self.weight_quantizer.split(self.kernel)
        codes = ops.cast(codes, "float64")
        folded = integer.fold_affine(*self.code_map())

        def product(hidden: Any, first: int, last: int) -> Any:
            rows = slice(first * self.units, last * self.units)
            sums = ops.matmul(ops.cast(hidden, "float64"), codes[:, rows])
            part = integer.Affine(folded.bias[rows], folded.multiplier[rows], folded.shift)
            words = integer.requantize(ops.cast(ops.round(sums), "int64"), part)
            return ops.clip(words, -(2**15), 2**15 - 1)

        curves = (ops.convert_to_tensor(curve, "int64") for curve in self.curves())
        functions = (follow_curve(INTEGERS, ops.take, curve) for curve in curves)
        return Step(INTEGERS, tuple(functions), self.units, product)

    def curves(self) -> np.ndarray:
        """Points of the activations, int32, shape (functions, 513)."""
        return np.stack([find_curve(name) for name in self.functions])

    def accumulator_map(self) -> tuple[Any, Any]:
        """Product of both scales per output channel, and the bias; float64."""
        _, scale = self.weight_quantizer.split(self.kernel)
        gain = wide(ops.reshape(scale, (-1,))) / _CODE
        return gain, wide(self.bias) if self.use_bias else ops.zeros_like(gain)

    def code_map(self) -> tuple[Any, Any]:
        """The same in units of Q3.12; float64."""
        gain, offset = self.accumulator_map()
        return gain * _WORD, offset * _WORD

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Hidden states: simulated in training, exact integers in inference."""
        if training:
            step = self.step_of_reals(SIMULATED, self.training_kernel())
            return self.advance(step, inputs * _WORD) / _CODE
        gates = ops.cast(self.input_encoding().centered(inputs), "int64")
        return self.encoding().real(self.advance(self.integer_step(), gates))


@quantizes("Recurrent", weighted=True, reads=METHOD, emits=METHOD)
def build_recurrent(fused: FusedLayer, options: dict[str, Any], rule: Rule) -> QuantizedRecurrent:
    """The steps with weights of few bits."""
    assert rule.weights is not None
    if rule.gradients is not None:
        raise ModelError(
            "gradients are rounded where sums are complete, and those of steps never are",
            where=fused.name,
            remedy="leave `gradients` out of this layer's rule",
        )
    config = {k: v for k, v in fused.layer.get_config().items() if k not in OWN_OPTIONS}
    if not rule.weight_decay and has_few_bits(rule):
        config["kernel_regularizer"] = None
    return QuantizedRecurrent(
        **config, name=options["name"], weight_method=rule.weights, output_method=_HIDDEN.name
    )


@lowers("QuantizedRecurrent")
def lower_recurrent(lowering: Lowering, step: Place, inputs: tuple[Value, ...]) -> Value:
    """All steps as one operation."""
    layer = step.layer
    weights = lowering.constant(step, "weights", layer.weight_codes().T, layer.weight_format())
    gain, offset = (ops.convert_to_numpy(part) for part in layer.code_map())
    folded = rounding.fold_affine(gain, offset)
    constants = (
        lowering.constant(step, "bias", folded.bias, "s32"),
        lowering.constant(step, "multiplier", folded.multiplier, "s32"),
        lowering.constant(step, "curves", layer.curves(), "s16"),
    )
    operation = Recurrence(layer.cell, int(layer.every), int(np.max(folded.shift)))
    return lowering.apply(step, operation, plain(inputs[0], step), weights, *constants)


def require_units(units: int, refuse: Callable[[str, str], ModelError]) -> None:
    """Check that a layer has no more units than the device's code takes.

    Raises:
        ModelError: It has.
    """
    if units > MAX_UNITS:
        raise refuse(f"has {units} units", f"use at most {MAX_UNITS}")
