"""The same values under another shape."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Shape, Span, TensorType
from tinyq.numerics.formats import Codes


@dataclass(frozen=True, slots=True)
class Reshape(Op):
    """Row-major reshape; flatten is the case of one axis.

    Costs nothing where both shapes have one byte image; else rows are packed anew.

    Attributes:
        shape: Output shape, all sizes given.

    Twin: tq_reshape in templates/kernels/generic/reshape.c.j2.
    """

    shape: Shape

    kernel: ClassVar[str] = "reshape"

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        (x,) = types
        if math.prod(x.shape) != math.prod(self.shape):
            raise ModelError(f"cannot reshape {x.shape} to {self.shape}: the sizes differ")
        return TensorType(self.shape, x.format, x.scale, x.zero_point)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        return codes[0].reshape(codes[0].shape[0], *self.shape)

    def aliases(self, *types: TensorType) -> bool:
        """Whether rows are whole words on both sides, or the rows are the same."""
        (x,) = types
        inner = (x.shape[-1], self.shape[-1])
        return inner[0] == inner[1] or not any(length % x.format.codes_per_word for length in inner)

    def prove(self, *operands: Operand) -> Span:
        """Nothing is computed: codes are compared or moved, and ``infer`` has checked where."""
        return operands[0].lo, operands[0].hi

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        return {
            "elements": math.prod(self.shape),
            "in_channels": types[0].shape[-1],
            "out_channels": self.shape[-1],
        }
