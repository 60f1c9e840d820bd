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
EVENS = (0, 1)
SIGNIFICANTS = (0, 2**SIGNIFICANT - 1)
SINGLE_SHIFTS = (0, 46)


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


@dataclass(frozen=True, slots=True)
class RequantizeSingle(Scaled):
    """Scale as float32 does, with its roundings, then to the nearest code, a half to even.

        y = clip(zero + requantize_single(acc, bias, multiplier, shift, inside), lo, hi)

    Attributes:
        inside: 1 where the zero point is added before rounding: then it decides which code is even.

    Twin: tq_requantize_single in templates/runtime/tq_single.h.
    """

    inside: int = 0

    names: ClassVar[tuple[str, ...]] = ("bias", "multiplier", "shift")

    def finish(self, acc: Codes, *constants: Codes) -> Codes:
        """Codes from accumulators."""
        inner = self.zero_point if self.inside else 0
        codes = requantize_single(acc, *constants, inner) + (self.zero_point - inner)
        return np.asarray(np.clip(codes, self.lo, self.hi), np.int32)

    def geometry(self) -> dict[str, int]:
        """Integers that the epilogue's C code needs."""
        inner = self.zero_point if self.inside else 0
        outer = self.zero_point - inner
        return {"inner": inner, "zero_point": outer, "lo": self.lo, "hi": self.hi}

    def prove(self, sums: Bounds, *constants: Codes) -> Span:
        """Check mantissas, shifts and sums."""
        bias, multiplier, shift = constants
        require_values(self.inside, "inside", EVENS)
        require_values(multiplier, "multiplier", SIGNIFICANTS)
        require_values(shift, "shift", SINGLE_SHIFTS)
        require_sums(sums, "the sum")
        wide = bias.astype(np.int64)
        require_sums(sums + Bounds(wide, wide), "the sum with its bias")
        return self.lo, self.hi
