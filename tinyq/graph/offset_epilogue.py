"""Epilogues that follow floating point: with an offset of 64 bits, and with float32's roundings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.graph import Span
from tinyq.graph.epilogues import Scaled
from tinyq.graph.proofs import MANTISSAS, SHIFTS, Bounds, require_sums, require_values
from tinyq.numerics.formats import Codes
from tinyq.numerics.offsets import requantize_offset
from tinyq.numerics.single import SIGNIFICANT, requantize_single

HIGHS = (-(2**30), 2**30 - 1)
EVENS = (0, 2)
SIGNIFICANTS = (0, 2**SIGNIFICANT - 1)
SINGLE_SHIFTS = (0, 46)


@dataclass(frozen=True, slots=True)
class RequantizeOffset(Scaled):
    """Multiply, add an offset that holds bias, half and zero point, shift, saturate.

        y = clip(requantize_offset(acc, multiplier, offset_high, offset_low, shift, even), lo, hi)

    ``zero_point`` says what the codes mean; it is in the offset. With ``even`` 1 a half goes to the
    even code, with 2 to the odd one, as where an odd zero point is added after rounding to even.

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


@dataclass(frozen=True, slots=True)
class RequantizeSingle(Scaled):
    """Scale as float32 does, with its roundings, then to the nearest code, a half to even.

        y = clip(outer + requantize_single(acc, bias, multiplier, shift, inner), lo, hi)
        inner = zero_point + moved and outer = -moved where inside is 1, else 0 and zero_point

    Attributes:
        inside: 1 where the zero point is added before rounding, to a float32.
        moved: What the codes are more where that is done, 0 or 128.

    Twin: tq_requantize_single in templates/runtime/tq_single.h.
    """

    inside: int = 0
    moved: int = 0

    names: ClassVar[tuple[str, ...]] = ("bias", "multiplier", "shift")

    def finish(self, acc: Codes, *constants: Codes) -> Codes:
        """Codes from accumulators."""
        inner, outer = self.zeros
        bias, multiplier, shift = constants
        codes = requantize_single(acc, bias, multiplier, shift, inner) + outer
        return np.asarray(np.clip(codes, self.lo, self.hi), np.int32)

    @property
    def zeros(self) -> tuple[int, int]:
        """What is added before rounding, and behind."""
        if self.inside:
            return self.zero_point + self.moved, -self.moved
        return 0, self.zero_point

    def geometry(self) -> dict[str, int]:
        """Integers that the epilogue's C code needs."""
        inner, outer = self.zeros
        return {"inner": inner, "zero_point": outer, "lo": self.lo, "hi": self.hi}

    def prove(self, sums: Bounds, *constants: Codes) -> Span:
        """Check mantissas, shifts and sums."""
        bias, multiplier, shift = constants
        require_values(self.inside, "inside", (0, 1))
        require_values(self.moved, "moved", (0, 128))
        require_values(multiplier, "multiplier", SIGNIFICANTS)
        require_values(shift, "shift", SINGLE_SHIFTS)
        require_sums(sums, "the sum")
        wide = bias.astype(np.int64)
        require_sums(sums + Bounds(wide, wide), "the sum with its bias")
        return self.lo, self.hi
