"""Any function of one 16-bit code, as a table with lines between its points."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.proofs import require_constant
from tinyq.numerics.formats import Codes, find_format


@dataclass(frozen=True, slots=True)
class Curve(Op):
    """Element-wise table of 513 points over all codes: exponential, logarithm, reciprocal root.

        y = wrap(table[i] + floor((wrap(table[i + 1] - table[i]) * f + 64) / 128))
        with 128 * i + f = x + 2**15, wrap to int16 by two's complement as TFLite does

    Operands: x s16 (..., channels), table s16 (513).

    Attributes:
        scale: Real value of one output code.

    Twin: templates/kernels/generic/elements.c.j2 with tinyq.kernels.generic.elements.ELEMENTS.
    """

    scale: float | None

    kernel: ClassVar[str] = "curve"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s16",),)
    in_place: ClassVar[tuple[int, ...]] = (0,)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x, table = types
        if x.format.name != "s16" or table.shape != (513,) or table.format.name != "s16":
            raise ModelError(f"a curve takes s16 and a table s16[513], not {x} and {table}")
        return TensorType(x.shape, find_format("s16"), self.scale, 0)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, table = codes
        place = x.astype(np.int64) + 2**15
        base = table[place >> 7].astype(np.int64)
        slope = (table[(place >> 7) + 1] - base).astype(np.int16).astype(np.int64)
        line = base + ((slope * (place & 127) + 64) >> 7)
        return np.asarray(line.astype(np.int16), np.int32)

    def prove(self, *operands: Operand) -> Span | None:
        """Check that the table is known; any code of it is right, since sums wrap."""
        require_constant(operands[1], "the table")
        return None

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        return {"elements": math.prod(types[0].shape)}
