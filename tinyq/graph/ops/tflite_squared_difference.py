"""Square of the difference of two tensors with TFLite's rounding of each operand."""

from __future__ import annotations

import math
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

SHIFTS = {"s8": 7, "s16": 0}  # by which TFLite raises both operands before it scales them


@dataclass(frozen=True, slots=True)
class TfliteSquaredDifference(Accumulating):
    """Both operands raised, brought to one scale, subtracted, squared.

        a = scale_twice((x - x_zero) * 2**shift, x_multiplier, x_exponent)
        b = scale_twice((y - y_zero) * 2**shift, y_multiplier, y_exponent)
        acc = (a - b)**2

    Operands: x, y s8 or s16 (..., channels), of one shape.

    Attributes:
        x_multiplier: Mantissa for x, below 2**31.
        x_exponent: Exponent for x, -31 .. 0; the scale is at most 1/2: squares stay in int32.
        y_multiplier: Mantissa for y.
        y_exponent: Exponent for y.
        x_zero: Zero point of x.
        y_zero: Zero point of y.
        shift: 7 for operands of 8 bits, 0 for those of 16.

    Twin: templates/kernels/generic/terms.c.j2 with tinyq.kernels.generic.terms.TERMS.
    """

    x_multiplier: int
    x_exponent: int
    y_multiplier: int
    y_exponent: int
    x_zero: int
    y_zero: int
    shift: int = SHIFTS["s8"]

    kernel: ClassVar[str] = "squareddifference"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s8", "s8"), ("s16", "s16"))
    batched: ClassVar[tuple[int, ...]] = (0, 1)
    keyed: ClassVar[tuple[int, ...]] = (0, 1)
    operands: ClassVar[int] = 2
    in_place: ClassVar[tuple[int, ...]] = (0, 1)

    def accumulator_shape(self, *types: TensorType) -> Shape:
        """Shape of the accumulators."""
        x, y = types
        shape = require_one_shape(x, y, "subtract")
        if {SHIFTS.get(x.format.name), SHIFTS.get(y.format.name)} != {self.shift}:
            raise ModelError(f"{x} and {y} are not raised by {self.shift} bits")
        scales = (self.x_multiplier, self.x_exponent), (self.y_multiplier, self.y_exponent)
        for multiplier, exponent in scales:
            if not (0 <= multiplier < 2**31 and -31 <= exponent <= 0):
                raise ModelError(f"multiplier {multiplier} or exponent {exponent} is out of range")
            if multiplier * 2**exponent > 2**30:
                raise ModelError("an operand's scale is more than 1/2, so its square leaves int32")
        return shape

    def sums(self, *operands: Operand) -> Bounds:
        """What the accumulators can be."""
        x, y = operands
        require_values((self.x_multiplier, self.y_multiplier), "multiplier", MANTISSAS)
        require_values((self.x_exponent, self.y_exponent), "exponent", (EXPONENTS[0], 0))
        reach = np.zeros(1, np.int64)
        for operand, zero in ((x, self.x_zero), (y, self.y_zero)):
            raised = elements(operand, zero).scaled(1 << self.shift)
            require_sums(raised, "a raised operand")
            # A scale is at most 1/2, and rounded twice.
            reach = reach + np.maximum(np.abs(raised.low), np.abs(raised.high)) // 2 + 2
        return Bounds(np.zeros_like(reach), reach**2)

    def accumulate(self, *codes: Codes) -> Codes:
        """Accumulators of a batch."""
        x, y = (code.astype(np.int64) for code in codes)
        raised = (x - self.x_zero) << self.shift, (y - self.y_zero) << self.shift
        a = fixed_point.scale_twice(raised[0], self.x_multiplier, self.x_exponent)
        b = fixed_point.scale_twice(raised[1], self.y_multiplier, self.y_exponent)
        return narrow((a - b) ** 2, self.kernel)

    def macs(self, *types: TensorType) -> int:
        """Squares."""
        return math.prod(types[0].shape)

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        return {
            "rows": types[0].rows,
            "channels": types[0].shape[-1],
            "x_multiplier": self.x_multiplier,
            "x_exponent": self.x_exponent,
            "y_multiplier": self.y_multiplier,
            "y_exponent": self.y_exponent,
            "x_zero": self.x_zero,
            "y_zero": self.y_zero,
            "factor": 1 << self.shift,
            **self.output.geometry(),
        }
