"""Product of two computed matrices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tinyq.errors import ModelError
from tinyq.graph import Operand, Shape, TensorType
from tinyq.graph.accumulating import Accumulating, require_zero
from tinyq.graph.ops.window import centered
from tinyq.graph.proofs import Bounds, elements, multiplied, require_sums
from tinyq.numerics.formats import Codes


@dataclass(frozen=True, slots=True)
class MatrixMultiply(Accumulating):
    """Several products of a matrix and a transposed matrix.

        acc[g, m, n] = sum_k (x[g, m, k] - x_zero) * (y[g, n, k] - y_zero)

    Operands: x (groups, rows, depth), y (groups, columns, depth).

    Attributes:
        x_zero: Zero point of x.
        y_zero: Zero point of y.

    Twin: tq_matmul in templates/kernels/generic/matmul.c.j2.
    """

    x_zero: int = 0
    y_zero: int = 0

    kernel: ClassVar[str] = "matmul"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s8", "s8"), ("s16", "s16"))
    batched: ClassVar[tuple[int, ...]] = (0, 1)
    keyed: ClassVar[tuple[int, ...]] = (0, 1)
    operands: ClassVar[int] = 2

    def accumulator_shape(self, *types: TensorType) -> Shape:
        """Shape of the accumulators."""
        x, y = types
        require_zero(x, self.x_zero)
        require_zero(y, self.y_zero)
        if len(x.shape) != 3 or len(y.shape) != 3 or x.shape[::2] != y.shape[::2]:
            raise ModelError(f"cannot multiply the matrices {x} and {y}")
        return (*x.shape[:2], y.shape[1])

    def sums(self, *operands: Operand) -> Bounds:
        """What the accumulators can be."""
        x, y = operands
        pair = multiplied(elements(x, self.x_zero), elements(y, self.y_zero))
        require_sums(pair, "a product")
        return pair.scaled(x.type.shape[2])

    def accumulate(self, *codes: Codes) -> Codes:
        """Accumulators of a batch."""
        x, y = codes
        acc = centered(x, self.x_zero) @ centered(y, self.y_zero).swapaxes(-1, -2)
        return self.output.check_range(acc, self.kernel)

    def macs(self, *types: TensorType) -> int:
        """Multiply-accumulates."""
        return math.prod(types[0].shape) * types[1].shape[1]

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x, y = types[:2]
        return {
            "groups": x.shape[0],
            "rows": x.shape[1],
            "depth": x.shape[2],
            "columns": y.shape[1],
            "x_zero": self.x_zero,
            "y_zero": self.y_zero,
            **self.output.geometry(),
        }
