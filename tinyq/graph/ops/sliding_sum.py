"""The sum over a window that moves on: what comes in is added, what goes out is taken off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.proofs import INT32, require_values
from tinyq.numerics.formats import Codes


@dataclass(frozen=True, slots=True)
class SlidingSum(Op):
    """A sum that is kept from step to step.

        y = clip(x + coming - leaving, lo, hi)

    Operands: x, coming, leaving s32 (..., channels), of one shape. Where x is the sum over a
    window, and lo and hi are what such a sum can be, nothing is ever clipped; the limits are what
    proves that the sum stays in its integers for good.

    Attributes:
        lo: Smallest sum, an int32.
        hi: Largest sum, an int32.

    Twin: templates/kernels/generic/elements.c.j2 with tinyq.kernels.generic.elements.ELEMENTS.
    """

    lo: int
    hi: int

    kernel: ClassVar[str] = "slidingsum"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s32",),)
    batched: ClassVar[tuple[int, ...]] = (0, 1, 2)
    in_place: ClassVar[tuple[int, ...]] = (0, 1, 2)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x, coming, leaving = types
        if {it.format.name for it in types} != {
            "s32"
        } or not x.shape == coming.shape == leaving.shape:
            raise ModelError(
                f"a sum s32 takes sums s32 of its shape, not {x}, {coming} and {leaving}"
            )
        if not INT32[0] <= self.lo <= self.hi <= INT32[1]:
            raise ModelError(f"sums of {self.lo:,} .. {self.hi:,} are no int32")
        return x

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, coming, leaving = (each.astype(np.int64) for each in codes)
        return np.asarray(np.clip(x + coming - leaving, self.lo, self.hi), np.int32)

    def prove(self, *operands: Operand) -> Span:
        """Check that the sums stay in int32 before they are clipped."""
        x, coming, leaving = operands
        require_values((x.lo + coming.lo, x.hi + coming.hi), "the sum with what comes in", INT32)
        ends = (x.lo + coming.lo - leaving.hi, x.hi + coming.hi - leaving.lo)
        require_values(ends, "the sum without what goes out", INT32)
        return self.lo, self.hi

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        elements = int(np.prod(types[0].shape, dtype=np.int64))
        return {"elements": elements, "lo": self.lo, "hi": self.hi}
