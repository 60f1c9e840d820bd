"""Epilogues: what turns the int32 accumulators of an operation into the output's codes.

An operation that accumulates is complete only with an epilogue, and works with every epilogue. An
epilogue is no operation of its own: it is fused into the kernel, and accumulators never reach
memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Shape, Span, TensorType
from tinyq.graph.proofs import (
    EXPONENTS,
    MANTISSAS,
    SHIFTS,
    Bounds,
    require_sums,
    require_values,
)
from tinyq.numerics import fixed_point, rounding
from tinyq.numerics.formats import Codes, find_format

WIDE_LIMIT = 2**45
_WIDE_SHIFTS = (17, SHIFTS[1])
_FLAGS = (0, 1)
_LEVELS = (-128, 127)  # int8 in C
_MOST_LEVELS = 16


class Epilogue:
    """An epilogue. ``names`` are its constants, each int32 and with the channels as last axis.

    ``accumulator`` is the C type that it takes.
    """

    names: ClassVar[tuple[str, ...]]
    accumulator: ClassVar[str] = "int32_t"

    __slots__ = ()

    def type(self, shape: Shape) -> TensorType:
        """Type of the output for accumulators of ``shape``."""
        raise NotImplementedError

    def finish(self, acc: Codes, *constants: Codes) -> Codes:
        """Codes from accumulators."""
        raise NotImplementedError

    def check_range(self, acc: np.ndarray, what: str) -> np.ndarray:
        """Accumulators in the integers of the epilogue.

        Raises:
            ModelError: A value leaves them, which the C code could not represent.
        """
        return narrow(acc, what)

    def geometry(self) -> dict[str, int]:
        """Integers that the epilogue's C code needs."""
        return {}

    def arrays(self) -> dict[str, tuple[int, ...]]:
        """Arrays of int8 that the epilogue's C code needs, of the same length for every layer."""
        return {}

    def constant_shapes(self, channels: int) -> tuple[Shape, ...]:
        """Shape of each constant."""
        return ((channels,),) * len(self.names)

    def prove(self, sums: Bounds, *constants: Codes) -> Span:
        """Check the constants, and the accumulators with the bias in them.

        Args:
            sums: What the accumulators can be, per channel.
            constants: In the order of ``names``.

        Returns:
            Smallest and largest code that can come out.

        Raises:
            ModelError: A constant lies outside of its documented range, or a sum can leave the
                integers of the epilogue.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Scaled(Epilogue):
    """Scale to codes of a format, add the zero point, saturate; what the stages below share.

        y = clip(zero_point + scaled(acc), lo, hi)

    Attributes:
        format: Output format, such as ``s8`` or ``u4``.
        scale: Real value of one output step.
        zero_point: Output code of real 0.
        lo: Smallest output code; a fused ReLU raises it to the zero point.
        hi: Largest output code; a fused ReLU6 lowers it.
    """

    format: str
    scale: float
    zero_point: int
    lo: int
    hi: int

    def type(self, shape: Shape) -> TensorType:
        """Type of the output."""
        output_format = find_format(self.format)
        if not output_format.lo <= self.lo <= self.hi <= output_format.hi:
            raise ModelError(f"clip range {self.lo} .. {self.hi} leaves format {self.format}")
        return TensorType(shape, output_format, self.scale, self.zero_point)

    def finish(self, acc: Codes, *constants: Codes) -> Codes:
        """Codes from accumulators."""
        codes = self.scaled(acc, *constants) + self.zero_point
        return np.asarray(np.clip(codes, self.lo, self.hi), np.int32)

    def scaled(self, acc: Codes, *constants: Codes) -> np.ndarray:
        """Codes before zero point and saturation, int64."""
        raise NotImplementedError

    def geometry(self) -> dict[str, int]:
        """Integers that the epilogue's C code needs."""
        return {"zero_point": self.zero_point, "lo": self.lo, "hi": self.hi}


@dataclass(frozen=True, slots=True)
class Requantize(Scaled):
    """Multiply, shift, add the zero point, saturate.

    y = clip(zero_point + requantize(acc, bias, multiplier, shift), lo, hi)
    """

    names: ClassVar[tuple[str, ...]] = ("bias", "multiplier", "shift")

    def scaled(self, acc: Codes, *constants: Codes) -> np.ndarray:
        """Codes before zero point and saturation, int64."""
        bias, multiplier, shift = constants
        return rounding.requantize(acc, bias, multiplier, shift)

    def prove(self, sums: Bounds, *constants: Codes) -> Span:
        """Check shifts and sums."""
        bias, _, shift = constants
        require_values(shift, "shift", SHIFTS)
        _require_biased(sums, bias)
        return self.lo, self.hi


@dataclass(frozen=True, slots=True)
class RoundEven(Scaled):
    """Like ``Requantize``, but a half goes to the even code where ``even`` is 1.

    y = clip(zero_point + requantize_even(acc, bias, multiplier, shift, even), lo, hi)
    """

    names: ClassVar[tuple[str, ...]] = ("bias", "multiplier", "shift", "even")

    def scaled(self, acc: Codes, *constants: Codes) -> np.ndarray:
        """Codes before zero point and saturation, int64."""
        return rounding.requantize_even(acc, *constants)

    def prove(self, sums: Bounds, *constants: Codes) -> Span:
        """Check shifts, flags and sums."""
        bias, _, shift, even = constants
        require_values(shift, "shift", SHIFTS)
        require_values(even, "even", _FLAGS)
        _require_biased(sums, bias)
        return self.lo, self.hi


@dataclass(frozen=True, slots=True)
class RequantizeTwice(Scaled):
    """Scale with TFLite's two roundings, add the zero point, saturate.

        y = clip(zero_point + scale_twice(acc + bias, multiplier, exponent), lo, hi)

    Twin: tq_requantize_twice in templates/runtime/tq_twice.h.
    """

    names: ClassVar[tuple[str, ...]] = ("bias", "multiplier", "exponent")

    def scaled(self, acc: Codes, *constants: Codes) -> np.ndarray:
        """Codes before zero point and saturation, int64."""
        bias, multiplier, exponent = constants
        return fixed_point.scale_twice(acc.astype(np.int64) + bias, multiplier, exponent)

    def prove(self, sums: Bounds, *constants: Codes) -> Span:
        """Check mantissas, exponents and sums."""
        bias, multiplier, exponent = constants
        require_values(multiplier, "multiplier", MANTISSAS)
        require_values(exponent, "exponent", EXPONENTS)
        _require_biased(sums, bias)
        return self.lo, self.hi


@dataclass(frozen=True, slots=True)
class RequantizeWide(Scaled):
    """Like ``Requantize`` for accumulators that leave int32, with a mantissa of 63 bits.

    a = acc + bias + bias_high * 2**32
    y = clip(zero_point + requantize_wide(a, multiplier, multiplier_low, shift), lo, hi)
    """

    names: ClassVar[tuple[str, ...]] = (
        "bias",
        "bias_high",
        "multiplier",
        "multiplier_low",
        "shift",
    )
    accumulator: ClassVar[str] = "int64_t"

    def check_range(self, acc: np.ndarray, what: str) -> np.ndarray:
        """Accumulators as int64, below 2**45 so that a bias of that size keeps them in 47 bits."""
        if acc.size and np.abs(acc).max() >= WIDE_LIMIT:
            raise ModelError(f"an accumulator of {what} leaves 46 bits")
        return acc.astype(np.int64)

    def scaled(self, acc: Codes, *constants: Codes) -> np.ndarray:
        """Codes before zero point and saturation, int64."""
        bias, high, multiplier, low, shift = constants
        total = acc.astype(np.int64) + bias + (high.astype(np.int64) << 32)
        return rounding.requantize_wide(total, multiplier, low, shift)

    def prove(self, sums: Bounds, *constants: Codes) -> Span:
        """Check mantissas, shifts and sums."""
        bias, high, multiplier, _, shift = constants
        require_values(multiplier, "multiplier", MANTISSAS)
        require_values(shift, "shift", _WIDE_SHIFTS)
        require_sums(sums, "the sum", 1 - WIDE_LIMIT, WIDE_LIMIT - 1)
        wide = bias.astype(np.int64) + (high.astype(np.int64) << 32)
        biased = sums + Bounds(wide, wide)
        require_sums(biased, "the sum with its bias", 1 - 2 * WIDE_LIMIT, 2 * WIDE_LIMIT - 1)
        return self.lo, self.hi


@dataclass(frozen=True, slots=True)
class Threshold(Epilogue):
    """Compare with one integer per channel: BatchNorm and sign in one step.

    y = compare(acc, threshold, flip)

    Attributes:
        scale: Real value of +1.
    """

    scale: float = 1.0

    names: ClassVar[tuple[str, ...]] = ("threshold", "flip")

    def type(self, shape: Shape) -> TensorType:
        """Type of the output."""
        return TensorType(shape, find_format("b1"), self.scale)

    def finish(self, acc: Codes, *constants: Codes) -> Codes:
        """Codes from accumulators."""
        threshold, flip = constants
        return rounding.compare(acc, threshold, flip)

    def prove(self, sums: Bounds, *constants: Codes) -> Span:
        """Check directions and sums."""
        require_values(constants[1], "flip", _FLAGS)
        require_sums(sums, "the sum")
        return -1, 1


@dataclass(frozen=True, slots=True)
class Steps(Epilogue):
    """Compare with several integers per channel: BatchNorm and any quantized activation in one.

        y = levels[count_steps(acc, threshold, flip)]

    Attributes:
        format: Output format, such as ``u4``.
        scale: Real value of one output step.
        zero_point: Output code of real 0.
        levels: Output codes, ascending, one more than there are thresholds; 2 to 16.
    """

    format: str
    scale: float
    zero_point: int
    levels: tuple[int, ...]

    names: ClassVar[tuple[str, ...]] = ("threshold", "flip")

    def type(self, shape: Shape) -> TensorType:
        """Type of the output."""
        output_format = find_format(self.format)
        if not output_format.contains(np.asarray(self.levels, np.int64)):
            raise ModelError(f"levels {self.levels} leave format {self.format}")
        if not 2 <= len(self.levels) <= _MOST_LEVELS:
            raise ModelError(f"an epilogue has 2 to {_MOST_LEVELS} levels, not these")
        if any(np.diff(self.levels) < 0):
            raise ModelError(f"levels {self.levels} are not ascending")
        return TensorType(shape, output_format, self.scale, self.zero_point)

    def finish(self, acc: Codes, *constants: Codes) -> Codes:
        """Codes from accumulators."""
        count = rounding.count_steps(acc, *constants)
        return np.asarray(self.levels, np.int32)[count]

    def prove(self, sums: Bounds, *constants: Codes) -> Span:
        """Check directions, levels and sums."""
        require_values(constants[1], "flip", _FLAGS)
        require_values(self.levels, "level", _LEVELS)
        require_sums(sums, "the sum")
        return self.levels[0], self.levels[-1]

    def geometry(self) -> dict[str, int]:
        """Integers that the epilogue's C code needs."""
        return {"steps": len(self.levels) - 1}

    def arrays(self) -> dict[str, tuple[int, ...]]:
        """Arrays that the epilogue's C code needs."""
        return {"levels": self.levels + (0,) * (_MOST_LEVELS - len(self.levels))}

    def constant_shapes(self, channels: int) -> tuple[Shape, ...]:
        """Shape of each constant."""
        return (len(self.levels) - 1, channels), (channels,)


@dataclass(frozen=True, slots=True)
class Raw(Epilogue):
    """Accumulators as they are, plus a bias.

        y = acc + bias

    Attributes:
        scale: Real value of one accumulator unit.
    """

    scale: float | None = None

    names: ClassVar[tuple[str, ...]] = ("bias",)

    def type(self, shape: Shape) -> TensorType:
        """Type of the output."""
        return TensorType(shape, find_format("s32"), self.scale)

    def finish(self, acc: Codes, *constants: Codes) -> Codes:
        """Codes from accumulators."""
        return narrow(acc.astype(np.int64) + constants[0], "a raw output")

    def prove(self, sums: Bounds, *constants: Codes) -> Span:
        """Check sums."""
        biased = _require_biased(sums, constants[0])
        return int(biased.low.min()), int(biased.high.max())


def _require_biased(sums: Bounds, bias: Codes) -> Bounds:
    """Check that accumulators stay in int32, with their bias and without; returns the former."""
    require_sums(sums, "the sum")
    wide = bias.astype(np.int64)
    biased = sums + Bounds(wide, wide)
    require_sums(biased, "the sum with its bias")
    return biased


def narrow(acc: np.ndarray, what: str) -> Codes:
    """Accumulators as int32.

    Raises:
        ModelError: A value leaves int32, which the C code could not represent.
    """
    if acc.size and (acc.max() > rounding.INT32_MAX or acc.min() < rounding.INT32_MIN):
        raise ModelError(f"an accumulator of {what} leaves int32")
    return acc.astype(np.int32)
