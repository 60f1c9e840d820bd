"""Mean of each window, in the format and scale of the input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.ops.window import Window
from tinyq.graph.proofs import elements, require_sums, require_values
from tinyq.numerics import rounding
from tinyq.numerics.formats import Codes

_MOST = 2**29 - 1  # twice a sum and a count fit int32


@dataclass(frozen=True, slots=True)
class AveragePool2D(Op):
    """Mean of the codes inside the image, half rounded up.

        y[r, c, k] = floor((2 * sum + count) / (2 * count))

    ``count`` is how many taps of the window lie inside the image, as Keras counts.
    Operands: x (height, width, channels).

    Attributes:
        window: Pool size, stride, padding.

    Twin: templates/kernels/generic/pool2d.c.j2 with tinyq.kernels.generic.pools.POOLS.
    """

    window: Window

    kernel: ClassVar[str] = "averagepool2d"

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        (x,) = types
        if x.format.step == 2:
            raise ModelError(
                f"the mean of {x} is not binary",
                remedy="pool before the sign, or use max pooling",
            )
        self.window.require_taps(x.shape)
        shape = (*self.window.output_size(x.shape), x.shape[2])
        return TensorType(shape, x.format, x.scale, x.zero_point)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        (x,) = codes
        total = self.window.patches(x.astype(np.int64), 0).sum(axis=(3, 4))
        count = self.window.patches(np.ones_like(x[:1], np.int64), 0).sum(axis=(3, 4))
        return rounding.divide_half_up(total, count).astype(np.int32)

    def prove(self, *operands: Operand) -> Span:
        """Check that every sum stays in its integers."""
        taps = self.window.size[0] * self.window.size[1]
        require_values(taps, "the number of taps", (1, _MOST))
        require_sums(elements(operands[0]).scaled(taps), "the sum of a window", -_MOST, _MOST)
        return operands[0].lo, operands[0].hi

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        return self.window.geometry(types[0].shape)
