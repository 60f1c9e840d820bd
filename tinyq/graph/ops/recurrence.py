"""Recurrent layers that were trained here: LSTM, GRU and the plain one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.proofs import (
    SHIFTS,
    Bounds,
    Int64s,
    products,
    require_constant,
    require_sums,
    require_values,
)
from tinyq.numerics import rounding
from tinyq.numerics.formats import Codes, find_format
from tinyq.numerics.recurrence import CELLS, CODE_BITS, NUMPY, POINTS, Cell, Step, follow_curve

MAX_UNITS = 256  # a step's values are on the stack of the generic kernel
_GATE = (0, 2**15 - 1)  # a gate opens between not at all and wholly
_SCALE = 2.0**-CODE_BITS


@dataclass(frozen=True, slots=True)
class Recurrence(Op):
    """All steps of a recurrent layer, from a state of zeros.

        product(h)[j] = clip16(requantize(sum_k w[j, k] * h[k], bias[j], multiplier[j], shift))
        state_t = advance(gates_t, state_(t-1))        of the cell, see tinyq.numerics.recurrence

    Gates are in Keras' order, units within a gate.
    Operands: gates s16 (steps, gates * units), Q3.12, what the input adds; w (gates * units,
    units); bias and multiplier s32 (gates * units); curves s16 (functions, 513). Output: s8 Q0.7
    (steps, units), or (units) of the last step.

    Attributes:
        cell: Key of ``CELLS``.
        every: 1 where the hidden state of each step comes out, else that of the last one.
        shift: Of the products, 1 .. 62.

    Twin: tq_recurrence in templates/kernels/generic/recurrence.c.j2.
    """

    cell: str
    every: int
    shift: int

    kernel: ClassVar[str] = "recurrence"
    keyed: ClassVar[tuple[int, ...]] = (0, 1)
    batched: ClassVar[tuple[int, ...]] = (0, 4)  # kernels read curves where they lie

    @property
    def kind(self) -> Cell:
        """What the cell does.

        Raises:
            ModelError: There is no such cell.
        """
        if self.cell not in CELLS:
            raise ModelError(f"there is no cell {self.cell!r}, only {', '.join(CELLS)}")
        return CELLS[self.cell]

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        if len(types) != 5:
            raise ModelError(f"a recurrence takes 5 inputs, {len(types)} are given")
        gates, w, bias, multiplier, curves = types
        kind = self.kind
        rows, units = w.shape if len(w.shape) == 2 else (0, 0)
        if rows != kind.gates * units or not units:
            raise ModelError(f"{self.cell} cannot have the weights {w}")
        if units > MAX_UNITS:
            raise ModelError(f"a layer of {units} units, at most {MAX_UNITS} are supported")
        if len(gates.shape) != 2 or gates.shape[1] != rows or not gates.shape[0]:
            raise ModelError(
                f"{self.cell} of {units} units takes gates (steps, {rows}), not {gates}"
            )
        if bias.shape != (rows,) or multiplier.shape != (rows,):
            raise ModelError(f"{rows} rows of weights cannot have {bias} and {multiplier}")
        if curves.shape != (kind.curves, POINTS):
            raise ModelError(f"{self.cell} takes {kind.curves} curves of {POINTS}, not {curves}")
        names = [one.format.name for one in (gates, bias, multiplier, curves)]
        if names != ["s16", "s32", "s32", "s16"]:
            raise ModelError("a recurrence takes s16 gates and curves and s32 constants")
        if self.every not in (0, 1):
            raise ModelError(f"every is {self.every}, 0 and 1 are possible")
        shape = (gates.shape[0], units) if self.every else (units,)
        return TensorType(shape, find_format("s8"), _SCALE, 0)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        gates = codes[0].astype(np.int64)
        kind, step = self.kind, self.prepare(*codes[1:])
        state = (np.zeros((len(gates), step.units), np.int64),) * kind.states
        rows = [kind.hidden(step, after) for after in self.advance(step, gates, state)]
        found = np.stack(rows, axis=1) if self.every else rows[-1]
        return np.asarray(found, np.int32)

    def advance(self, step: Step, gates: Int64s, state: Any) -> Iterator[Any]:
        """The state after each step."""
        for place in range(gates.shape[1]):
            state = self.kind.advance(step, gates[:, place], state)
            yield state

    def prepare(self, *constants: Codes) -> Step:
        """What the cell works with, of weights, bias, multiplier, and curves with a batch axis."""
        w, bias, multiplier, curves = constants
        units = w.shape[1]
        weights = w.astype(np.int64)

        def product(hidden: Any, first: int, last: int) -> Any:
            rows = slice(first * units, last * units)
            acc = hidden @ weights[rows].T
            shift = np.full(1, self.shift, np.int32)
            scaled = rounding.requantize(acc, bias[rows], multiplier[rows], shift)
            return np.clip(scaled, -(2**15), 2**15 - 1)

        functions = (follow_curve(NUMPY, np.take, curve) for curve in curves[0].astype(np.int64))
        return Step(NUMPY, tuple(functions), units, product)

    def macs(self, *types: TensorType) -> int:
        """Multiply-accumulates."""
        rows, units = types[1].shape
        return types[0].shape[0] * rows * units

    def prove(self, *operands: Operand) -> Span | None:
        """Check shift, gates' curves and sums."""
        w, bias, multiplier, curves = operands[1:5]
        require_values(self.shift, "shift", SHIFTS)
        require_constant(multiplier, "multiplier")
        points = require_constant(curves, "the curves")
        require_values(points[: len(points) - 1], "a gate", _GATE)
        offsets = require_constant(bias, "bias").astype(np.int64)
        hidden = Operand(TensorType(w.type.shape[1:], find_format("s8")), -128, 127)
        sums = products(hidden, 0, w, 0)
        require_sums(sums, "the recurrent sum")
        require_sums(sums + Bounds(offsets, offsets), "the recurrent sum with its bias")
        return None

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        return {
            "steps": types[0].shape[0],
            "units": types[1].shape[1],
            "gates": self.kind.gates,
            "cell": self.kind.number,
            "every": self.every,
            "shift": self.shift,
        }


@dataclass(frozen=True, slots=True)
class RecurrenceStates(Recurrence):
    """Steps of a recurrent layer from a given state: the state after each of them.

    A state is that of `Recurrence`: of an LSTM the hidden codes and then the cells, of a GRU its
    words, of a plain layer the hidden codes; those are saturated to 8 bits.
    Operands: as of `Recurrence`, then the state s16 (states * units). Output: s16 (steps, states *
    units), or (states * units) of the last step.

    Twin: tq_recurrence in templates/kernels/generic/recurrence.c.j2.
    """

    kernel: ClassVar[str] = "recurrencestates"
    batched: ClassVar[tuple[int, ...]] = (0, 4, 5)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        if len(types) != 6:
            raise ModelError(f"steps of a recurrence take 6 inputs, {len(types)} are given")
        hidden, state = Recurrence.infer(self, *types[:5]), types[5]
        words = self.kind.states * hidden.shape[-1]
        if state.shape != (words,) or state.format.name != "s16":
            raise ModelError(f"a state of {self.cell} has {words} words of s16, not {state}")
        return TensorType((*hidden.shape[:-1], words), state.format, state.scale, state.zero_point)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        gates, *constants, first = codes
        step = self.prepare(*constants)
        words = first.astype(np.int64)
        state = self.kind.begin(tuple(step.part(words, it) for it in range(self.kind.states)))
        rows = [
            np.concatenate(after, axis=-1)
            for after in self.advance(step, gates.astype(np.int64), state)
        ]
        found = np.stack(rows, axis=1) if self.every else rows[-1]
        return np.asarray(found, np.int32)
