"""Transpose, slice, reverse, broadcast: a copy whose source address is affine in the index."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Shape, Span, TensorType
from tinyq.numerics.formats import Codes

MAX_RANK = 6


@dataclass(frozen=True, slots=True)
class StridedCopy(Op):
    """Elements of the flat input at affine positions.

        y[i_0, ..., i_n] = x_flat[start + sum_k i_k * strides_k]

    Operands: x of any shape, in a format whose codes have whole bytes.

    Attributes:
        shape: Output shape, 1 to 6 axes.
        strides: Distance in elements per output axis; 0 repeats, negative reverses.
        start: Position of the first element.

    Twin: tq_stridedcopy in templates/kernels/generic/stridedcopy.c.j2.
    """

    shape: Shape
    strides: tuple[int, ...]
    start: int = 0

    kernel: ClassVar[str] = "stridedcopy"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s8",), ("s16",), ("s32",), ("u8",))

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        (x,) = types
        if not 1 <= len(self.shape) <= MAX_RANK or len(self.strides) != len(self.shape):
            raise ModelError(f"a copy to {self.shape} with strides {self.strides} is impossible")
        reach = [stride * (size - 1) for stride, size in zip(self.strides, self.shape, strict=True)]
        first = self.start + sum(step for step in reach if step < 0)
        last = self.start + sum(step for step in reach if step > 0)
        if min(self.shape) < 1 or first < 0 or last >= math.prod(x.shape):
            raise ModelError(f"a copy to {self.shape} reads outside of {x}")
        if x.format.bits % 8:
            raise ModelError(f"codes of {x.format.name} have no address of their own")
        return TensorType(self.shape, x.format, x.scale, x.zero_point)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        (x,) = codes
        flat = np.ascontiguousarray(x).reshape(x.shape[0], -1)
        item = flat.itemsize
        view = np.lib.stride_tricks.as_strided(
            flat[:, self.start :],
            (x.shape[0], *self.shape),
            (flat.strides[0], *(stride * item for stride in self.strides)),
            writeable=False,
        )
        return np.ascontiguousarray(view)

    def prove(self, *operands: Operand) -> Span:
        """Nothing is computed: codes are compared or moved, and ``infer`` has checked where."""
        return operands[0].lo, operands[0].hi

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs: always six axes, the outer ones of size 1."""
        del types
        missing = MAX_RANK - len(self.shape)
        sizes = (1,) * missing + self.shape
        strides = (0,) * missing + self.strides
        named = {f"size_{axis}": size for axis, size in enumerate(sizes)}
        named |= {f"stride_{axis}": stride for axis, stride in enumerate(strides)}
        return {**named, "start": self.start}
