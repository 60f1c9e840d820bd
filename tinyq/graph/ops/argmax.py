"""Index of the largest value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.numerics.formats import Codes, find_format


@dataclass(frozen=True, slots=True)
class Argmax(Op):
    """Index of the largest code along the last axis; the first of equals.

    Operands: x (..., channels). Output: s32 (..., 1).

    Twin: tq_argmax in templates/kernels/generic/argmax.c.j2.
    """

    kernel: ClassVar[str] = "argmax"

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        return TensorType((*types[0].shape[:-1], 1), find_format("s32"))

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        return np.asarray(np.argmax(codes[0], axis=-1, keepdims=True), np.int32)

    def prove(self, *operands: Operand) -> Span:
        """Nothing is computed: codes are compared or moved, and ``infer`` has checked where."""
        return 0, operands[0].type.shape[-1] - 1

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x = types[0]
        return {
            "rows": x.rows,
            "channels": x.shape[-1],
        }
