"""Sum or difference of two tensors with TFLite's rounding of each operand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Operand, Shape, TensorType
from tinyq.graph.accumulating import Accumulating, require_one_shape
from tinyq.graph.epilogues import narrow
from tinyq.graph.proofs import EXPONENTS, MANTISSAS, Bounds, elements, require_sums, require_values
from tinyq.numerics import fixed_point
from tinyq.numerics.formats import Codes


@dataclass(frozen=True, slots=True)
class TfliteAdd(Accumulating):
    """Both operands brought to one scale, each rounded, then added.

        acc = scale_twice((x - x_zero) * 2**left_shift, x_multiplier, x_exponent)
            + y_sign * scale_twice((y - y_zero) * 2**left_shift, y_multiplier, y_exponent)

    Operands: x, y (..., channels), of one shape.

    Attributes:
        x_multiplier: Mantissa, 0 .. 2**31 - 1.
        x_exponent: -31 .. 0.
        y_multiplier: Mantissa, 0 .. 2**31 - 1.
        y_exponent: -31 .. 0.
        y_sign: 1 for a sum, -1 for a difference.
        left_shift: Bits of headroom that both operands use, 20 for 8-bit codes, 15 for 16-bit.
        x_zero: Zero point of x.
        y_zero: Zero point of y.

    Twin: templates/kernels/generic/terms.c.j2 with tinyq.kernels.generic.terms.TERMS.
    """

    x_multiplier: int
    x_exponent: int
    y_multiplier: int
    y_exponent: int
    y_sign: int = 1
    left_shift: int = 20
    x_zero: int = 0
    y_zero: int = 0

    kernel: ClassVar[str] = "tfliteadd"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s8", "s8"), ("s16", "s16"))
    batched: ClassVar[tuple[int, ...]] = (0, 1)
    keyed: ClassVar[tuple[int, ...]] = (0, 1)
    operands: ClassVar[int] = 2
    in_place: ClassVar[tuple[int, ...]] = (0, 1)

    def accumulator_shape(self, *types: TensorType) -> Shape:
        """Shape of the accumulators."""
        x, y = types
        return require_one_shape(x, y, "add")

    def sums(self, *operands: Operand) -> Bounds:
        """What the accumulators can be."""
        x, y = operands
        require_values((self.x_multiplier, self.y_multiplier), "multiplier", MANTISSAS)
        require_values((self.x_exponent, self.y_exponent), "exponent", (EXPONENTS[0], 0))
        require_values(self.left_shift, "left shift", (0, 30))
        if self.y_sign not in (-1, 1):
            raise ModelError(f"the sign of y is {self.y_sign}, neither 1 nor -1")
        first = elements(x, self.x_zero).scaled(1 << self.left_shift)
        second = elements(y, self.y_zero).scaled(1 << self.left_shift)
        for part in (first, second):
            require_sums(part, "a shifted operand")
        # An exponent is at most 0, so that scaling makes no operand larger.
        return first + second.scaled(self.y_sign)

    def accumulate(self, *codes: Codes) -> Codes:
        """Accumulators of a batch."""
        x, y = (code.astype(np.int64) for code in codes)
        first = (x - self.x_zero) << self.left_shift
        second = (y - self.y_zero) << self.left_shift
        acc = fixed_point.scale_twice(first, self.x_multiplier, self.x_exponent)
        other = fixed_point.scale_twice(second, self.y_multiplier, self.y_exponent)
        return narrow(acc + self.y_sign * other, self.kernel)

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x = types[0]
        return {
            "rows": x.rows,
            "channels": x.shape[-1],
            "x_zero": self.x_zero,
            "y_zero": self.y_zero,
            "x_multiplier": self.x_multiplier,
            "x_exponent": self.x_exponent,
            "y_multiplier": self.y_multiplier,
            "y_exponent": self.y_exponent,
            "y_sign": self.y_sign,
            "left_shift": self.left_shift,
            **self.output.geometry(),
        }
