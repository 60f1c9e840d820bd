"""Arithmetic of plain int32 numbers, as imported files have it around their features."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.numerics.formats import Codes, find_format
from tinyq.numerics.rounding import INT32_MAX, INT32_MIN


class _Pair:
    """What operations on two tensors of one shape share; none itself."""

    keyed: ClassVar[tuple[int, ...]] = (0,)
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s32",),)
    batched: ClassVar[tuple[int, ...]] = (0, 1)
    in_place: ClassVar[tuple[int, ...]] = (0, 1)

    __slots__ = ()

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x, y = types
        if x.format.name != "s32" or y.format.name != "s32" or x.shape != y.shape:
            raise ModelError(f"{x} and {y} are no integers of one shape")
        return TensorType(x.shape, x.format)

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        return {"elements": math.prod(types[0].shape)}


@dataclass(frozen=True, slots=True)
class IntegerAdd(_Pair, Op):
    """Sum modulo 2**32. Operands: x, y s32 of one shape.

    Twin: templates/kernels/generic/elements.c.j2 with tinyq.kernels.generic.elements.ELEMENTS.
    """

    kernel: ClassVar[str] = "integeradd"

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, y = (code.astype(np.int64) for code in codes)
        return _wrap(x + y)

    def prove(self, *operands: Operand) -> Span | None:
        """Sums that wrap may be any code."""
        x, y = operands
        return _within(x.lo + y.lo, x.hi + y.hi)


@dataclass(frozen=True, slots=True)
class IntegerMultiply(_Pair, Op):
    """Product modulo 2**32. Operands: x, y s32 of one shape.

    Twin: templates/kernels/generic/elements.c.j2 with tinyq.kernels.generic.elements.ELEMENTS.
    """

    kernel: ClassVar[str] = "integermultiply"

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, y = (code.astype(np.int64) for code in codes)
        return _wrap(x * y)

    def prove(self, *operands: Operand) -> Span | None:
        """Products that wrap may be any code."""
        x, y = operands
        corners = [a * b for a in (x.lo, x.hi) for b in (y.lo, y.hi)]
        return _within(min(corners), max(corners))


@dataclass(frozen=True, slots=True)
class IntegerDivide(_Pair, Op):
    """Quotient towards 0, modulo 2**32. Operands: x, y s32 of one shape, y never 0.

    Twin: templates/kernels/generic/elements.c.j2 with tinyq.kernels.generic.elements.ELEMENTS.
    """

    kernel: ClassVar[str] = "integerdivide"

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, y = (code.astype(np.int64) for code in codes)
        return _wrap(np.sign(x) * np.sign(y) * (np.abs(x) // np.abs(y)))

    def prove(self, *operands: Operand) -> Span | None:
        """Check that no divisor is 0."""
        x, y = operands
        if y.lo <= 0 <= y.hi and (y.codes is None or not y.codes.all()):
            raise ModelError("a divisor can be 0", remedy="use constants other than 0")
        reach = max(-x.lo, x.hi)
        return _within(-reach, reach)


@dataclass(frozen=True, slots=True)
class Widen(Op):
    """The same integers in 32 bits. Operands: x s8 or s16 (...). Output: s32.

    Twin: templates/kernels/generic/elements.c.j2 with tinyq.kernels.generic.elements.ELEMENTS.
    """

    kernel: ClassVar[str] = "widen"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s8",), ("s16",))

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        (x,) = types
        if (x.format.name,) not in self.formats:
            raise ModelError(f"{x} cannot be widened")
        return TensorType(x.shape, find_format("s32"))

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        return np.asarray(codes[0], np.int32)

    def prove(self, *operands: Operand) -> Span:
        """Nothing is computed: codes are compared or moved, and ``infer`` has checked where."""
        return operands[0].lo, operands[0].hi

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        return {"elements": math.prod(types[0].shape)}


@dataclass(frozen=True, slots=True)
class Narrow(Op):
    """The low eight bits of integers, in two's complement. Operands: x s32 (...). Output: s8.

    Twin: templates/kernels/generic/elements.c.j2 with tinyq.kernels.generic.elements.ELEMENTS.
    """

    kernel: ClassVar[str] = "narrow"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s32",),)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        (x,) = types
        if (x.format.name,) not in self.formats:
            raise ModelError(f"{x} is no tensor of s32")
        return TensorType(x.shape, find_format("s8"))

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        return np.asarray((codes[0].astype(np.int64) + 128 & 255) - 128, np.int32)

    def prove(self, *operands: Operand) -> Span | None:
        """Codes that wrap may be any."""
        (x,) = operands
        return (x.lo, x.hi) if x.lo >= -128 and x.hi <= 127 else None

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        return {"elements": math.prod(types[0].shape)}


def _wrap(values: np.ndarray) -> Codes:
    return np.asarray((values + 2**31 & 2**32 - 1) - 2**31, np.int32)


def _within(low: int, high: int) -> Span | None:
    return (low, high) if low >= INT32_MIN and high <= INT32_MAX else None
