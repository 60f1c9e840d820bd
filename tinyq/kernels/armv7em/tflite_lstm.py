"""TFLite's LSTM on Arm v7E-M: products four channels at a time, scales known to the text.

Both products of a step are those of `tinyq.kernels.armv7em.recurrence`; zero points are part of
what sums begin with. Gates are computed, or read from the tables of `tinyq.kernels.armv7em.shares`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tinyq.graph.ops.tflite_lstm import GATES
from tinyq.kernels.armv7em.dense_lanes import widen_inputs
from tinyq.kernels.armv7em.recurrence import refuse_sums, saturate_words, sum_products
from tinyq.kernels.armv7em.shares import FINEST_CELL_BITS, read_ends, share_tables
from tinyq.kernels.base import Bound, Part, Refusal
from tinyq.kernels.geometry import divide_up, round_up
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.registry import kernel

_SOURCE = "armv7em/assembly.j2"
_LIMIT = MappingProxyType({"limit": "tq_limit16"})
_MOST_SCALED = 2**30
# Instructions: of a value for four channels, of widening it, of four sums, of a step; of a cell
# whose gates are computed, and of one whose gates are read.
_INPUT_COST, _WIDEN_COST, _FOUR_COST, _STEP_COST = 3.5, 1.3, 14, 80
_CELL_COST, _READ_COST = 580, 208


@dataclass(frozen=True, slots=True)
class Scale:
    """What scales a sum: times a power of two, times a mantissa, over a power of two.

    Attributes:
        multiplier: The mantissa.
        left: The first power.
        right: Logarithm of the last one.
    """

    multiplier: int
    left: int
    right: int


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate's name, and what scales its products of inputs and of the state."""

    name: str
    x: Scale
    h: Scale


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the kernel's memory comes to.

    Attributes:
        steps: Of the sequence.
        inputs: Of a step.
        cells: Of the layer.
        reads: Whether gates are read from tables.
    """

    steps: int
    inputs: int
    cells: int
    reads: bool

    @property
    def sums(self) -> int:
        """Sums of a product, in whole groups of four."""
        return round_up(4 * self.cells, 4)

    @property
    def wide_bytes(self) -> int:
        """Of widened values."""
        return 2 * round_up(max(self.inputs, self.cells), 8)

    @property
    def words_at(self) -> int:
        """Bytes before the cells."""
        return 8 * self.sums + self.wide_bytes

    @property
    def hidden_at(self) -> int:
        """Bytes before the state."""
        return self.words_at + 2 * round_up(self.cells, 2)

    @property
    def scratch(self) -> int:
        """Bytes of scratch memory."""
        return self.hidden_at + round_up(self.cells, 4)

    def steps_of(self, bits: int) -> int:
        """Steps of the tables in a code with integer bits whose hyperbolic tangent is taken."""
        return 1 << max(bits - FINEST_CELL_BITS, 0)

    @property
    def cost(self) -> int:
        """Instructions."""
        places = round_up(self.inputs, 8) + round_up(self.cells, 8)
        fours = divide_up(4 * self.cells, 4)
        each = _STEP_COST + places * (_WIDEN_COST + fours * _INPUT_COST) + fours * 2 * _FOUR_COST
        return int(self.steps * (each + self.cells * (_READ_COST if self.reads else _CELL_COST)))


@kernel("tflitelstm", "s8", "s8", variant="lanes")
@kernel("tflitelstmstates", "s8", "s8", variant="lanes")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """All steps, from a state of zeros or one that is given; gates are computed."""
    return _bind(layer, reads=False)


@kernel("tflitelstm", "s8", "s8", variant="tables", text="armv7em/tflite_lstm")
@kernel("tflitelstmstates", "s8", "s8", variant="tables", text="armv7em/tflite_lstm")
def bind_reading(layer: LayerSpec) -> Bound | Refusal:
    """The same with gates from tables of 17 KiB."""
    bits = layer.geometry["cell_bits"]
    if bits < FINEST_CELL_BITS:
        return Refusal(f"cells of {bits} integer bits are finer than the tables")
    return _bind(layer, reads=True)


def _bind(layer: LayerSpec, reads: bool) -> Bound | Refusal:
    inputs, hidden, bias = layer.operands[1:4]
    if inputs is None or hidden is None or bias is None:
        return Refusal("the constants are no constants")
    g = layer.geometry
    continues = layer.operation == "tflitelstmstates"
    sizes = Sizes(g["steps"], g["inputs"], g["cells"], reads)
    gates = [_read_gate(g, gate) for gate in GATES]
    tables, parts = [], {}
    offsets = bias.astype(np.int64).reshape(-1)
    products = (("x", inputs, offsets, "x_zero"), ("h", hidden, 0 * offsets, "h_zero"))
    for label, weights, begin, zero in products:
        rows = weights.astype(np.int64).reshape(len(offsets), -1)
        start = begin - g[zero] * rows.sum(1)
        reach = np.asarray(np.abs(rows).sum(1) * 128 + np.abs(start))
        if reason := refuse_sums(rows, start, reach):
            return Refusal(reason)
        if int(reach.max()) * max(getattr(gate, label).left for gate in gates) >= _MOST_SCALED:
            return Refusal("sums leave 31 bits when they are scaled")
        table, parts[f"product_{label}"] = sum_products(rows, start, label)
        tables.append(table)
    return Bound(
        layer,
        sizes.cost,
        tables=(*tables, *(share_tables() if reads else ())),
        scratch_bytes=sizes.scratch,
        parts=MappingProxyType(
            {
                **saturate_words(),
                "functions": call_gates(reads),
                "widen_x": widen_inputs(sizes.inputs),
                "widen_h": widen_inputs(sizes.cells),
                **parts,
            }
        ),
        values=MappingProxyType({"s": sizes, "gates": gates, "g": g, "continues": continues}),
        operands=("x", "state") if continues else ("x",),
    )


def call_gates(reads: bool) -> Part:
    """Logistic function and hyperbolic tangent of TFLite, read from `share_tables` or computed."""
    if reads:
        values = MappingProxyType({**_LIMIT, "ends": read_ends()})
        return Part(_SOURCE, "read_gates", "tq_read_gates", values, shared=True)
    return Part(_SOURCE, "gates", "tq_twice_gates", _LIMIT, shared=True)


def _read_gate(g: Mapping[str, int], name: str) -> Gate:
    def read(source: str) -> Scale:
        exponent = g[f"{source}_{name}_exponent"]
        multiplier = g[f"{source}_{name}_multiplier"]
        return Scale(multiplier, 1 << max(exponent, 0), max(-exponent, 0))

    return Gate(name, read("x"), read("h"))
