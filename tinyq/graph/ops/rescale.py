"""Element-wise change of scale, format or sign: activation, BatchNorm alone, requantization."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Operand, Shape, TensorType
from tinyq.graph.accumulating import Accumulating, require_zero
from tinyq.graph.epilogues import narrow
from tinyq.graph.proofs import Bounds, elements
from tinyq.numerics.formats import Codes


@dataclass(frozen=True, slots=True)
class Rescale(Accumulating):
    """Pass every element through an epilogue.

        acc = (x - x_zero) * 2**left_shift

    The left shift gives the epilogue's integer bias a finer step where one code is coarse.
    Operands: x (..., channels).

    Attributes:
        x_zero: Zero point of the input.
        left_shift: 0 .. 20.

    Twin: templates/kernels/generic/terms.c.j2 with tinyq.kernels.generic.terms.TERMS.
    """

    x_zero: int = 0
    left_shift: int = 0

    kernel: ClassVar[str] = "rescale"
    operands: ClassVar[int] = 1
    in_place: ClassVar[tuple[int, ...]] = (0,)

    def accumulator_shape(self, *types: TensorType) -> Shape:
        """Shape of the accumulators."""
        require_zero(types[0], self.x_zero)
        if not 0 <= self.left_shift <= 20:
            raise ModelError(f"left shift {self.left_shift} is not in 0 .. 20")
        return types[0].shape

    def sums(self, *operands: Operand) -> Bounds:
        """What the accumulators can be."""
        (x,) = operands
        return elements(x, self.x_zero).scaled(1 << self.left_shift)

    def accumulate(self, *codes: Codes) -> Codes:
        """Accumulators of a batch."""
        return narrow((codes[0].astype(np.int64) - self.x_zero) << self.left_shift, self.kernel)

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x = types[0]
        return {
            "rows": x.rows,
            "channels": x.shape[-1],
            "x_zero": self.x_zero,
            "x_factor": 1 << self.left_shift,
            **self.output.geometry(),
        }
