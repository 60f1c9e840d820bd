"""Sums of all values so far along an axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Operand, Shape, TensorType
from tinyq.graph.accumulating import Accumulating, require_zero
from tinyq.graph.epilogues import narrow
from tinyq.graph.proofs import Bounds, elements, require_values
from tinyq.numerics.formats import Codes

MAX_SHIFT = 24


@dataclass(frozen=True, slots=True)
class CumulativeSum(Accumulating):
    """Sum of the codes up to each place of the middle axis, raised by a power of two.

        acc[r, d, k] = sum_{e <= d} (x[r, e, k] - x_zero) * 2**shift

    ``e < d`` where it is exclusive, ``e >= d`` where it runs backwards. Operands: x (rows, depth,
    channels) s8 or s16.

    Attributes:
        shift: Bits by which codes are raised, 0 .. 24.
        exclusive: 1 to leave the place itself out.
        backwards: 1 to begin at the end.
        x_zero: Zero point of x.

    Twin: tq_cumulativesum in templates/kernels/generic/cumulativesum.c.j2.
    """

    shift: int
    exclusive: int
    backwards: int
    x_zero: int

    kernel: ClassVar[str] = "cumulativesum"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s8",), ("s16",))
    operands: ClassVar[int] = 1

    def accumulator_shape(self, *types: TensorType) -> Shape:
        """Shape of the accumulators."""
        require_zero(types[0], self.x_zero)
        if len(types[0].shape) != 3 or types[0].format.name not in ("s8", "s16"):
            raise ModelError(f"cannot sum {types[0]} along its middle axis")
        if not 0 <= self.shift <= MAX_SHIFT:
            raise ModelError(f"codes are raised by {self.shift} bits")
        return types[0].shape

    def sums(self, *operands: Operand) -> Bounds:
        """What the accumulators can be."""
        require_values((self.exclusive, self.backwards), "a direction", (0, 1))
        depth = operands[0].type.shape[1]
        reach = elements(operands[0], self.x_zero).scaled(depth << self.shift)
        return Bounds(np.minimum(reach.low, 0), np.maximum(reach.high, 0))

    def accumulate(self, *codes: Codes) -> Codes:
        """Accumulators of a batch."""
        raised = (codes[0].astype(np.int64) - self.x_zero) << self.shift
        raised = raised[:, :, ::-1] if self.backwards else raised
        total = np.cumsum(raised, axis=2) - (raised if self.exclusive else 0)
        return narrow(total[:, :, ::-1] if self.backwards else total, self.kernel)

    def taps(self, *types: TensorType) -> int:
        """Codes up to each place, once more for each place."""
        rows, depth, channels = types[0].shape
        return rows * channels * depth * (depth + 1 - 2 * self.exclusive) // 2

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        rows, depth, channels = types[0].shape
        return {
            "rows": rows,
            "depth": depth,
            "channels": channels,
            "factor": 1 << self.shift,
            "exclusive": self.exclusive,
            "backwards": self.backwards,
            "x_zero": self.x_zero,
            **self.output.geometry(),
        }
