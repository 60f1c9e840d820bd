"""Softmax of 16-bit codes with the interpolated tables of TFLite's reference kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.proofs import MANTISSAS, require_constant, require_values
from tinyq.numerics import fixed_point, interpolation
from tinyq.numerics.formats import Codes, find_format

MAX_CLASSES = 32767


@dataclass(frozen=True, slots=True)
class TfliteWideSoftmax(Op):
    """Softmax over the last axis: exponentials and the reciprocal of their sum from tables.

        d_i = clip(scale_twice(x_i - max(x), multiplier, exponent) + 2**15 - 1, -2**15, 2**15 - 1)
        e_i = interpolate16(exponentials, d_i)                                     Q0.15
        n   = bits of sum(e),  s = divide_by_power(sum(e) * 2**(31 - n), 14) - 3 * 2**15
        y_i = clip(floor((e_i * interpolate16(reciprocals, s) + 2**(n - 2)) / 2**(n - 1)),
                   0, 2**15 - 1)

    Operands: x s16 (..., classes), at most 32,767 classes; exponentials and reciprocals s16 (513),
    see ``interpolation.interpolation_table``. Output: s16, scale 2**-15, zero point 0.

    Attributes:
        multiplier: Mantissa of the scale of x in steps of 10 / 65535.
        exponent: Its exponent, -31 .. 14.

    Twin: templates/kernels/generic/softmax.c.j2 with tinyq.kernels.generic.softmax.SOFTMAXES.
    """

    multiplier: int
    exponent: int

    kernel: ClassVar[str] = "tflitewidesoftmax"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s16",),)
    in_place: ClassVar[tuple[int, ...]] = (0,)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x, *tables = types
        if x.format.name != "s16" or any(str(table) != "s16[513]" for table in tables):
            raise ModelError(f"softmax takes s16 and two tables s16[513], not {types}")
        if x.shape[-1] > MAX_CLASSES or not -31 <= self.exponent <= 14:
            raise ModelError(f"softmax over {x.shape[-1]} classes with exponent {self.exponent}")
        return TensorType(x.shape, find_format("s16"), 2.0**-15, 0)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, exponentials, reciprocals = codes
        difference = x.astype(np.int64) - x.max(axis=-1, keepdims=True)
        scaled = fixed_point.scale_twice(difference, self.multiplier, self.exponent)
        place = np.clip(scaled + 2**15 - 1, -(2**15), 2**15 - 1)
        powers = interpolation.interpolate16(exponentials, place)
        total = powers.sum(axis=-1, keepdims=True)
        headroom = fixed_point.leading_zeros(total)
        mantissa = (((total << (headroom - 1)) + (1 << 13)) >> 14) - 3 * 2**15
        reciprocal = interpolation.interpolate16(reciprocals, np.minimum(mantissa, 2**15 - 1))
        bits = 31 - headroom
        shares = (powers * reciprocal + (np.int64(1) << (bits - 1))) >> bits
        return np.asarray(np.clip(shares, 0, 2**15 - 1), np.int32)

    def prove(self, *operands: Operand) -> Span | None:
        """Check the tables and the scale."""
        powers, _ = (require_constant(table, "a table") for table in operands[1:])
        require_values(self.multiplier, "multiplier", MANTISSAS)
        require_values(powers, "a power", (0, 2**15 - 1))
        last = interpolation.interpolate16(powers, np.asarray([2**15 - 1], np.int64))
        require_values(last, "the power of the largest code", (2, 2**15 - 1))  # so that no sum is 0
        return None

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x = types[0]
        return {
            "rows": x.rows,
            "channels": x.shape[-1],
            "multiplier": self.multiplier,
            "exponent": self.exponent,
        }
