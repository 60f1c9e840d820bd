"""Two-dimensional convolution."""

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
class Conv2D(Accumulating):
    """Convolution over height and width.

        acc[r, c, o] = sum_{i, j, k} w[o, i, j, k] * (x[r*s + i*d - p, c*s + j*d - p, k] - x_zero)

    Taps outside the image add nothing: padding is with real zeros, for binary images too.
    Operands: x (height, width, in_channels), w (out_channels, kernel_h, kernel_w, in_channels).

    Attributes:
        window: Kernel size, stride, dilation, padding.
        x_zero: Zero point of the input.

    Twin: tq_conv2d in templates/kernels/generic/conv2d.c.j2.
    """

    window: Window
    x_zero: int = 0

    kernel: ClassVar[str] = "conv2d"
    keyed: ClassVar[tuple[int, ...]] = (0, 1)
    operands: ClassVar[int] = 2

    def accumulator_shape(self, *types: TensorType) -> Shape:
        """Shape of the accumulators."""
        x, w = types
        require_zero(x, self.x_zero)
        require_axis(w, 0)
        height, width = self.window.output_size(x.shape)
        if len(w.shape) != 4 or w.shape[1:] != (*self.window.size, x.shape[2]):
            raise ModelError(
                f"weights are {w.shape}, expected "
                f"(out_channels, {self.window.size[0]}, {self.window.size[1]}, {x.shape[2]})"
            )
        return (height, width, w.shape[0])

    def sums(self, *operands: Operand) -> Bounds:
        """What the accumulators can be."""
        x, w = operands
        return products(x, self.x_zero, w, 0)

    def accumulate(self, *codes: Codes) -> Codes:
        """Accumulators of a batch."""
        x, w = codes
        patches = self.window.patches(centered(x, self.x_zero), 0)
        columns = patches.reshape(*patches.shape[:3], -1)
        acc = columns @ w.reshape(w.shape[0], -1).astype(np.float64).T
        return self.output.check_range(acc, self.kernel)

    def macs(self, *types: TensorType) -> int:
        """Multiply-accumulates, padding counted."""
        height, width, _ = self.accumulator_shape(*types[:2])
        return height * width * math.prod(types[1].shape)

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        return {
            **self.window.geometry(types[0].shape),
            "out_channels": types[1].shape[0],
            "x_zero": self.x_zero,
            **self.output.geometry(),
        }
