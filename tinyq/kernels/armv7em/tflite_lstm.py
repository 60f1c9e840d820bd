"""TFLite's LSTM on Arm v7E-M: products four channels at a time, scales known to the text.

Both products of a step are those of `tinyq.kernels.armv7em.recurrence`; zero points are part of
what sums begin with.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tinyq.graph.ops.tflite_lstm import GATES
from tinyq.kernels.armv7em.dense_lanes import widen_inputs
from tinyq.kernels.armv7em.recurrence import refuse_sums, saturate_words, sum_products
from tinyq.kernels.base import Bound, Refusal
from tinyq.kernels.geometry import divide_up, round_up
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.words import Int64s
from tinyq.kernels.registry import kernel

# Instructions: of a value for four channels, of widening it, of four sums, of a step, of a cell.
_INPUT_COST, _WIDEN_COST, _FOUR_COST, _STEP_COST, _CELL_COST = 3.5, 1.3, 14, 80, 1080


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the kernel's memory comes to.

    Attributes:
        steps: Of the sequence.
        inputs: Of a step.
        cells: Of the layer.
    """

    steps: int
    inputs: int
    cells: int

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

    @property
    def cost(self) -> int:
        """Instructions."""
        places = round_up(self.inputs, 8) + round_up(self.cells, 8)
        fours = divide_up(4 * self.cells, 4)
        each = _STEP_COST + places * (_WIDEN_COST + fours * _INPUT_COST) + fours * 2 * _FOUR_COST
        return int(self.steps * (each + self.cells * _CELL_COST))


@kernel("tflitelstm", "s8", "s8", variant="lanes")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """All steps, from a state of zeros."""
    inputs, hidden, bias = layer.operands[1:4]
    if inputs is None or hidden is None or bias is None:
        return Refusal("the constants are no constants")
    g = layer.geometry
    sizes = Sizes(g["steps"], g["inputs"], g["cells"])
    tables, parts = [], {}
    offsets = bias.astype(np.int64).reshape(-1)
    products = (("x", inputs, offsets, "x_zero"), ("h", hidden, 0 * offsets, "h_zero"))
    for label, weights, begin, zero in products:
        rows = weights.astype(np.int64).reshape(len(offsets), -1)
        start = begin - g[zero] * rows.sum(1)
        if reason := refuse_sums(rows, start, _reach(rows, start)):
            return Refusal(reason)
        table, parts[f"product_{label}"] = sum_products(rows, start, label)
        tables.append(table)
    scales = [
        tuple(
            g[f"{source}_{gate}_{part}"] for source in "xh" for part in ("multiplier", "exponent")
        )
        for gate in GATES
    ]
    return Bound(
        layer,
        sizes.cost,
        tables=tuple(tables),
        scratch_bytes=sizes.scratch,
        parts=MappingProxyType(
            {
                "widen_x": widen_inputs(sizes.inputs),
                "widen_h": widen_inputs(sizes.cells),
                **parts,
                **saturate_words(),
            }
        ),
        values=MappingProxyType(
            {"s": sizes, "scales": list(zip(GATES, scales, strict=True)), "g": g}
        ),
    )


def _reach(rows: Int64s, start: Int64s) -> Int64s:
    """Largest magnitude of sums of codes, on the way to them too."""
    return np.asarray(np.abs(rows).sum(1) * 128 + np.abs(start))
