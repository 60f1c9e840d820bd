"""An SVDF layer behind its features: weights over time, times the features of the last steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Operand, Shape, TensorType
from tinyq.graph.accumulating import Accumulating
from tinyq.graph.epilogues import narrow
from tinyq.graph.proofs import Bounds, products, require_constant
from tinyq.numerics.formats import Codes


@dataclass(frozen=True, slots=True)
class SvdfMemory(Accumulating):
    """Sums over the memory of an SVDF layer, whose newest column is that of this step.

        acc[u] = sum_{r < rank} sum_t time[u * rank + r, t] * x[u * rank + r, t]

    Operands: x s16 (filters, steps), time s16 (filters, steps), a constant.

    Attributes:
        rank: Filters per unit.

    Twin: tq_svdfmemory in templates/kernels/generic/svdfmemory.c.j2.
    Reference: Nakkiran et al. 2015, Compressing deep neural networks using a rank-constrained
    topology, Interspeech.
    """

    rank: int

    kernel: ClassVar[str] = "svdfmemory"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s16", "s16"),)
    keyed: ClassVar[tuple[int, ...]] = (0, 1)
    operands: ClassVar[int] = 2

    def accumulator_shape(self, *types: TensorType) -> Shape:
        """Shape of the accumulators."""
        x, time = types
        if len(x.shape) != 2 or x.shape != time.shape or x.zero_point:
            raise ModelError(f"a memory {x} and weights over time {time} do not fit each other")
        if self.rank < 1 or x.shape[0] % self.rank:
            raise ModelError(f"{x.shape[0]} filters are no multiple of the rank {self.rank}")
        return (x.shape[0] // self.rank,)

    def sums(self, *operands: Operand) -> Bounds:
        """What the accumulators can be."""
        x, time = operands
        require_constant(time, "weights over time")
        filters = products(x, 0, time, 0)
        low, high = (it.reshape(-1, self.rank).sum(axis=1) for it in (filters.low, filters.high))
        return Bounds(low, high)

    def accumulate(self, *codes: Codes) -> Codes:
        """Accumulators of a batch."""
        x, time = (code.astype(np.int64) for code in codes)
        units = x.shape[1] // self.rank
        return narrow((x * time).reshape(len(x), units, -1).sum(axis=-1), self.kernel)

    def macs(self, *types: TensorType) -> int:
        """Multiply-accumulates."""
        return int(np.prod(types[0].shape, dtype=np.int64))

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        filters, steps = types[0].shape
        return {
            "units": filters // self.rank,
            "depth": self.rank * steps,
            **self.output.geometry(),
        }
