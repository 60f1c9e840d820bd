"""Rows scaled to length 1, as TFLite does it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.foreign import ForeignOperator, imports
from tinyq.graph.proofs import elements, multiplied, require_sums
from tinyq.numerics import fixed_point
from tinyq.numerics.formats import Codes, find_format

MAX_CHANNELS = 1 << 15  # whose squares stay within int32


@dataclass(frozen=True, slots=True)
class TfliteL2Norm(Op):
    """Each row over its Euclidean length.

        m, n = inverse_square_root(sum_k (x_k - x_zero)**2)
        y_k = clip(scale_twice(x_k - x_zero, m, n + 7), -128, 127)

    Operands: x s8 (..., channels). Output: s8, scale 1/128, zero point 0.

    Attributes:
        x_zero: Zero point of x.

    Twin: tq_tflitel2norm in templates/kernels/generic/tflitel2norm.c.j2.
    """

    x_zero: int

    kernel: ClassVar[str] = "tflitel2norm"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s8",),)
    in_place: ClassVar[tuple[int, ...]] = (0,)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        (x,) = types
        if x.format.name != "s8" or x.shape[-1] >= MAX_CHANNELS:
            raise ModelError(f"rows of s8 below {MAX_CHANNELS} codes have a length, not {x}")
        return TensorType(x.shape, find_format("s8"), 1.0 / 128.0, 0)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x = codes[0].astype(np.int64) - self.x_zero
        squares = (x * x).sum(axis=-1)
        found = {
            int(total): fixed_point.inverse_square_root(int(total)) for total in np.unique(squares)
        }
        pairs = np.asarray([found[int(total)] for total in squares.reshape(-1)], np.int64)
        mantissa, exponent = (pairs[:, place].reshape(*squares.shape, 1) for place in (0, 1))
        scaled = fixed_point.scale_twice(x, mantissa, exponent + 7)
        return np.clip(scaled, -128, 127).astype(np.int32)

    def macs(self, *types: TensorType) -> int:
        """Squares."""
        return math.prod(types[0].shape)

    def prove(self, *operands: Operand) -> Span | None:
        """Check that squares stay in their integers."""
        (x,) = operands
        code = elements(x, self.x_zero)
        require_sums(multiplied(code, code).scaled(x.type.shape[-1]), "the sum of squares")
        return None

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        (x,) = types
        return {"rows": x.rows, "channels": x.shape[-1], "x_zero": self.x_zero}


@imports("tflite", "L2_NORMALIZATION")
def import_l2_normalization(operator: ForeignOperator) -> None:
    """Over the last axis, with TFLite's reciprocal square root under both rounding rules."""
    x, y = operator.type_of(operator.source()), operator.type_of(operator.result())
    operator.require(
        y.scale == 1.0 / 128.0 and y.zero_point == 0,
        f"L2 normalization into {operator.result()} with another scale than 1/128",
    )
    operator.require(x.shape[-1] < MAX_CHANNELS, f"rows of {x.shape[-1]} codes are too long")
    operator.require(operator.option("FusedActivationFunction", 0) == 0, "a fused activation")
    operator.finish(operator.apply(TfliteL2Norm(x.zero_point), operator.activation()))
