"""Fully connected layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Operand, Shape, TensorType
from tinyq.graph.accumulating import Accumulating, require_axis, require_zero
from tinyq.graph.ops.window import centered
from tinyq.graph.proofs import Bounds, products
from tinyq.numerics.formats import Codes


@dataclass(frozen=True, slots=True)
class Dense(Accumulating):
    """Matrix product over the last axis.

        acc[.., o] = sum_k w[o, k] * (x[.., k] - x_zero)

    Operands: x (..., in_channels), w (out_channels, in_channels).

    Attributes:
        x_zero: Zero point of the input.

    Twin: tq_dense in templates/kernels/generic/dense.c.j2.
    """

    x_zero: int = 0

    kernel: ClassVar[str] = "dense"
    keyed: ClassVar[tuple[int, ...]] = (0, 1)
    operands: ClassVar[int] = 2

    def accumulator_shape(self, *types: TensorType) -> Shape:
        """Shape of the accumulators."""
        x, w = types
        require_zero(x, self.x_zero)
        require_axis(w, 0)
        if len(w.shape) != 2 or w.shape[1] != x.shape[-1]:
            raise ModelError(f"weights are {w.shape}, expected (out_channels, {x.shape[-1]})")
        return (*x.shape[:-1], w.shape[0])

    def sums(self, *operands: Operand) -> Bounds:
        """What the accumulators can be."""
        x, w = operands
        return products(x, self.x_zero, w, 0)

    def accumulate(self, *codes: Codes) -> Codes:
        """Accumulators of a batch."""
        x, w = codes
        return self.output.check_range(
            centered(x, self.x_zero) @ w.astype(np.float64).T, self.kernel
        )

    def macs(self, *types: TensorType) -> int:
        """Multiply-accumulates."""
        return math.prod(types[0].shape[:-1]) * math.prod(types[1].shape)

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        return {
            "rows": types[0].rows,
            "in_channels": types[0].shape[-1],
            "out_channels": types[1].shape[0],
            "x_zero": self.x_zero,
            **self.output.geometry(),
        }
