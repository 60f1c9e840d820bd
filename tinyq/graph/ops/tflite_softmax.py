"""Softmax with the fixed-point arithmetic of TFLite's reference kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.proofs import MANTISSAS, require_constant, require_values
from tinyq.numerics import fixed_point
from tinyq.numerics.formats import Codes, find_format


@dataclass(frozen=True, slots=True)
class TfliteSoftmax(Op):
    """Softmax over the last axis with a Q0.31 reciprocal of the sum.

        e_i = table[max(x) - x_i]                                     Q0.31
        r, n = reciprocal(sum of divide_by_power(e_i, 12), 12)        Q0.31, shift
        y_i = clip(divide_by_power(multiply_high(r, e_i), n + 23) - 128, -128, 127)

    Operands: x s8 (..., classes), at most 4,095 classes; table s32 (256), see
    ``fixed_point.softmax_exponentials``. Output: s8, scale 1/256, zero point -128.

    Twin: templates/kernels/generic/softmax.c.j2 with tinyq.kernels.generic.softmax.SOFTMAXES.
    """

    kernel: ClassVar[str] = "tflitesoftmax"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s8",),)
    in_place: ClassVar[tuple[int, ...]] = (0,)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x, table = types
        if x.format.name != "s8" or table.shape != (256,) or table.format.name != "s32":
            raise ModelError(f"softmax takes s8 and a table s32[256], not {x} and {table}")
        if x.shape[-1] > 4095:
            raise ModelError(f"softmax over {x.shape[-1]} classes, at most 4,095 are exact")
        return TensorType(x.shape, find_format("s8"), 1.0 / 256.0, -128)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, table = codes
        powers = table[x.max(axis=-1, keepdims=True) - x].astype(np.int64)
        total = fixed_point.divide_by_power(powers, 12).sum(axis=-1, keepdims=True)
        mantissa, bits = fixed_point.reciprocal(total, 12)
        scaled = fixed_point.divide_by_power(fixed_point.multiply_high(powers, mantissa), bits + 23)
        return np.clip(scaled - 128, -128, 127).astype(np.int32)

    def prove(self, *operands: Operand) -> Span | None:
        """Check the table: a sum of powers is at least 1."""
        codes = require_constant(operands[1], "the table")
        require_values(codes, "a power", MANTISSAS)
        require_values(codes[0], "the first power", (MANTISSAS[1], MANTISSAS[1]))
        return None

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x = types[0]
        return {
            "rows": x.rows,
            "channels": x.shape[-1],
        }
