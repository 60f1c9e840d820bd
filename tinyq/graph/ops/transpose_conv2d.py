"""Two-dimensional transposed convolution."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Operand, Shape, TensorType
from tinyq.graph.accumulating import Accumulating, require_zero
from tinyq.graph.ops.window import Window, centered
from tinyq.graph.proofs import Bounds, products
from tinyq.numerics.formats import Codes


@dataclass(frozen=True, slots=True)
class TransposeConv2D(Accumulating):
    """Every input pixel adds its weighted kernel to the output.

        acc[r*s + i - p, c*s + j - p, o] += sum_k w[o, i, j, k] * (x[r, c, k] - x_zero)

    What falls outside of the output is dropped.
    Operands: x (height, width, in_channels), w (out_channels, kernel_h, kernel_w, in_channels).

    Attributes:
        window: The window of the convolution that this one transposes: it maps an image of
            ``size`` to the input's height and width. No dilation.
        size: Height and width of the output.
        x_zero: Zero point of the input.

    Twin: tq_transposeconv2d in templates/kernels/generic/transposeconv2d.c.j2.
    """

    window: Window
    size: tuple[int, int]
    x_zero: int = 0

    kernel: ClassVar[str] = "transposeconv2d"
    keyed: ClassVar[tuple[int, ...]] = (0, 1)
    operands: ClassVar[int] = 2

    def accumulator_shape(self, *types: TensorType) -> Shape:
        """Shape of the accumulators."""
        x, w = types
        require_zero(x, self.x_zero)
        if len(w.shape) != 4 or len(x.shape) != 3 or w.shape[1:] != (*self.window.size, x.shape[2]):
            raise ModelError(f"weights {w} do not fit an input {x}")
        if self.window.dilation != (1, 1):
            raise ModelError("a transposed convolution takes no dilation")
        shape = (*self.size, w.shape[0])
        if min(self.size) < 1 or self.window.output_size(shape) != x.shape[:2]:
            raise ModelError(f"a transposed convolution of {x} does not give {self.size}")
        return shape

    def sums(self, *operands: Operand) -> Bounds:
        """What the accumulators can be."""
        x, w = operands
        return products(x, self.x_zero, w, 0)

    def accumulate(self, *codes: Codes) -> Codes:
        """Accumulators of a batch."""
        x, w = codes
        top, bottom, left, right = self.window.padding
        rows, columns = self.size[0] + top + bottom, self.size[1] + left + right
        image = centered(x, self.x_zero)
        acc = np.zeros((x.shape[0], rows, columns, w.shape[0]))
        down, across = self.window.stride
        height, width = x.shape[1], x.shape[2]
        for i in range(self.window.size[0]):
            for j in range(self.window.size[1]):
                place = acc[:, i : i + height * down : down, j : j + width * across : across]
                place += (image @ w[:, i, j].astype(np.float64).T)[
                    :, : place.shape[1], : place.shape[2]
                ]
        inside = acc[:, top : top + self.size[0], left : left + self.size[1]]
        return self.output.check_range(inside, self.kernel)

    def macs(self, *types: TensorType) -> int:
        """Multiply-accumulates, what falls outside counted."""
        x, w = types[:2]
        return x.shape[0] * x.shape[1] * math.prod(w.shape)

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x, w = types[:2]
        return {
            "in_height": x.shape[0],
            "in_width": x.shape[1],
            "in_channels": x.shape[2],
            "out_height": self.size[0],
            "out_width": self.size[1],
            "out_channels": w.shape[0],
            "kernel_height": self.window.size[0],
            "kernel_width": self.window.size[1],
            "stride_height": self.window.stride[0],
            "stride_width": self.window.stride[1],
            "pad_top": self.window.padding[0],
            "pad_left": self.window.padding[2],
            "x_zero": self.x_zero,
            **self.output.geometry(),
        }
