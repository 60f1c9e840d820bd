"""From a frame of samples to the energy of its frequencies."""

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
from tinyq.numerics.formats import Codes, find_format
from tinyq.numerics.fourier import LEAST_POINTS, MOST_POINTS, transform_real
from tinyq.numerics.signals import store_unsigned

_ONE = 2**15 - 1


@dataclass(frozen=True, slots=True)
class WindowFrame(Op):
    """A frame of samples times a window.

        y[k] = clip(x[k] * w[k] >> shift, -2**15, 2**15 - 1)

    Operands: x s16 (..., n), w s16 (n).

    Attributes:
        shift: Fraction bits of the window, 0 .. 30.

    Twin: templates/kernels/generic/signals.c.j2 with tinyq.kernels.generic.signals.SIGNALS.
    """

    shift: int

    kernel: ClassVar[str] = "windowframe"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s16",),)
    in_place: ClassVar[tuple[int, ...]] = (0,)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x, window = types
        require_format(x, "s16", "a frame")
        require_shape(window, "s16", x.shape[-1:], "a window")
        return TensorType(x.shape, x.format, x.scale)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, window = (code.astype(np.int64) for code in codes)
        return np.asarray(np.clip(x * window >> self.shift, -(2**15), _ONE), np.int32)

    def prove(self, *operands: Operand) -> Span | None:
        """Check the shift; a product of two int16 is an int32."""
        require_values(self.shift, "shift", (0, 30))
        return None

    def macs(self, *types: TensorType) -> int:
        """Products."""
        return math.prod(types[0].shape)

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x = types[0]
        return {"rows": x.rows, "length": x.shape[-1], "shift": self.shift}


@dataclass(frozen=True, slots=True)
class RealFourier(Op):
    """First half of the spectrum of each row of samples, divided by the number of points.

    Operands: x s16 (..., n), zeros behind it up to the points; roots s16 (3 / 4 points, 2) of
    `tinyq.numerics.fourier.make_roots`. Output: s16 (..., points + 2), real and imaginary part of
    points / 2 + 1 frequencies.

    Attributes:
        points: Length of the transform, a power of two, n at least, 4 .. 4,096.

    Twin: tq_transform_real in templates/runtime/tq_fourier.h.
    """

    points: int

    kernel: ClassVar[str] = "realfourier"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s16",),)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x, roots = types
        points = self.points
        if not LEAST_POINTS <= points <= MOST_POINTS or points & (points - 1):
            raise ModelError(
                f"a Fourier transform of {points:,} points is not supported",
                remedy=f"take a power of two from {LEAST_POINTS} to {MOST_POINTS:,}",
            )
        require_format(x, "s16", "a frame")
        require_shape(roots, "s16", (3 * points // 4, 2), "a table of roots")
        if x.shape[-1] > points:
            raise ModelError(f"frames of {x.shape[-1]:,} samples exceed {points:,} points")
        return TensorType((*x.shape[:-1], points + 2), x.format)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, roots = (code.astype(np.int64) for code in codes)
        padding = [(0, 0)] * (x.ndim - 1) + [(0, self.points - x.shape[-1])]
        return transform_real(np.pad(x, padding), roots).astype(np.int32)

    def prove(self, *operands: Operand) -> Span:
        """Check the roots: with -32768 among them a product would leave int32."""
        require_table(operands[1], "a root of unity", -_ONE, _ONE)
        return -_ONE, _ONE

    def macs(self, *types: TensorType) -> int:
        """Products of butterflies."""
        points = self.points
        return types[0].rows * points * (points.bit_length() - 1)

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x = types[0]
        return {"rows": x.rows, "length": x.shape[-1], "points": self.points}


@dataclass(frozen=True, slots=True)
class PowerSpectrum(Op):
    """Squared magnitudes of complex numbers.

        y[k] = x[2 k]**2 + x[2 k + 1]**2    if first <= k < end else 0

    Operands: x s16 (..., 2 bins). Output: s32 (..., bins), bits of an unsigned number.

    Attributes:
        first: First bin that counts, 0 or more.
        end: Behind the last one, at most bins.

    Twin: templates/kernels/generic/signals.c.j2 with tinyq.kernels.generic.signals.SIGNALS.
    """

    first: int
    end: int

    kernel: ClassVar[str] = "powerspectrum"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s16",),)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x = require_format(types[0], "s16", "a spectrum")
        bins = x.shape[-1] // 2
        if x.shape[-1] % 2 or not 0 <= self.first <= self.end <= bins:
            raise ModelError(f"{x} has no frequencies {self.first} .. {self.end - 1}")
        return TensorType((*x.shape[:-1], bins), find_format("s32"))

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x = codes[0].astype(np.int64)
        power = x[..., ::2] ** 2 + x[..., 1::2] ** 2
        place = np.arange(power.shape[-1])
        counted = np.where((place >= self.first) & (place < self.end), power, 0)
        return store_unsigned(counted.astype(np.uint64))

    def prove(self, *operands: Operand) -> Span | None:
        """No sum of two squares of int16 exceeds 2**31, which 32 bits hold."""
        (x,) = operands
        most = 2 * max(abs(x.lo), abs(x.hi)) ** 2
        return (0, most) if most < 2**31 else None

    def macs(self, *types: TensorType) -> int:
        """Squares."""
        return types[0].rows * 2 * (self.end - self.first)

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x = types[0]
        bins = x.shape[-1] // 2
        return {"rows": x.rows, "bins": bins, "first": self.first, "end": self.end}
