"""Rows of a table by computed indices: an embedding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.numerics.formats import Codes


@dataclass(frozen=True, slots=True)
class Gather(Op):
    """Rows of a table chosen by another tensor.

        y[i, k] = x[clip(indices[i], 0, rows - 1), k]

    Operands: x (rows, channels) s8 or s16, indices (count) s32, of any value. Output: (count,
    channels) with the meaning of x.

    Twin: tq_gather in templates/kernels/generic/gather.c.j2.
    """

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
        inside = np.clip(indices, 0, x.shape[1] - 1)
        return np.asarray(np.take_along_axis(x, inside[:, :, None], axis=1), np.int32)

    def prove(self, *operands: Operand) -> Span:
        """Nothing is computed: indices are clipped to the table."""
        return operands[0].lo, operands[0].hi

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x, indices = types
        return {"rows": x.shape[0], "channels": x.shape[1], "count": indices.shape[0]}
