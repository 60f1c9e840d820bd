"""A border around an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.numerics.formats import Codes


@dataclass(frozen=True, slots=True)
class Pad2D(Op):
    """Surround an image with a constant code.

        y[r, c, k] = x[r - top, c - left, k] inside the image, else value

    Operands: x (height, width, channels).

    Attributes:
        padding: Rows and columns at top, bottom, left, right, at least 0.
        value: A code of the input's format; the zero point pads with real zeros.

    Twin: tq_pad2d in templates/kernels/generic/pad2d.c.j2.
    """

    padding: tuple[int, int, int, int]
    value: int

    kernel: ClassVar[str] = "pad2d"

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        (x,) = types
        if len(x.shape) != 3 or min(self.padding) < 0:
            raise ModelError(f"cannot pad {x} by {self.padding}")
        if not x.format.contains(np.asarray([self.value])):
            raise ModelError(
                f"{self.value} is no code of format {x.format.name}, so it cannot be the padding",
                remedy="pad inside the convolution, or before the sign: binary has no zero",
            )
        top, bottom, left, right = self.padding
        shape = (x.shape[0] + top + bottom, x.shape[1] + left + right, x.shape[2])
        return TensorType(shape, x.format, x.scale, x.zero_point)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        top, bottom, left, right = self.padding
        border = ((0, 0), (top, bottom), (left, right), (0, 0))
        return np.pad(codes[0], border, constant_values=self.value)

    def prove(self, *operands: Operand) -> Span:
        """Nothing is computed: codes are compared or moved, and ``infer`` has checked where."""
        (x,) = operands
        return min(x.lo, self.value), max(x.hi, self.value)

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        (x,) = types
        return {
            "in_height": x.shape[0],
            "in_width": x.shape[1],
            "channels": x.shape[2],
            "pad_top": self.padding[0],
            "pad_bottom": self.padding[1],
            "pad_left": self.padding[2],
            "pad_right": self.padding[3],
            "value": self.value,
        }
