"""The newest columns of a sequence: the oldest go, new ones come behind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.numerics.formats import Codes


@dataclass(frozen=True, slots=True)
class Append(Op):
    """Columns move to the front along an axis, and new ones fill the end.

        y[.., t, ..] = x[.., t + N, ..] if t + N < T else new[.., t + N - T, ..]

    Operands: x (.., T, ..), new (.., N, ..) of the same type otherwise, N <= T. Where x is a state
    and y its next value, both are one buffer, and columns move in place.

    Attributes:
        axis: Axis of the columns, 0 .. rank - 1. Codes of less than a byte have no address of
            their own, so their last axis has no columns.

    Twin: tq_append in templates/kernels/generic/append.c.j2.
    """

    axis: int

    kernel: ClassVar[str] = "append"
    batched: ClassVar[tuple[int, ...]] = (0, 1)
    in_place: ClassVar[tuple[int, ...]] = (0,)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        kept, new = types
        if not 0 <= self.axis < len(kept.shape) or len(new.shape) != len(kept.shape):
            raise ModelError(f"{kept} and {new} have no columns along axis {self.axis}")
        meaning = [
            (t.shape[: self.axis], t.shape[self.axis + 1 :], t.format, t.scale, t.zero_point)
            for t in types
        ]
        if meaning[0] != meaning[1] or new.shape[self.axis] > kept.shape[self.axis]:
            raise ModelError(
                f"cannot append {new} (scale {new.scale}, zero point {new.zero_point}) to {kept} "
                f"(scale {kept.scale}, zero point {kept.zero_point}) along axis {self.axis}",
                remedy="bring both to one scale and format, with no more new columns than old",
            )
        if self.axis == len(kept.shape) - 1 and kept.format.bits % 8:
            raise ModelError(
                f"codes of {kept.format.name} have no address of their own",
                remedy="use another axis than the last",
            )
        return kept

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, new = codes
        count = new.shape[self.axis + 1]
        kept = np.delete(x, slice(count), axis=self.axis + 1)
        return np.concatenate([kept, new], axis=self.axis + 1, dtype=np.int32)

    def prove(self, *operands: Operand) -> Span:
        """Nothing is computed: codes are compared or moved, and ``infer`` has checked where."""
        lows, highs = zip(*((part.lo, part.hi) for part in operands), strict=True)
        return min(lows), max(highs)

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs: words, elements of the C arrays, of each line."""
        kept, new = types
        lines = math.prod(kept.shape[: self.axis])
        return {
            "lines": lines,
            "new_words": new.words // lines,
            "kept_words": (kept.words - new.words) // lines,
        }
