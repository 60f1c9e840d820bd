"""Sums of products of samples: a filter that decimates, and a transform of each row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.ops.signal_types import require_format, require_shape, require_table
from tinyq.graph.proofs import require_values
from tinyq.numerics.formats import Codes
from tinyq.numerics.signals import finish_products

_MOST_PRODUCTS = 2**16


@dataclass(frozen=True, slots=True)
class DecimatingFilter(Op):
    """A filter of finite response, computed for every ``step``-th sample alone.

        y[t] = clip((sum_k x[t * step + k] * w[k] + half) >> shift, -2**15, 2**15 - 1)

    Operands: x s16 (..., n), w s16 (taps), constant. Output: s16 (..., (n - taps) // step + 1).

    Attributes:
        step: From one output to the next, from 1 on.
        shift: Fraction bits of the weights, 0 .. 47; half is 2**(shift - 1), 0 without a shift.

    Twin: tq_filter_s16 in templates/runtime/tq_signal.h.
    """

    step: int
    shift: int

    kernel: ClassVar[str] = "decimatingfilter"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s16",),)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x, weights = types
        require_format(x, "s16", "a signal")
        require_shape(weights, "s16", weights.shape[:1], "a filter")
        if not weights.shape or not weights.shape[0] <= x.shape[-1] or self.step < 1:
            raise ModelError(f"a filter {weights} every {self.step:,} samples does not fit {x}")
        count = (x.shape[-1] - weights.shape[0]) // self.step + 1
        return TensorType((*x.shape[:-1], count), x.format, x.scale)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, weights = (code.astype(np.int64) for code in codes)
        every = np.lib.stride_tricks.sliding_window_view(x, len(weights), axis=-1)
        return finish_products(every[..., :: self.step, :] @ weights, self.shift)

    def prove(self, *operands: Operand) -> Span | None:
        """Check shift and weights."""
        _prove_products(operands[1], self.shift)
        return None

    def macs(self, *types: TensorType) -> int:
        """Products."""
        x, weights = types
        return x.rows * ((x.shape[-1] - weights.shape[0]) // self.step + 1) * weights.shape[0]

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x, weights = types
        return {
            "rows": x.rows,
            "samples": x.shape[-1],
            "outputs": (x.shape[-1] - weights.shape[0]) // self.step + 1,
            "taps": weights.shape[0],
            "step": self.step,
            "shift": self.shift,
        }


@dataclass(frozen=True, slots=True)
class LinearTransform(Op):
    """A matrix of int16 times each row, such as a cosine transform.

        y[r, m] = clip((sum_k x[r, k] * w[m, k] + half) >> shift, -2**15, 2**15 - 1)

    Operands: x s16 (..., n), w s16 (outputs, n), constant. Output: s16 (..., outputs).

    Attributes:
        shift: Fraction bits of the weights, 0 .. 47; half is 2**(shift - 1), 0 without a shift.

    Twin: tq_filter_s16 in templates/runtime/tq_signal.h.
    """

    shift: int

    kernel: ClassVar[str] = "lineartransform"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s16",),)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x, weights = types
        require_format(x, "s16", "a row")
        require_shape(weights, "s16", (*weights.shape[:1], *x.shape[-1:]), "a matrix")
        return TensorType((*x.shape[:-1], weights.shape[0]), x.format, x.scale)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, weights = (code.astype(np.int64) for code in codes)
        return finish_products(x @ weights.T, self.shift)

    def prove(self, *operands: Operand) -> Span | None:
        """Check shift and weights."""
        _prove_products(operands[1], self.shift)
        return None

    def macs(self, *types: TensorType) -> int:
        """Products."""
        return types[0].rows * math.prod(types[1].shape)

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x, weights = types
        return {
            "rows": x.rows,
            "length": x.shape[-1],
            "outputs": weights.shape[0],
            "shift": self.shift,
        }


def _prove_products(weights: Operand, shift: int) -> None:
    """2**16 products of int16 and half of a shift are below 2**47, so a sum is of 64 bits.

    A product of two -32768 is 2**30, an int32.
    """
    require_values(shift, "shift", (0, 47))
    require_table(weights, "a weight", -(2**15), 2**15 - 1)
    require_values(weights.type.shape[-1], "the number of products", (1, _MOST_PRODUCTS))
