"""Larger or smaller of two tensors, code by code."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.proofs import require_values
from tinyq.numerics.formats import Codes


@dataclass(frozen=True, slots=True)
class Extremum(Op):
    """Larger or smaller code of two tensors of one meaning.

        y = max(x, y)  or  min(x, y)

    Operands: x, y (..., channels), of one shape, format, scale and zero point; s8, s16 or s32.

    Attributes:
        largest: 1 for the larger code, 0 for the smaller one.

    Twin: templates/kernels/generic/elements.c.j2 with tinyq.kernels.generic.elements.ELEMENTS.
    """

    largest: int

    kernel: ClassVar[str] = "extremum"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s8", "s8"), ("s16", "s16"), ("s32", "s32"))
    batched: ClassVar[tuple[int, ...]] = (0, 1)
    keyed: ClassVar[tuple[int, ...]] = (0, 1)
    in_place: ClassVar[tuple[int, ...]] = (0, 1)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x, y = types
        if x != y or (x.format.name,) * 2 not in self.formats:
            raise ModelError(
                f"cannot compare {x} (scale {x.scale}, zero point {x.zero_point}) and "
                f"{y} (scale {y.scale}, zero point {y.zero_point})",
                remedy="bring both to one shape, scale and format first",
            )
        return x

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        return np.asarray((np.maximum if self.largest else np.minimum)(*codes), np.int32)

    def prove(self, *operands: Operand) -> Span:
        """Check the attribute; codes are compared alone."""
        require_values(self.largest, "largest", (0, 1))
        choose = max if self.largest else min
        return choose(*(one.lo for one in operands)), choose(*(one.hi for one in operands))

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        elements = math.prod(types[0].shape)
        return {"elements": elements, "largest": self.largest}
