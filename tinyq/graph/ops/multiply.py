"""Element-wise product of two tensors of one shape."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.graph import Operand, Shape, TensorType
from tinyq.graph.accumulating import Accumulating, require_one_shape
from tinyq.graph.epilogues import narrow
from tinyq.graph.proofs import Bounds, elements, multiplied, require_sums
from tinyq.numerics.formats import Codes


@dataclass(frozen=True, slots=True)
class Multiply(Accumulating):
    """Product of two tensors; the scales are in the epilogue.

        acc = (x - x_zero) * (y - y_zero)

    Operands: x, y (..., channels), of one shape.

    Attributes:
        x_zero: Zero point of x.
        y_zero: Zero point of y.

    Twin: templates/kernels/generic/terms.c.j2 with tinyq.kernels.generic.terms.TERMS.
    """

    x_zero: int = 0
    y_zero: int = 0

    kernel: ClassVar[str] = "multiply"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s8", "s8"), ("s16", "s16"))
    batched: ClassVar[tuple[int, ...]] = (0, 1)
    keyed: ClassVar[tuple[int, ...]] = (0, 1)
    operands: ClassVar[int] = 2
    in_place: ClassVar[tuple[int, ...]] = (0, 1)

    def accumulator_shape(self, *types: TensorType) -> Shape:
        """Shape of the accumulators."""
        x, y = types
        return require_one_shape(x, y, "multiply")

    def sums(self, *operands: Operand) -> Bounds:
        """What the accumulators can be."""
        x, y = operands
        factors = elements(x, self.x_zero), elements(y, self.y_zero)
        for factor in factors:
            require_sums(factor, "a code without its zero point")
        return multiplied(*factors)

    def accumulate(self, *codes: Codes) -> Codes:
        """Accumulators of a batch."""
        x, y = (code.astype(np.int64) for code in codes)
        return narrow((x - self.x_zero) * (y - self.y_zero), self.kernel)

    def macs(self, *types: TensorType) -> int:
        """Multiplications."""
        return math.prod(types[0].shape)

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x = types[0]
        return {
            "rows": x.rows,
            "channels": x.shape[-1],
            "x_zero": self.x_zero,
            "y_zero": self.y_zero,
            **self.output.geometry(),
        }
