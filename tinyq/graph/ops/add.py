"""Sum of two tensors of one shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Operand, Shape, TensorType
from tinyq.graph.accumulating import Accumulating, require_one_shape, require_zero
from tinyq.graph.epilogues import narrow
from tinyq.graph.proofs import Bounds, elements, require_sums
from tinyq.numerics.formats import Codes


@dataclass(frozen=True, slots=True)
class Add(Accumulating):
    """Weighted sum of two tensors, rounded once, in the epilogue.

        acc = (x - x_zero) * x_factor + (y - y_zero) * y_factor

    The factors stand for the two scales; 16 bits each, so that a core with dual multiply does
    both products in one instruction.
    Operands: x, y (..., channels), of one shape.

    Attributes:
        x_factor: -32768 .. 32767.
        y_factor: -32768 .. 32767.
        x_zero: Zero point of x.
        y_zero: Zero point of y.

    Twin: templates/kernels/generic/terms.c.j2 with tinyq.kernels.generic.terms.TERMS.
    """

    x_factor: int
    y_factor: int
    x_zero: int = 0
    y_zero: int = 0

    kernel: ClassVar[str] = "add"
    batched: ClassVar[tuple[int, ...]] = (0, 1)
    keyed: ClassVar[tuple[int, ...]] = (0, 1)
    operands: ClassVar[int] = 2
    in_place: ClassVar[tuple[int, ...]] = (0, 1)

    def accumulator_shape(self, *types: TensorType) -> Shape:
        """Shape of the accumulators."""
        x, y = types
        require_zero(x, self.x_zero)
        require_zero(y, self.y_zero)
        shape = require_one_shape(x, y, "add")
        if not all(-(2**15) <= factor < 2**15 for factor in (self.x_factor, self.y_factor)):
            raise ModelError(f"factors {self.x_factor}, {self.y_factor} leave 16 bits")
        return shape

    def sums(self, *operands: Operand) -> Bounds:
        """What the accumulators can be."""
        x, y = operands
        first = elements(x, self.x_zero).scaled(self.x_factor)
        second = elements(y, self.y_zero).scaled(self.y_factor)
        for part in (first, second):
            require_sums(part, "a product")
        return first + second

    def accumulate(self, *codes: Codes) -> Codes:
        """Accumulators of a batch."""
        x, y = (code.astype(np.int64) for code in codes)
        acc = (x - self.x_zero) * self.x_factor + (y - self.y_zero) * self.y_factor
        return narrow(acc, self.kernel)

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x = types[0]
        return {
            "rows": x.rows,
            "channels": x.shape[-1],
            "x_zero": self.x_zero,
            "y_zero": self.y_zero,
            "x_factor": self.x_factor,
            "y_factor": self.y_factor,
            **self.output.geometry(),
        }
