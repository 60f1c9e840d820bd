"""Depthwise convolution: every channel has its own kernels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Operand, Shape, TensorType
from tinyq.graph.accumulating import Accumulating, require_axis, require_zero
from tinyq.graph.ops.window import Window, centered
from tinyq.graph.proofs import Bounds, products
from tinyq.numerics.formats import Codes


@dataclass(frozen=True, slots=True)
class DepthwiseConv2D(Accumulating):
    """Convolution of each channel on its own.

        acc[r, c, k*m + q] =
            sum_{i, j} w[i, j, k*m + q] * (x[r*s + i*d - p, c*s + j*d - p, k] - x_zero)

    m, the depth multiplier, is how many outputs each input channel has.
    Operands: x (height, width, in_channels), w (kernel_h, kernel_w, in_channels * m).

    Attributes:
        window: Kernel size, stride, dilation, padding.
        x_zero: Zero point of the input.

    Twin: tq_depthwise2d in templates/kernels/generic/depthwise2d.c.j2.
    """

    window: Window
    x_zero: int = 0

    kernel: ClassVar[str] = "depthwise2d"
    keyed: ClassVar[tuple[int, ...]] = (0, 1)
    operands: ClassVar[int] = 2

    def accumulator_shape(self, *types: TensorType) -> Shape:
        """Shape of the accumulators."""
        x, w = types
        require_zero(x, self.x_zero)
        require_axis(w, -1)
        height, width = self.window.output_size(x.shape)
        if len(w.shape) != 3 or w.shape[:2] != self.window.size or w.shape[2] % x.shape[2]:
            raise ModelError(
                f"weights are {w.shape}, expected ({self.window.size[0]}, "
                f"{self.window.size[1]}, a multiple of {x.shape[2]})"
            )
        return (height, width, w.shape[2])

    def sums(self, *operands: Operand) -> Bounds:
        """What the accumulators can be."""
        x, w = operands
        return products(x, self.x_zero, w, -1)

    def accumulate(self, *codes: Codes) -> Codes:
        """Accumulators of a batch."""
        x, w = codes
        channels = x.shape[3]
        patches = self.window.patches(centered(x, self.x_zero), 0)
        kernels = w.reshape(*w.shape[:2], channels, -1).astype(np.float64)
        acc = np.einsum("nrcijk,ijkq->nrckq", patches, kernels)
        return self.output.check_range(acc.reshape(*acc.shape[:3], -1), self.kernel)

    def macs(self, *types: TensorType) -> int:
        """Multiply-accumulates, padding counted."""
        height, width, _ = self.accumulator_shape(*types[:2])
        return height * width * math.prod(types[1].shape)

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        return {
            **self.window.geometry(types[0].shape),
            "multiplicity": types[1].shape[2] // types[0].shape[2],
            "out_channels": types[1].shape[2],
            "x_zero": self.x_zero,
            **self.output.geometry(),
        }
