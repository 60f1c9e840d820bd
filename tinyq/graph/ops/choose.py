"""One of two tensors, by a code that is computed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.ops.signal_types import require_shape
from tinyq.numerics.formats import Codes


@dataclass(frozen=True, slots=True)
class Choose(Op):
    """The first tensor while a code is positive, else the second.

        y[e] = a[e] if condition > 0 else b[e]

    Operands: a, b of one type, s16 or s32; condition s16 (1).

    Twin: templates/kernels/generic/elements.c.j2 with tinyq.kernels.generic.elements.ELEMENTS.
    """

    kernel: ClassVar[str] = "choose"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s16",), ("s32",))
    batched: ClassVar[tuple[int, ...]] = (0, 1, 2)
    in_place: ClassVar[tuple[int, ...]] = (0, 1)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        one, other, condition = types
        require_shape(condition, "s16", (1,), "a condition")
        if one != other or (one.format.name,) not in self.formats:
            raise ModelError(f"cannot choose between {one} and {other}")
        return one

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        one, other, condition = codes
        positive = condition.reshape(-1, *(1,) * (one.ndim - 1)) > 0
        return np.asarray(np.where(positive, one, other), np.int32)

    def prove(self, *operands: Operand) -> Span:
        """Nothing is computed: codes are compared or moved, and ``infer`` has checked where."""
        one, other = operands[:2]
        return min(one.lo, other.lo), max(one.hi, other.hi)

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        return {"elements": math.prod(types[0].shape)}
