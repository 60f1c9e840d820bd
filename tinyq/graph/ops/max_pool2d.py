"""Largest value of each window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.ops.window import Window
from tinyq.numerics.formats import Codes


@dataclass(frozen=True, slots=True)
class MaxPool2D(Op):
    """Largest code of each channel in each window; padding never wins.

        y[r, c, k] = max_{i, j inside the image} x[r*s + i - p, c*s + j - p, k]

    Operands: x (height, width, channels).

    Attributes:
        window: Pool size, stride, padding.

    Twin: templates/kernels/generic/pool2d.c.j2 with tinyq.kernels.generic.pools.POOLS.
    """

    window: Window

    kernel: ClassVar[str] = "maxpool2d"

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        (x,) = types
        self.window.require_taps(x.shape)
        shape = (*self.window.output_size(x.shape), x.shape[2])
        return TensorType(shape, x.format, x.scale, x.zero_point)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        patches = self.window.patches(codes[0], int(np.iinfo(np.int32).min))
        return np.asarray(patches.max(axis=(3, 4)), np.int32)

    def prove(self, *operands: Operand) -> Span:
        """Nothing is computed: codes are compared or moved, and ``infer`` has checked where."""
        return operands[0].lo, operands[0].hi

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        return self.window.geometry(types[0].shape)
