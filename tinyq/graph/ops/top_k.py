"""The largest values of a row, and their indices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.numerics.formats import Codes, find_format

MAX_COUNT = 1 << 12


@dataclass(frozen=True, slots=True)
class TopValues(Op):
    """The ``count`` largest codes along the last axis, largest first.

    Operands: x (..., channels) s8 or s16. Output: (..., count), with the meaning of x.

    Attributes:
        count: How many, 1 .. channels.

    Twin: tq_topk in templates/kernels/generic/topk.c.j2.
    """

    count: int

    kernel: ClassVar[str] = "topvalues"

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x = types[0]
        if not 1 <= self.count <= min(x.shape[-1], MAX_COUNT) or x.format.name not in ("s8", "s16"):
            raise ModelError(f"cannot take the largest {self.count} of {x}")
        return TensorType((*x.shape[:-1], self.count), x.format, x.scale, x.zero_point)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        return np.asarray(np.take_along_axis(codes[0], self.order(codes[0]), axis=-1), np.int32)

    def order(self, codes: Codes) -> Codes:
        """Indices of the largest codes; of equals the first comes first."""
        falling = np.argsort(-codes.astype(np.int64), axis=-1, kind="stable")
        return np.asarray(falling[..., : self.count], np.int32)

    def prove(self, *operands: Operand) -> Span:
        """Nothing is computed: codes are compared alone."""
        return operands[0].lo, operands[0].hi

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x = types[0]
        return {"rows": x.rows, "channels": x.shape[-1], "count": self.count}


@dataclass(frozen=True, slots=True)
class TopIndices(TopValues):
    """The indices of the ``count`` largest codes along the last axis; of equals the first.

    Operands: x (..., channels) s8 or s16. Output: s32 (..., count).

    Twin: tq_topk in templates/kernels/generic/topk.c.j2.
    """

    kernel: ClassVar[str] = "topindices"

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        return TensorType(TopValues.infer(self, *types).shape, find_format("s32"))

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        return self.order(codes[0])

    def prove(self, *operands: Operand) -> Span:
        """Nothing is computed: codes are compared alone."""
        return 0, operands[0].type.shape[-1] - 1
