"""Recurrent layers on Arm v7E-M: products four channels at a time, cells in C.

The products of a step are those of `dense_lanes`, whose sums are left raw. The layer's constants
are known to the text, so that a sum is scaled by one SMLAL and a shift.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from tinyq.kernels.armv7em.dense_lanes import multiply_lanes, pack_lanes, widen_inputs
from tinyq.kernels.base import INT8, Bound, Part, Refusal
from tinyq.kernels.geometry import divide_up, round_up
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import Epilogue, Scaling
from tinyq.kernels.packing.record import Table
from tinyq.kernels.packing.words import Int64s, to_words
from tinyq.kernels.registry import kernel
from tinyq.numerics.recurrence import CELLS

_SOURCE = "armv7em/assembly.j2"
_BYTE = 127
_MOST_ODD = 2**23  # of the sums of an odd channel
_MOST = 2**31
# Instructions: of a hidden value for four channels, of widening it, of four sums, of a step; of a
# unit by the number of its cell.
_INPUT_COST, _WIDEN_COST, _FOUR_COST, _STEP_COST = 3.5, 1.3, 14, 60
_CELL_COST = (33, 120, 95, 105)


@dataclass(frozen=True, slots=True)
class Steps:
    """What the kernel's memory and loops come to.

    Attributes:
        cell: Key of ``CELLS``.
        steps: Of the sequence.
        units: Hidden values.
        gates: Gates of a unit.
        every: Whether the hidden state of each step comes out.
        shift: Of the products.
        continues: Whether it begins with a state that is given, and states come out.
    """

    cell: str
    steps: int
    units: int
    gates: int
    every: bool
    shift: int
    continues: bool

    @property
    def codes_first(self) -> bool:
        """Whether a state begins with hidden codes."""
        return CELLS[self.cell].codes_first

    @property
    def words_from(self) -> int:
        """Words of a state before those of the cells."""
        return self.units if self.codes_first else 0

    @property
    def width(self) -> int:
        """Codes of the output of a step."""
        return self.units * (CELLS[self.cell].states if self.continues else 1)

    @property
    def places(self) -> int:
        """Hidden values in whole groups."""
        return round_up(self.units, 8)

    @property
    def blocks(self) -> tuple[int, ...]:
        """Gates of each product: what a reset goes before is multiplied on its own."""
        return (2, 1) if self.cell == "gru_before" else (self.gates,)

    @property
    def sums(self) -> tuple[int, ...]:
        """Sums of each product, in whole groups of four."""
        return tuple(round_up(block * self.units, 4) for block in self.blocks)

    @property
    def words_at(self) -> int:
        """Bytes before the words of the state: sums, then widened values."""
        return 4 * sum(self.sums) + 2 * self.places

    @property
    def hidden_at(self) -> int:
        """Bytes before the hidden state."""
        return self.words_at + 2 * round_up(self.units, 2)

    @property
    def scratch(self) -> int:
        """Bytes of scratch memory."""
        return self.hidden_at + round_up(self.units, 4)

    @property
    def half(self) -> int:
        """What makes the floor of a product the nearest integer."""
        return 1 << (self.shift - 1)

    @property
    def cost(self) -> int:
        """Instructions."""
        fours = sum(self.sums) // 4
        each = _STEP_COST + len(self.blocks) * self.places * _WIDEN_COST
        each += fours * (self.places * _INPUT_COST + _FOUR_COST)
        return int(self.steps * (each + self.units * _CELL_COST[CELLS[self.cell].number]))


@kernel("recurrence", "s16", INT8, variant="lanes")
@kernel("recurrencestates", "s16", INT8, variant="lanes")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """All steps, from a state of zeros or one that is given."""
    weights, bias, multiplier = layer.operands[1:4]
    if weights is None or bias is None or multiplier is None:
        return Refusal("the constants are no constants")
    g = layer.geometry
    name = next(name for name, cell in CELLS.items() if cell.number == g["cell"])
    continues = layer.operation == "recurrencestates"
    sizes = (g["steps"], g["units"], g["gates"], bool(g["every"]), g["shift"])
    steps = Steps(name, *sizes, continues)
    rows, offsets = weights.astype(np.int64), bias.astype(np.int64)
    factors = multiplier.astype(np.int64)
    if reason := _refuse(rows, offsets, factors, steps):
        return Refusal(reason)
    tables, parts = [], {"widen": widen_inputs(steps.units)}
    ends = np.cumsum(steps.blocks) * steps.units
    for place, end in enumerate(ends):
        start = end - steps.blocks[place] * steps.units
        table, product = sum_products(rows[start:end], offsets[start:end], str(place))
        tables.append(table)
        parts[f"product_{place}"] = product
    tables.append(Table("multiplier", to_words(factors), "scales of sums", "multiplier"))
    return Bound(
        layer,
        steps.cost,
        tables=tuple(tables),
        scratch_bytes=steps.scratch,
        parts=MappingProxyType(
            {
                **parts,
                "follow": follow_curve(),
                **saturate_words(),
            }
        ),
        values=MappingProxyType({"s": steps}),
        operands=("gates", "curves", "state") if continues else ("gates", "curves"),
    )


def follow_curve() -> Part:
    """``(curve, x)``: between two of 513 points, x int16."""
    return Part(_SOURCE, "follow", "tq_follow_curve", shared=True)


def saturate_words() -> dict[str, Part]:
    """``limit`` and ``code``: nearest int16 and int8 of an int32."""
    return {
        "limit": Part(_SOURCE, "limit", "tq_limit16", shared=True),
        "code": Part(_SOURCE, "code", "tq_limit8", shared=True),
    }


def sum_products(rows: Int64s, bias: Int64s, label: str) -> tuple[Table, Part]:
    """Packed weights (channels, inputs), and what sums them with widened inputs: raw sums."""
    words = pack_lanes(rows, Scaling(0, bias, np.zeros(0, np.int64), Epilogue()))
    comment = "four channels: biases, weights two to a halfword"
    pairs, fours = round_up(rows.shape[1], 8) // 2, divide_up(len(rows), 4)
    product = multiply_lanes(pairs, fours, Epilogue())
    part = replace(product, name=f"{product.name}_{label}", shared=False)
    return Table(f"weights_{label}", words, comment, f"w_{label}"), part


def refuse_sums(rows: Int64s, bias: Int64s, reach: Int64s) -> str:
    """Why two channels cannot share a lane; empty where they can.

    Args:
        rows: Weights (channels, inputs).
        bias: What sums begin with.
        reach: Largest magnitude of each sum, its bias included.
    """
    if rows[1::2].min(initial=0) < -_BYTE:
        return "an odd channel has a weight of -128"
    if reach[1::2].max(initial=0) >= _MOST_ODD:
        return "accumulators of an odd channel leave 24 bits"
    if np.abs(bias[1::2]).max(initial=0) * 256 + np.abs(bias[0::2]).max(initial=0) >= _MOST:
        return "biases of two channels leave 32 bits"
    return ""


def _refuse(rows: Int64s, bias: Int64s, multiplier: Int64s, steps: Steps) -> str:
    if steps.units % 2 and len(steps.blocks) > 1:
        return "a product of its own begins in the middle of a pair"
    reach = np.abs(rows).sum(1) * 128 + np.abs(bias)
    if reason := refuse_sums(rows, bias, reach):
        return reason
    scaled = max(int(a) * abs(int(b)) for a, b in zip(reach, multiplier, strict=True))
    if scaled + steps.half >= 2**63 or (scaled + steps.half) >> steps.shift >= _MOST:
        return "products leave 32 bits"
    return ""
