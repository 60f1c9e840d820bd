"""Tensors side by side along the channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.numerics.formats import Codes


@dataclass(frozen=True, slots=True)
class Concatenate(Op):
    """Join two tensors of one format, scale and zero point along the last axis.

        y[.., k] = a[.., k] if k < A else b[.., k - A]

    More than two are joined pair by pair. Operands: a (..., A), b (..., B).

    Twin: tq_concatenate in templates/kernels/generic/concatenate.c.j2.
    """

    kernel: ClassVar[str] = "concatenate"
    batched: ClassVar[tuple[int, ...]] = (0, 1)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        first, second = types
        meaning = [(t.shape[:-1], t.format.name, t.scale, t.zero_point) for t in types]
        if meaning[0] != meaning[1]:
            raise ModelError(
                f"cannot join {first} (scale {first.scale}, zero point {first.zero_point}) and "
                f"{second} (scale {second.scale}, zero point {second.zero_point})",
                remedy="bring both to one scale and format first",
            )
        shape = (*first.shape[:-1], first.shape[-1] + second.shape[-1])
        return TensorType(shape, first.format, first.scale, first.zero_point)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        return np.concatenate(codes, axis=-1)

    def prove(self, *operands: Operand) -> Span:
        """Nothing is computed: codes are compared or moved, and ``infer`` has checked where."""
        lows, highs = zip(*((part.lo, part.hi) for part in operands), strict=True)
        return min(lows), max(highs)

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        return {
            "rows": types[0].rows,
            "first_channels": types[0].shape[-1],
            "second_channels": types[1].shape[-1],
        }
