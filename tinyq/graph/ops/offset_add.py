"""Sum of two tensors with scales of its own for each channel, in 64 bits, rounded once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.offset_epilogue import EVENS, HIGHS
from tinyq.graph.proofs import SHIFTS, require_constant, require_values
from tinyq.numerics.formats import Codes, find_format
from tinyq.numerics.offsets import join_words, round_down

_ROWS = 6  # of constants
_ROOM = 2**62  # the offset has as much


@dataclass(frozen=True, slots=True)
class OffsetAdd(Op):
    """Weighted sum of two tensors with an offset, which holds bias, half and zero points.

        s = x * x_factor[k] + y * y_factor[k] + offset_high[k] * 2**32 + offset_low[k]
        out = clip(round_down(s, shift[k], even[k]), lo, hi)

    Operands: x, y (..., channels), of one shape, s8 or s32; the constants s32 (6, channels), whose
    rows are x_factor, y_factor, offset_high, offset_low, shift, even.

    Attributes:
        scale: Real value of one output code.
        zero_point: Output code of real 0.
        lo: Smallest output code.
        hi: Largest output code.

    Twin: tq_offsetadd in templates/kernels/generic/offsetadd.c.j2.
    """

    scale: float | None
    zero_point: int
    lo: int
    hi: int

    kernel: ClassVar[str] = "offsetadd"
    keyed: ClassVar[tuple[int, ...]] = (0, 1)
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s8", "s8"), ("s8", "s32"), ("s32", "s8"))
    batched: ClassVar[tuple[int, ...]] = (0, 1)
    in_place: ClassVar[tuple[int, ...]] = (0, 1)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x, y, table = types
        if x.shape != y.shape:
            raise ModelError(f"cannot add {x} and {y}: the shapes differ")
        if table.shape != (_ROWS, x.shape[-1]) or table.format.name != "s32":
            raise ModelError(f"the constants are {table}, s32[{_ROWS},{x.shape[-1]}] is needed")
        entry = find_format("s8")
        if not entry.lo <= self.lo <= self.hi <= entry.hi:
            raise ModelError(f"clip range {self.lo} .. {self.hi} leaves format s8")
        return TensorType(x.shape, entry, self.scale, self.zero_point)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, y, (x_factor, y_factor, high, low, shift, even) = codes
        total = x.astype(np.int64) * x_factor + y.astype(np.int64) * y_factor
        rounded = round_down(total + join_words(high, low), shift, even)
        return np.clip(rounded, self.lo, self.hi).astype(np.int32)

    def prove(self, *operands: Operand) -> Span:
        """Check that no sum leaves int64, and every constant its range."""
        x, y, table = operands
        first, second, high, _, shift, even = require_constant(table, "the table of constants")
        require_values(high, "offset_high", HIGHS)
        require_values(shift, "shift", SHIFTS)
        require_values(even, "even", EVENS)
        reach = [
            max(-it.lo, it.hi) * np.abs(factor.astype(np.int64)).max(initial=0).item()
            for it, factor in ((x, first), (y, second))
        ]
        if sum(reach) >= _ROOM:
            raise ModelError(
                "the sum of two products can leave 63 bits",
                remedy="give both tensors scales closer to the output's",
            )
        return self.lo, self.hi

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x = types[0]
        return {"rows": x.rows, "channels": x.shape[-1], "lo": self.lo, "hi": self.hi}
