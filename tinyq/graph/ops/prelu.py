"""ReLU with a learned slope per channel, with tinyq's rounding or TFLite's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.accumulating import require_zero
from tinyq.graph.proofs import (
    EXPONENTS,
    INT32,
    MANTISSAS,
    SHIFTS,
    elements,
    multiplied,
    require_sums,
    require_values,
)
from tinyq.numerics import fixed_point, rounding
from tinyq.numerics.formats import Codes, find_format


@dataclass(frozen=True, slots=True)
class Prelu(Op):
    """Slope 1 for positive numbers, a slope of its own for negative ones; rounded once, half up.

        d = x - x_zero
        y = clip(y_zero + requantize(d, positive))                    for d >= 0
        y = clip(y_zero + requantize(d * (a - a_zero), negative))     else

    Operands: x (..., channels), a s8 (channels). Clipped to the codes of x.

    Attributes:
        positive_multiplier: Mantissa of the gain of positive numbers.
        positive_shift: Its right shift, 1 .. 62.
        negative_multiplier: Mantissa of the gain of products.
        negative_shift: Its right shift, 1 .. 62.
        a_zero: Zero point of the slopes.
        x_zero: Zero point of the input.
        y_zero: Zero point of the output.
        scale: Real value of one output code.
        format: Format of x and y, ``s8`` or ``s16``.

    Twin: tq_prelu in templates/kernels/generic/prelu.c.j2.
    """

    positive_multiplier: int
    positive_shift: int
    negative_multiplier: int
    negative_shift: int
    a_zero: int
    x_zero: int
    y_zero: int
    scale: float
    format: str = "s8"

    kernel: ClassVar[str] = "prelu"
    keyed: ClassVar[tuple[int, ...]] = (0, 1)
    in_place: ClassVar[tuple[int, ...]] = (0,)
    _mantissas: ClassVar[tuple[int, int]] = INT32
    _shifts: ClassVar[tuple[int, int]] = SHIFTS

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x, a = types
        require_zero(x, self.x_zero)
        require_zero(a, self.a_zero)
        formats = (x.format.name, a.format.name)
        if formats != (self.format, "s8") or a.shape != x.shape[-1:]:
            raise ModelError(
                f"prelu takes {self.format} and one slope s8 per channel, not {x} and {a}"
            )
        return TensorType(x.shape, x.format, self.scale, self.y_zero)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, a = codes
        d = x.astype(np.int64) - self.x_zero
        positive = self._scaled(d, self.positive_multiplier, self.positive_shift)
        product = d * (a - self.a_zero)
        negative = self._scaled(product, self.negative_multiplier, self.negative_shift)
        chosen = np.where(d >= 0, positive, negative) + self.y_zero
        limits = find_format(self.format)
        return np.asarray(np.clip(chosen, limits.lo, limits.hi), np.int32)

    def prove(self, *operands: Operand) -> Span | None:
        """Check that every sum stays in its integers."""
        x, a = operands
        require_values(
            (self.positive_multiplier, self.negative_multiplier), "multiplier", self._mantissas
        )
        require_values((self.positive_shift, self.negative_shift), "shift", self._shifts)
        slope = elements(a, self.a_zero)
        require_sums(multiplied(elements(x, self.x_zero), slope), "the product with the slope")
        return None

    def _scaled(self, value: np.ndarray, multiplier: int, shift: int) -> np.ndarray:
        zero = np.zeros(1, np.int32)
        return rounding.requantize(
            value, zero, np.asarray([multiplier], np.int32), np.asarray([shift], np.int32)
        )

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x = types[0]
        return {
            "rows": x.rows,
            "channels": x.shape[-1],
            "positive_multiplier": self.positive_multiplier,
            "positive_shift": self.positive_shift,
            "negative_multiplier": self.negative_multiplier,
            "negative_shift": self.negative_shift,
            "a_zero": self.a_zero,
            "x_zero": self.x_zero,
            "y_zero": self.y_zero,
        }


@dataclass(frozen=True, slots=True)
class TflitePrelu(Prelu):
    """Like ``Prelu`` with TFLite's two roundings; the shifts are exponents of ``scale_twice``.

    Twin: tq_prelu in templates/kernels/generic/prelu.c.j2.
    """

    kernel: ClassVar[str] = "tfliteprelu"
    _mantissas: ClassVar[tuple[int, int]] = MANTISSAS
    _shifts: ClassVar[tuple[int, int]] = EXPONENTS

    def _scaled(self, value: np.ndarray, multiplier: int, shift: int) -> np.ndarray:
        return fixed_point.scale_twice(value, multiplier, shift)
