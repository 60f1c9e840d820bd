"""Rows of a table by computed indices: an embedding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.proofs import require_values
from tinyq.numerics.formats import Codes


@dataclass(frozen=True, slots=True)
class Gather(Op):
    """Rows of a table chosen by another tensor.

        y[i, k] = x[clip(index, 0, rows - 1), k]
        index = indices[i] + rows where it is negative and wraps is 1, else indices[i]

    Operands: x (rows, channels) s8 or s16, indices (count) s32, of any value. Output: (count,
    channels) with the meaning of x.

    Attributes:
        wraps: 1 where negative indices count from the end.

    Twin: tq_gather in templates/kernels/generic/gather.c.j2.
    """

    wraps: int = 0

    kernel: ClassVar[str] = "gather"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s8", "s32"), ("s16", "s32"))
    batched: ClassVar[tuple[int, ...]] = (0, 1)
    keyed: ClassVar[tuple[int, ...]] = (0, 1)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x, indices = types
        fits = len(x.shape) == 2 and len(indices.shape) == 1
        if not fits or x.format.name not in ("s8", "s16") or indices.format.name != "s32":
            raise ModelError(f"cannot choose rows of {x} by {indices}")
        return TensorType((indices.shape[0], x.shape[1]), x.format, x.scale, x.zero_point)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, indices = codes
        rows = x.shape[1]
        wrapped = indices.astype(np.int64) + np.where(indices < 0, rows * self.wraps, 0)
        inside = np.clip(wrapped, 0, rows - 1)
        return np.asarray(np.take_along_axis(x, inside[:, :, None], axis=1), np.int32)

    def prove(self, *operands: Operand) -> Span:
        """Indices are clipped to the table."""
        require_values(self.wraps, "wraps", (0, 1))
        return operands[0].lo, operands[0].hi

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x, indices = types
        return {
            "rows": x.shape[0],
            "channels": x.shape[1],
            "count": indices.shape[0],
            "wraps": self.wraps,
        }
