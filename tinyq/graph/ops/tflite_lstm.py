"""LSTM over a sequence with 8-bit weights and outputs and 16-bit gates and cells, as in TFLite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.proofs import (
    EXPONENTS,
    MANTISSAS,
    Bounds,
    products,
    require_constant,
    require_sums,
    require_values,
)
from tinyq.numerics import fixed_point, gates
from tinyq.numerics.fixed_point import Int64s
from tinyq.numerics.formats import Codes, find_format

MAX_CELLS = 512  # the cells of a step are on the stack of the kernel
GATES = ("input", "forget", "update", "output")
STATE_ROWS = 3  # hidden codes, low and high bytes of cells
_GATE_BITS = 3  # gates before their function are Q3.12


@dataclass(frozen=True, slots=True)
class TfliteLstm(Op):
    """All steps of an LSTM, from a state of zeros.

        v_g = clip16(scale_twice(w_g (x_t - x_zero) + b_g))           for each gate g
        u_g = clip16(v_g + scale_twice(r_g (h_(t-1) - h_zero)))       Q3.12
        i, f, o = logistic16(u); z = tanh16(u)                        Q0.15
        c_t = clip16(divide_by_power(f c_(t-1), 15) + divide_by_power(i z, 15 + cell_bits))
        c_t = clip(c_t, -cell_clip, cell_clip) if cell_clip > 0
        h_t = clip8(zero_point + scale_twice(o * tanh16(c_t)))

    A cell has ``cell_bits`` integer bits. Gates are in the order of ``GATES``.
    Operands: x s8 (steps, inputs), w s8 (4, cells, inputs), r s8 (4, cells, cells),
    b s32 (4, cells). Output: h s8 (steps, cells).

    Attributes:
        input_scales: Mantissa and exponent of each gate's input product, eight integers.
        recurrent_scales: The same of its recurrent product.
        hidden_scale: Mantissa and exponent of the output.
        cell_bits: Integer bits of a cell, 0 .. 6.
        cell_clip: Largest absolute value of a cell, 0 for no limit.
        x_zero: Zero point of the input.
        h_zero: Zero point that the recurrent product subtracts.
        scale: Real value of one output code.
        zero_point: Output code of real 0.

    Twin: tq_tflitelstm in templates/kernels/generic/tflitelstm.c.j2.
    Reference: Hochreiter, Schmidhuber 1997, Long short-term memory, Neural Computation 9(8).
    """

    input_scales: tuple[int, ...]
    recurrent_scales: tuple[int, ...]
    hidden_scale: tuple[int, int]
    cell_bits: int
    cell_clip: int
    x_zero: int
    h_zero: int
    scale: float
    zero_point: int

    kernel: ClassVar[str] = "tflitelstm"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s8", "s8"),)
    keyed: ClassVar[tuple[int, ...]] = (0, 1)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x, w, r, b = types
        if len(x.shape) != 2 or len(w.shape) != 3 or w.shape[0] != 4 or w.shape[2] != x.shape[1]:
            raise ModelError(f"an LSTM over {x} takes weights (4, cells, inputs), not {w}")
        cells = w.shape[1]
        if r.shape != (4, cells, cells) or b.shape != (4, cells):
            raise ModelError(f"an LSTM of {cells} cells cannot have {r} and {b}")
        if [one.format.name for one in types] != ["s8", "s8", "s8", "s32"]:
            raise ModelError("an LSTM takes s8 data and weights and an s32 bias")
        if len(self.input_scales) != 8 or len(self.recurrent_scales) != 8:
            raise ModelError("an LSTM has a mantissa and an exponent for each of four gates")
        if not 0 <= self.cell_bits <= 6:
            raise ModelError(f"cells with {self.cell_bits} integer bits, 0 to 6 are possible")
        if cells > MAX_CELLS:
            raise ModelError(f"an LSTM of {cells} cells, at most {MAX_CELLS} are supported")
        return TensorType((x.shape[0], cells), find_format("s8"), self.scale, self.zero_point)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        batch, cells = len(codes[0]), codes[1].shape[1]
        hidden = np.full((batch, cells), self.h_zero, np.int64)
        rows, _ = self.advance(codes, hidden, np.zeros((batch, cells), np.int64))
        return np.stack(rows, axis=1).astype(np.int32)

    def advance(
        self, codes: Sequence[Codes], hidden: Int64s, cell: Int64s
    ) -> tuple[list[Int64s], Int64s]:
        """Hidden codes of all steps from a state on, and the last cells, shapes (batch, cells)."""
        x, w, r, b = (code.astype(np.int64) for code in codes)
        sums = np.einsum("nti,gci->tngc", x - self.x_zero, w) + b
        first = gates.saturate16(_scale(sums, self.input_scales))
        rows = []
        for gate_inputs in first:
            recurrent = np.einsum("nh,gch->ngc", hidden - self.h_zero, r)
            gate = gates.saturate16(gate_inputs + _scale(recurrent, self.recurrent_scales))
            hidden, cell = self._advance(gate, cell)
            rows.append(hidden)
        return rows, cell

    def _advance(self, gate: Int64s, cell: Int64s) -> tuple[Int64s, Int64s]:
        opening, keeping, output = (
            gates.logistic16(gate[:, place], _GATE_BITS) for place in (0, 1, 3)
        )
        update = gates.tanh16(gate[:, 2], _GATE_BITS)
        kept = fixed_point.divide_by_power(keeping * cell, 15)
        added = fixed_point.divide_by_power(opening * update, 15 + self.cell_bits)
        cell = gates.saturate16(kept + added)
        if self.cell_clip:
            cell = np.clip(cell, -self.cell_clip, self.cell_clip)
        product = output * gates.tanh16(cell, self.cell_bits)
        scaled = fixed_point.scale_twice(product, *self.hidden_scale)
        return np.clip(scaled + self.zero_point, -128, 127), cell

    def macs(self, *types: TensorType) -> int:
        """Multiply-accumulates."""
        steps, inputs = types[0].shape
        cells = types[1].shape[1]
        return steps * 4 * cells * (inputs + cells)

    def prove(self, *operands: Operand) -> Span | None:
        """Check scales, biases and sums of every gate."""
        x, w, r, b = operands
        scales = (*self.input_scales, *self.recurrent_scales, *self.hidden_scale)
        require_values(scales[0::2], "multiplier", MANTISSAS)
        require_values(scales[1::2], "exponent", EXPONENTS)
        require_values(self.cell_clip, "the clip of cells", (0, 2**15 - 1))
        zeros = (self.x_zero, self.h_zero, self.zero_point)
        require_values(zeros, "a zero point", (-128, 127))
        bias = require_constant(b, "bias").reshape(-1).astype(np.int64)
        sums = products(x, self.x_zero, _by_gate(w), 0)
        require_sums(sums, "the sum of inputs")
        require_sums(sums + Bounds(bias, bias), "the sum of inputs with its bias")
        state = Operand(r.type, -128, 127)
        require_sums(products(state, self.h_zero, _by_gate(r), 0), "the sum of states")
        return None

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        steps, inputs = types[0].shape
        named: dict[str, int] = {}
        for source, scales in (("x", self.input_scales), ("h", self.recurrent_scales)):
            for place, gate in enumerate(GATES):
                named[f"{source}_{gate}_multiplier"] = scales[2 * place]
                named[f"{source}_{gate}_exponent"] = scales[2 * place + 1]
        return {
            "steps": steps,
            "inputs": inputs,
            "cells": types[1].shape[1],
            "x_zero": self.x_zero,
            "h_zero": self.h_zero,
            "y_zero": self.zero_point,
            "cell_bits": self.cell_bits,
            "cell_clip": self.cell_clip,
            "hidden_multiplier": self.hidden_scale[0],
            "hidden_exponent": self.hidden_scale[1],
            **named,
        }


@dataclass(frozen=True, slots=True)
class TfliteLstmStates(TfliteLstm):
    """Steps of the same LSTM from a state that is given: their hidden codes, then the cells.

        cell = 256 * high + low + 128

    A state is s8 (3, cells): hidden codes, the low and the high bytes of the cells; the scale is
    that of the hidden codes. `first_state` is its value after a reset.
    Operands: as of `TfliteLstm`, then the state. Output: s8 (steps + 2, cells), whose last three
    rows are the next state.

    Twin: tq_tflitelstm in templates/kernels/generic/tflitelstm.c.j2.
    """

    kernel: ClassVar[str] = "tflitelstmstates"
    batched: ClassVar[tuple[int, ...]] = (0, 4)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        if len(types) != 5:
            raise ModelError(f"steps of an LSTM take 5 inputs, {len(types)} are given")
        hidden, state = TfliteLstm.infer(self, *types[:4]), types[4]
        steps, cells = hidden.shape
        if state.shape != (STATE_ROWS, cells) or state.format != hidden.format:
            raise ModelError(f"the state of {cells} cells is s8[{STATE_ROWS},{cells}], not {state}")
        return replace(hidden, shape=(steps + STATE_ROWS - 1, cells))

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        hidden, low, high = np.moveaxis(codes[4].astype(np.int64), 1, 0)
        rows, cell = self.advance(codes[:4], hidden, 256 * high + low + 128)
        rows += [(cell & 255) - 128, cell >> 8]
        return np.stack(rows, axis=1).astype(np.int32)

    def prove(self, *operands: Operand) -> Span | None:
        """Check scales, biases and sums of every gate, for any state."""
        return TfliteLstm.prove(self, *operands[:4])

    def first_state(self, cells: int) -> Codes:
        """The state after a reset: hidden codes of real 0, cells of 0."""
        rows = [[code] * cells for code in (self.h_zero, -128, 0)]
        return np.array(rows, np.int32)


def _by_gate(weights: Operand) -> Operand:
    """Weights (gates, cells, inputs) as those of one layer with gates * cells outputs."""
    shape = (-1, weights.type.shape[-1])
    codes = require_constant(weights, "weights").reshape(shape)
    return replace(weights, type=replace(weights.type, shape=codes.shape), codes=codes)


def _scale(sums: Int64s, scales: tuple[int, ...]) -> Int64s:
    """Products (..., gates, cells) with one scale per gate."""
    pairs: npt.NDArray[np.int64] = np.asarray(scales, np.int64).reshape(4, 2, 1)
    return fixed_point.scale_twice(sums, pairs[:, 0], pairs[:, 1])
