"""Any function of one 8-bit code, as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.proofs import require_constant
from tinyq.numerics.formats import Codes, find_format


@dataclass(frozen=True, slots=True)
class Lookup(Op):
    """Element-wise table: sigmoid, tanh, a change of scale, a clip.

        y = table[x + 128]

    Operands: x s8 (..., channels), table s8 (256).

    Attributes:
        scale: Real value of one output code.
        zero_point: Output code of real 0.

    Twin: templates/kernels/generic/elements.c.j2 with tinyq.kernels.generic.elements.ELEMENTS.
    """

    scale: float | None
    zero_point: int

    kernel: ClassVar[str] = "lookup"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s8",),)
    in_place: ClassVar[tuple[int, ...]] = (0,)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x, table = types
        if x.format.name != "s8" or table.shape != (256,) or table.format.name != "s8":
            raise ModelError(f"a lookup takes s8 and a table s8[256], not {x} and {table}")
        return TensorType(x.shape, find_format("s8"), self.scale, self.zero_point)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, table = codes
        return table[x + 128]

    def prove(self, *operands: Operand) -> Span:
        """Check that the table is known; every code of it is right."""
        codes = require_constant(operands[1], "the table")
        return int(codes.min()), int(codes.max())

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        return {"elements": math.prod(types[0].shape)}
