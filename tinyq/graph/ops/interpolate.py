"""Bilinear resizing with 10-bit weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.proofs import INT32, require_constant, require_values
from tinyq.numerics import fixed_point
from tinyq.numerics.formats import Codes

_ONE = 1024


@dataclass(frozen=True, slots=True)
class Interpolate(Op):
    """Weighted mean of four neighbouring pixels, half rounded away from code 0.

        y[r, c, k] = divide_away(sum_{a, b in {0, 1}} x[R_a, C_b, k] * R_w(a) * C_w(b), 2**20)

    A table row holds the two neighbours and the weight of the second: ``rows[r] = (R_0, R_1,
    f)``, ``R_w(0) = 1024 - f``, ``R_w(1) = f``; ``columns`` likewise. At the border both
    neighbours are one pixel, and the weight may be negative.
    Operands: x (height, width, channels), rows s16 (out_height, 3), columns s16 (out_width, 3).

    Twin: tq_interpolate in templates/kernels/generic/interpolate.c.j2.
    """

    kernel: ClassVar[str] = "interpolate"

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x, rows, columns = types
        tables = all(len(table.shape) == 2 and table.shape[1] == 3 for table in (rows, columns))
        if len(x.shape) != 3 or not tables or {rows.format.name, columns.format.name} != {"s16"}:
            raise ModelError(f"cannot interpolate {x} by {rows} and {columns}")
        shape = (rows.shape[0], columns.shape[0], x.shape[2])
        return TensorType(shape, x.format, x.scale, x.zero_point)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        return fixed_point.divide_away(self.total(*codes), _ONE**2).astype(np.int32)

    def total(self, *codes: Codes) -> fixed_point.Int64s:
        """The sum of four weighted pixels."""
        x, rows, columns = codes
        total: fixed_point.Int64s = np.zeros(1, np.int64)
        for row, down in ((0, 1024 - rows[:, 2]), (1, rows[:, 2])):
            for column, across in ((0, 1024 - columns[:, 2]), (1, columns[:, 2])):
                pixels = x[:, rows[:, row]][:, :, columns[:, column]].astype(np.int64)
                weight = down.astype(np.int64)[:, None, None] * across[None, :, None]
                total = total + pixels * weight
        return total

    def prove(self, *operands: Operand) -> Span | None:
        """Check that neighbours lie inside the image, and weights and sums in their integers."""
        x, *tables = operands
        reach = max(abs(x.lo), abs(x.hi))
        for table, length in zip(tables, x.type.shape[:2], strict=True):
            codes = require_constant(table, "a table of neighbours")
            require_values(codes[:, :2], "a neighbour", (0, length - 1))
            require_values(codes[:, 2], "a weight", (-_ONE, _ONE))
            require_values(reach, "the sum of two pixels", (0, INT32[1]))
            reach *= int((np.abs(_ONE - codes[:, 2]) + np.abs(codes[:, 2])).max())
        if x.type.format.bits <= 8:  # that of 16-bit codes has 64 bits
            require_values(reach + _ONE**2, "the sum of four pixels", (0, INT32[1]))
        return None

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x, rows, columns = types
        return {
            "in_width": x.shape[1],
            "channels": x.shape[2],
            "out_height": rows.shape[0],
            "out_width": columns.shape[0],
        }


@dataclass(frozen=True, slots=True)
class InterpolateHalfUp(Interpolate):
    """Weighted mean of four neighbouring pixels, half rounded up.

        y[r, c, k] = floor((sum_{a, b in {0, 1}} x[R_a, C_b, k] * R_w(a) * C_w(b) + 2**19) / 2**20)

    Operands: as of ``Interpolate``.

    Twin: tq_interpolate in templates/kernels/generic/interpolate.c.j2.
    """

    kernel: ClassVar[str] = "interpolatehalfup"

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        found = (self.total(*codes) + (_ONE**2 >> 1)) // _ONE**2
        return np.asarray(found, np.int32)
