"""Quotient of two tensors in TFLite's fixed point."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.proofs import EXPONENTS, MANTISSAS, require_values
from tinyq.numerics import fixed_point
from tinyq.numerics.formats import Codes, find_format
from tinyq.numerics.rounding import INT32_MAX

MAX_EXPONENT = 23  # of the scale, so that a quotient is never shifted to the left


@dataclass(frozen=True, slots=True)
class TfliteDivide(Op):
    """Quotient of two s8 tensors, by TFLite's reciprocal.

        n, d = x - x_zero, y - y_zero, both negated where d < 0
        d = 2**p * (1 + f), 0 <= f < 1;  n * 2**h is as large as int32 allows
        q = multiply_high(n * 2**h, reciprocal_of_one_plus(f))
        z = clip(z_zero + divide_by_power(multiply_high(q, multiplier), h + p - exponent), lo, hi)

    A divisor of 0 counts as 1 step. A shift by more than 31 bits gives 0.

    Operands: x, y s8 (..., channels), of one shape.

    Attributes:
        multiplier: Mantissa of x_scale / (y_scale * z_scale), below 2**31.
        exponent: Its exponent, -31 .. 23.
        x_zero: Zero point of x.
        y_zero: Zero point of y.
        z_zero: Zero point of the output.
        scale: Of the output.
        lo: Smallest code of the output.
        hi: Largest code of the output.

    Twin: tq_tflitedivide in templates/kernels/generic/tflitedivide.c.j2.
    """

    multiplier: int
    exponent: int
    x_zero: int
    y_zero: int
    z_zero: int
    scale: float
    lo: int
    hi: int

    kernel: ClassVar[str] = "tflitedivide"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s8", "s8"),)
    batched: ClassVar[tuple[int, ...]] = (0, 1)
    keyed: ClassVar[tuple[int, ...]] = (0, 1)
    in_place: ClassVar[tuple[int, ...]] = (0, 1)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x, y = types
        if x.shape != y.shape or {x.format.name, y.format.name} != {"s8"}:
            raise ModelError(f"cannot divide {x} by {y}")
        return TensorType(x.shape, find_format("s8"), self.scale, self.z_zero)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        numerator = codes[0].astype(np.int64) - self.x_zero
        divisor = codes[1].astype(np.int64) - self.y_zero
        divisor = np.where(divisor == 0, 1, divisor)
        numerator = np.where(divisor < 0, -numerator, numerator)
        divisor = np.abs(divisor)
        power = _bit_length(divisor) - 1
        fraction = (divisor << (31 - power)) - (1 << 31)
        headroom = 31 - _bit_length(np.where(numerator < 0, ~numerator, numerator))
        raised = np.where(numerator == 0, 0, numerator << headroom)
        quotient = fixed_point.multiply_high(raised, fixed_point.reciprocal_of_one_plus(fraction))
        shift = headroom + power - self.exponent
        scaled = fixed_point.multiply_high(quotient, self.multiplier)
        result = np.where(shift > 31, 0, fixed_point.divide_by_power(scaled, np.minimum(shift, 31)))
        return np.asarray(np.clip(result + self.z_zero, self.lo, self.hi), np.int32)

    def prove(self, *operands: Operand) -> Span:
        """Check the attributes; every step is within int32."""
        del operands
        codes = (-128, 127)
        require_values(self.multiplier, "multiplier", MANTISSAS)
        require_values(self.exponent, "exponent", (EXPONENTS[0], MAX_EXPONENT))
        require_values((self.x_zero, self.y_zero), "a zero point", codes)
        require_values((self.z_zero, self.lo, self.hi), "a code", codes)
        if self.lo > self.hi:
            raise ModelError(f"no code lies between {self.lo} and {self.hi}")
        return self.lo, self.hi

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        return {
            "elements": math.prod(types[0].shape),
            "multiplier": self.multiplier,
            "exponent": self.exponent,
            "x_zero": self.x_zero,
            "y_zero": self.y_zero,
            "z_zero": self.z_zero,
            "lo": self.lo,
            "hi": self.hi,
        }


def _bit_length(values: fixed_point.Int64s) -> fixed_point.Int64s:
    """Bits of integers of at least 0; exact below 2**53."""
    found: fixed_point.Int64s = np.frexp(np.minimum(values, INT32_MAX).astype(np.float64))[
        1
    ].astype(np.int64)
    return found
