"""Softmax in integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.proofs import require_constant, require_values
from tinyq.numerics import rounding
from tinyq.numerics.formats import Codes, find_format

_ONE = 65535


@dataclass(frozen=True, slots=True)
class Softmax(Op):
    """Softmax over the last axis by a table of exponentials: see ``rounding.softmax``.

    Operands: x s8 (..., classes), table u16 (256).
    Output: s8, scale 1/256, zero point -128.

    Twin: templates/kernels/generic/softmax.c.j2 with tinyq.kernels.generic.softmax.SOFTMAXES.
    """

    kernel: ClassVar[str] = "softmax"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s8",),)
    in_place: ClassVar[tuple[int, ...]] = (0,)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x, table = types
        if x.format.name != "s8" or table.shape != (256,) or table.format.name != "u16":
            raise ModelError(f"softmax takes s8 and a table u16[256], not {x} and {table}")
        return TensorType(x.shape, find_format("s8"), 1.0 / 256.0, -128)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        return rounding.softmax(codes[0], codes[1])

    def prove(self, *operands: Operand) -> Span | None:
        """Check the table and the number of classes."""
        x, table = operands
        codes = require_constant(table, "the table")
        require_values(codes[0], "the first power", (_ONE, _ONE))  # so that no sum is 0
        require_values(x.type.shape[-1], "the number of classes", (1, _ONE))
        return None

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x = types[0]
        return {
            "rows": x.rows,
            "channels": x.shape[-1],
        }
