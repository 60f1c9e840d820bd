"""Sum over windows of an image: average pooling whose division rides in the epilogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tinyq.errors import ModelError
from tinyq.graph import Operand, Shape, TensorType
from tinyq.graph.accumulating import Accumulating, require_zero
from tinyq.graph.epilogues import narrow
from tinyq.graph.ops.window import Window, centered
from tinyq.graph.proofs import INT32, Bounds, elements, require_sums, require_values
from tinyq.numerics.formats import Codes


@dataclass(frozen=True, slots=True)
class SumPool2D(Accumulating):
    """Sum of each channel over each window; global average pooling is one window.

        acc[r, c, k] = sum_{i, j} (x[r*s + i, c*s + j, k] - x_zero)

    Windows must lie inside the image, so that all sums have as many terms and the mean's
    division is part of the epilogue's multiplier. Operands: x (height, width, channels).

    Attributes:
        window: Pool size and stride, no padding.
        x_zero: Zero point of the input.

    Twin: tq_sumpool2d in templates/kernels/generic/sumpool2d.c.j2.
    """

    window: Window
    x_zero: int = 0

    kernel: ClassVar[str] = "sumpool2d"
    operands: ClassVar[int] = 1

    def accumulator_shape(self, *types: TensorType) -> Shape:
        """Shape of the accumulators."""
        require_zero(types[0], self.x_zero)
        if self.window.padding != (0, 0, 0, 0):
            raise ModelError("sum pooling takes no padding", remedy="use average pooling")
        return (*self.window.output_size(types[0].shape), types[0].shape[2])

    def sums(self, *operands: Operand) -> Bounds:
        """What the accumulators can be."""
        (x,) = operands
        taps = self.window.size[0] * self.window.size[1]
        require_sums(elements(x).scaled(taps), "the sum of codes")
        require_values(taps * self.x_zero, "the sum of zero points", INT32)
        return elements(x, self.x_zero).scaled(taps)

    def accumulate(self, *codes: Codes) -> Codes:
        """Accumulators of a batch."""
        patches = self.window.patches(centered(codes[0], self.x_zero), 0)
        return narrow(patches.sum(axis=(3, 4)), self.kernel)

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        return {
            **self.window.geometry(types[0].shape),
            "x_zero": self.x_zero,
            **self.output.geometry(),
        }
