"""Logarithm of softmax with the fixed-point arithmetic of TFLite's reference kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.proofs import EXPONENTS, INT32, MANTISSAS, require_constant, require_values
from tinyq.numerics import fixed_point
from tinyq.numerics.formats import Codes, find_format


@dataclass(frozen=True, slots=True)
class TfliteLogSoftmax(Op):
    """Log-softmax over the last axis.

        d_i = x_i - max(x)
        l   = logarithm(sum of divide_by_power(table[-d_i], 12))                    Q5.26
        m   = max(least - 1, scale_twice(l - 2**31, reverse_multiplier, reverse_exponent))
        y_i = clip(divide_by_power(scale_twice(d_i, multiplier, exponent) - l, 22) + 127)
              where d_i > m, else -128

    Operands: x s8 (..., classes), at most 4,095 classes; table s32 (256), see
    ``fixed_point.softmax_exponentials``. Output: s8, scale 1/16, zero point 127.

    Attributes:
        multiplier: Mantissa of the input scale in Q5.26.
        exponent: Its exponent, 0 .. 30.
        reverse_multiplier: Mantissa of the inverse.
        reverse_exponent: Its exponent, -31 .. 0.
        least: Smallest difference that counts, at most 0.

    Twin: templates/kernels/generic/softmax.c.j2 with tinyq.kernels.generic.softmax.SOFTMAXES.
    """

    multiplier: int
    exponent: int
    reverse_multiplier: int
    reverse_exponent: int
    least: int

    kernel: ClassVar[str] = "tflitelogsoftmax"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s8",),)
    in_place: ClassVar[tuple[int, ...]] = (0,)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x, table = types
        if x.format.name != "s8" or table.shape != (256,) or table.format.name != "s32":
            raise ModelError(f"log-softmax takes s8 and a table s32[256], not {x} and {table}")
        if x.shape[-1] > 4095:
            raise ModelError(f"log-softmax over {x.shape[-1]} classes, at most 4,095 are exact")
        return TensorType(x.shape, find_format("s8"), 1.0 / 16.0, 127)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, table = codes
        difference = (x - x.max(axis=-1, keepdims=True)).astype(np.int64)
        powers = table[-difference].astype(np.int64)
        total = fixed_point.divide_by_power(powers, 12).sum(axis=-1, keepdims=True)
        log = fixed_point.logarithm(total)
        least = np.maximum(
            self.least - 1,
            fixed_point.scale_twice(log - 2**31, self.reverse_multiplier, self.reverse_exponent),
        )
        counted = difference > least
        scaled = fixed_point.scale_twice(
            np.where(counted, difference, 0), self.multiplier, self.exponent
        )
        codes_out = fixed_point.divide_by_power(scaled - log, 22) + 127
        return np.where(counted, np.clip(codes_out, -128, 127), -128).astype(np.int32)

    def prove(self, *operands: Operand) -> Span | None:
        """Check the table, whose sums are at least 1, and the scales."""
        codes = require_constant(operands[1], "the table")
        require_values(codes, "a power", MANTISSAS)
        require_values(codes[0], "the first power", (MANTISSAS[1], MANTISSAS[1]))
        require_values((self.multiplier, self.reverse_multiplier), "multiplier", MANTISSAS)
        require_values(self.exponent, "exponent", (0, EXPONENTS[1]))
        require_values(self.reverse_exponent, "reverse exponent", (EXPONENTS[0], 0))
        require_values(self.least, "the least difference", (INT32[0] + 1, 0))
        return None

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x = types[0]
        return {
            "rows": x.rows,
            "channels": x.shape[-1],
            "multiplier": self.multiplier,
            "exponent": self.exponent,
            "reverse_multiplier": self.reverse_multiplier,
            "reverse_exponent": self.reverse_exponent,
            "least": self.least,
        }
