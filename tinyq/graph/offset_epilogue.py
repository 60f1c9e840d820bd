"""The epilogue with an offset of 64 bits: what floating point rounds to, in integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.graph import Span
from tinyq.graph.epilogues import Scaled
from tinyq.graph.proofs import MANTISSAS, SHIFTS, Bounds, require_sums, require_values
from tinyq.numerics.formats import Codes
from tinyq.numerics.offsets import requantize_offset

HIGHS = (-(2**30), 2**30 - 1)
EVENS = (0, 1)


@dataclass(frozen=True, slots=True)
class RequantizeOffset(Scaled):
    """Multiply, add an offset that holds bias, half and zero point, shift, saturate.

        y = clip(requantize_offset(acc, multiplier, offset_high, offset_low, shift, even), lo, hi)

    ``zero_point`` says what the codes mean and is no part of the sum: a half goes to the even code
    of the output, as where a zero point is added before rounding.

    Twin: tq_requantize_offset in templates/runtime/tq_offsets.h.
    """

    names: ClassVar[tuple[str, ...]] = ("multiplier", "offset_high", "offset_low", "shift", "even")

    def finish(self, acc: Codes, *constants: Codes) -> Codes:
        """Codes from accumulators."""
        return np.asarray(np.clip(requantize_offset(acc, *constants), self.lo, self.hi), np.int32)

    def prove(self, sums: Bounds, *constants: Codes) -> Span:
        """Check mantissas, offsets, shifts, flags and sums."""
        multiplier, high, _, shift, even = constants
        require_values(multiplier, "multiplier", MANTISSAS)
        require_values(high, "offset_high", HIGHS)
        require_values(shift, "shift", SHIFTS)
        require_values(even, "even", EVENS)
        require_sums(sums, "the sum")
        return self.lo, self.hi
