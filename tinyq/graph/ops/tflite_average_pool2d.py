"""Mean of each window with TFLite's rounding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.ops.window import Window
from tinyq.graph.proofs import INT32, require_values
from tinyq.numerics import fixed_point
from tinyq.numerics.formats import Codes


@dataclass(frozen=True, slots=True)
class TfliteAveragePool2D(Op):
    """Mean of the codes inside the image, half rounded away from code 0.

        y[r, c, k] = clip(divide_away(sum, count), lo, hi)

    ``count`` is how many taps of the window lie inside the image.
    Operands: x (height, width, channels).

    Attributes:
        window: Pool size, stride, padding.
        lo: Smallest output code.
        hi: Largest output code.

    Twin: templates/kernels/generic/pool2d.c.j2 with tinyq.kernels.generic.pools.POOLS.
    """

    window: Window
    lo: int
    hi: int

    kernel: ClassVar[str] = "tfliteaveragepool2d"

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        (x,) = types
        if not x.format.lo <= self.lo <= self.hi <= x.format.hi:
            raise ModelError(f"clip range {self.lo} .. {self.hi} leaves format {x.format.name}")
        shape = (*self.window.output_size(x.shape), x.shape[2])
        return TensorType(shape, x.format, x.scale, x.zero_point)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        (x,) = codes
        total = self.window.patches(x.astype(np.int64), 0).sum(axis=(3, 4))
        count = self.window.patches(np.ones_like(x[:1], np.int64), 0).sum(axis=(3, 4))
        mean = fixed_point.divide_away(total, count)
        return np.clip(mean, self.lo, self.hi).astype(np.int32)

    def prove(self, *operands: Operand) -> Span:
        """Check that every sum stays in its integers."""
        (x,) = operands
        taps = self.window.size[0] * self.window.size[1]
        most = max(abs(x.lo), abs(x.hi)) * taps + taps
        require_values(most, "the sum of a window and its taps", (0, INT32[1]))
        self.window.require_taps(x.type.shape)
        return self.lo, self.hi

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        return {**self.window.geometry(types[0].shape), "lo": self.lo, "hi": self.hi}
