"""Sum of two tensors of int8 as float32 computes it with fused multiply-adds, in integers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.proofs import require_values
from tinyq.numerics.formats import Codes, find_format
from tinyq.numerics.single import SIGNIFICANT, divide_even, round_single

_SIGNED = (1 - 2**SIGNIFICANT, 2**SIGNIFICANT - 1)
_MOST = 2**62


@dataclass(frozen=True, slots=True)
class SingleAdd(Op):
    """Weighted sum with the roundings of float32, to the nearest code, a half to even.

        inner = round_single((y + moved) * y_multiplier * 2**y_shift + offset * 2**offset_shift)
        outer = round_single((x + moved) * x_multiplier * 2**x_shift + inner)
        out = clip(divide_even(outer, shift) - moved, lo, hi)

    Operands: x, y s8 (..., channels), of one shape.

    Attributes:
        scale: Real value of one output code.
        zero_point: Output code of real 0.
        lo: Smallest output code.
        hi: Largest output code.
        moved: What the codes are more where floats are made of them, 0 or 128.
        x_multiplier: Significant bits of the factor of x, with its sign.
        x_shift: Power of two that they count, in units of 2**-shift.
        y_multiplier: Of y.
        y_shift: Of y.
        offset: Significant bits of what is added.
        offset_shift: Their power of two.
        shift: 0 .. 54.

    Twin: templates/kernels/generic/elements.c.j2 with tinyq.kernels.generic.elements.ELEMENTS.
    """

    scale: float | None
    zero_point: int
    lo: int
    hi: int
    moved: int
    x_multiplier: int
    x_shift: int
    y_multiplier: int
    y_shift: int
    offset: int
    offset_shift: int
    shift: int

    kernel: ClassVar[str] = "singleadd"
    keyed: ClassVar[tuple[int, ...]] = (0, 1)
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s8", "s8"),)
    batched: ClassVar[tuple[int, ...]] = (0, 1)
    in_place: ClassVar[tuple[int, ...]] = (0, 1)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x, y = types
        if x.shape != y.shape or (x.format.name, y.format.name) != ("s8", "s8"):
            raise ModelError(f"cannot add {x} and {y}")
        entry = find_format("s8")
        if not entry.lo <= self.lo <= self.hi <= entry.hi:
            raise ModelError(f"clip range {self.lo} .. {self.hi} leaves format s8")
        return TensorType(x.shape, entry, self.scale, self.zero_point)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, y = (each.astype(np.int64) + self.moved for each in codes)
        addend = self.offset * 2**self.offset_shift
        inner = round_single(y * (self.y_multiplier * 2**self.y_shift) + addend)
        outer = round_single(x * (self.x_multiplier * 2**self.x_shift) + inner)
        rounded = divide_even(outer, self.shift) - self.moved
        return np.clip(rounded, self.lo, self.hi).astype(np.int32)

    def prove(self, *operands: Operand) -> Span:
        """Check that no sum leaves its integers."""
        del operands
        require_values(self.moved, "what codes are more", (0, 128))
        mantissas = (self.x_multiplier, self.y_multiplier, self.offset)
        require_values(mantissas, "a mantissa", _SIGNED)
        require_values((self.x_shift, self.y_shift, self.offset_shift), "a power", (0, 54))
        require_values(self.shift, "shift", (0, 54))
        most = abs(self.offset) << self.offset_shift
        for multiplier, power in (
            (self.x_multiplier, self.x_shift),
            (self.y_multiplier, self.y_shift),
        ):
            most += 256 * abs(multiplier) << power
        if most >= _MOST:
            raise ModelError(
                "the sum of two products can leave 62 bits",
                remedy="give both tensors scales closer to the output's",
            )
        return self.lo, self.hi

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        fields = (
            *("lo", "hi", "moved", "x_multiplier", "x_shift", "y_multiplier", "y_shift"),
            *("offset", "offset_shift", "shift"),
        )
        elements = math.prod(types[0].shape)
        return {"elements": elements, **{name: getattr(self, name) for name in fields}}
