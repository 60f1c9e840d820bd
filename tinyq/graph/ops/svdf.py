"""One step of an SVDF layer: a fully connected layer of low rank with a memory of earlier steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Operand, Shape, TensorType
from tinyq.graph.accumulating import Accumulating, require_zero
from tinyq.graph.epilogues import narrow
from tinyq.graph.proofs import (
    EXPONENTS,
    MANTISSAS,
    Bounds,
    products,
    require_constant,
    require_sums,
    require_values,
)
from tinyq.numerics import fixed_point
from tinyq.numerics.formats import Codes


@dataclass(frozen=True, slots=True)
class Svdf(Accumulating):
    """First step of an SVDF layer, its memory being zero.

        feature[f] = clip(scale_twice(sum_k w[f, k] * (x[k] - x_zero), multiplier, exponent),
                          -2**15, 2**15 - 1)
        acc[u] = sum_{r < rank} time[u * rank + r] * feature[u * rank + r]

    Operands: x s8 (..., inputs), w s8 (filters, inputs), time s16 (filters): the weights of the
    newest step, the only one that is not zero.

    Attributes:
        rank: Filters per unit.
        multiplier: Mantissa of the features' scale, 0 .. 2**31 - 1.
        exponent: -31 .. 30.
        x_zero: Zero point of the input.

    Twin: tq_svdf in templates/kernels/generic/svdf.c.j2.
    Reference: Nakkiran et al. 2015, Compressing deep neural networks using a rank-constrained
    topology, Interspeech.
    """

    rank: int
    multiplier: int
    exponent: int
    x_zero: int = 0

    kernel: ClassVar[str] = "svdf"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s8", "s8"),)
    keyed: ClassVar[tuple[int, ...]] = (0, 1)
    operands: ClassVar[int] = 3

    def accumulator_shape(self, *types: TensorType) -> Shape:
        """Shape of the accumulators."""
        x, w, time = types
        require_zero(x, self.x_zero)
        if len(w.shape) != 2 or w.shape[1] != x.shape[-1]:
            raise ModelError(f"weights are {w.shape}, expected (filters, {x.shape[-1]})")
        if time.shape != w.shape[:1] or time.format.name != "s16":
            raise ModelError(f"weights over time are {time}, expected s16[{w.shape[0]}]")
        if self.rank < 1 or w.shape[0] % self.rank:
            raise ModelError(f"{w.shape[0]} filters are no multiple of the rank {self.rank}")
        return (*x.shape[:-1], w.shape[0] // self.rank)

    def sums(self, *operands: Operand) -> Bounds:
        """What the accumulators can be."""
        x, w, time = operands
        require_values(self.multiplier, "multiplier", MANTISSAS)
        require_values(self.exponent, "exponent", EXPONENTS)
        require_sums(products(x, self.x_zero, w, 0), "the sum of a feature")
        codes = require_constant(time, "weights over time")
        reach = np.abs(codes.astype(np.int64)).reshape(-1, self.rank).sum(axis=1) << 15
        return Bounds(-reach, reach)

    def accumulate(self, *codes: Codes) -> Codes:
        """Accumulators of a batch."""
        x, w, time = (code.astype(np.int64) for code in codes)
        products = narrow((x - self.x_zero) @ w.T, self.kernel).astype(np.int64)
        scaled = fixed_point.scale_twice(products, self.multiplier, self.exponent)
        feature = np.clip(scaled, -(2**15), 2**15 - 1) * time
        grouped = feature.reshape(*feature.shape[:-1], -1, self.rank)
        return narrow(grouped.sum(axis=-1), self.kernel)

    def macs(self, *types: TensorType) -> int:
        """Multiply-accumulates."""
        filters, inputs = types[1].shape
        return math.prod(types[0].shape[:-1]) * filters * (inputs + 1)

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        filters, inputs = types[1].shape
        return {
            "rows": types[0].rows,
            "in_channels": inputs,
            "units": filters // self.rank,
            "rank": self.rank,
            "multiplier": self.multiplier,
            "exponent": self.exponent,
            "x_zero": self.x_zero,
            **self.output.geometry(),
        }
