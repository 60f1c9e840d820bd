"""Logistic function and hyperbolic tangent of 16-bit codes, from one table of 256 values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.proofs import require_constant, require_values
from tinyq.numerics import interpolation
from tinyq.numerics.formats import Codes, find_format


@dataclass(frozen=True, slots=True)
class TfliteSigmoid(Op):
    """Linear interpolation in a table of the logistic function, as TFLite does for int16.

        v = floor((x * multiplier + 2**(shift - 1)) / 2**shift)       (half 0 for shift 0)
        y = interpolated_sigmoid(v, table, hyperbolic)

    Operands: x s16 (..., channels); table u16 (256), see ``interpolation.sigmoid_table``.
    Output: s16, scale 2**-15, zero point 0.

    Attributes:
        multiplier: 1 .. 2**15 - 1.
        shift: 0 .. 31.
        hyperbolic: 1 for the hyperbolic tangent, 0 for the logistic function.

    Twin: templates/kernels/generic/elements.c.j2 with tinyq.kernels.generic.elements.ELEMENTS.
    """

    multiplier: int
    shift: int
    hyperbolic: int

    kernel: ClassVar[str] = "tflitesigmoid"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s16",),)
    in_place: ClassVar[tuple[int, ...]] = (0,)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x, table = types
        if x.format.name != "s16" or table.shape != (256,) or table.format.name != "u16":
            raise ModelError(f"a sigmoid takes s16 and a table u16[256], not {x} and {table}")
        if not (0 < self.multiplier < 2**15 and 0 <= self.shift <= 31):
            raise ModelError(f"multiplier {self.multiplier} or shift {self.shift} is out of range")
        return TensorType(x.shape, find_format("s16"), 2.0**-15, 0)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, table = codes
        half = (1 << self.shift) >> 1
        scaled = (x.astype(np.int64) * self.multiplier + half) >> self.shift
        return interpolation.interpolated_sigmoid(scaled, table, self.hyperbolic).astype(np.int32)

    def prove(self, *operands: Operand) -> Span | None:
        """Check the attributes that the shape does not tell."""
        require_constant(operands[1], "the table")
        require_values(self.hyperbolic, "hyperbolic", (0, 1))
        return None

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        return {
            "elements": math.prod(types[0].shape),
            "multiplier": self.multiplier,
            "shift": self.shift,
            "hyperbolic": self.hyperbolic,
        }
