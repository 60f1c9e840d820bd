"""How far a frame can be shifted up within int16, and the shift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.ops.signal_types import require_format, require_shape, require_span
from tinyq.graph.proofs import require_values
from tinyq.numerics.formats import Codes, find_format
from tinyq.numerics.fourier import wrap16
from tinyq.numerics.signals import find_headroom

MOST_SHIFT = 15


@dataclass(frozen=True, slots=True)
class Headroom(Op):
    """By how many bits each row may be shifted up: 15 less the bits of its largest magnitude.

    Operands: x s16 (..., n). Output: s32 (..., 1), 0 .. 15.

    Attributes:
        negated: What the magnitude of -32768 is, which no int16 holds: 0 counts it as nothing, as
            the micro frontend does; 1 takes -32768, as FftAutoScale does.

    Twin: tq_find_headroom in templates/runtime/tq_signal.h.
    """

    negated: int

    kernel: ClassVar[str] = "headroom"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s16",),)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x = require_format(types[0], "s16", "a frame")
        return TensorType((*x.shape[:-1], 1), find_format("s32"))

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        return find_headroom(codes[0].astype(np.int64), bool(self.negated)).astype(np.int32)

    def prove(self, *operands: Operand) -> Span:
        """Check the attribute; magnitudes are compared."""
        require_values(self.negated, "negated", (0, 1))
        return 0, MOST_SHIFT

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x = types[0]
        return {"rows": x.rows, "length": x.shape[-1], "negated": self.negated}


@dataclass(frozen=True, slots=True)
class ShiftUp(Op):
    """Each row shifted up by its own number of bits, wrapped to int16.

        y[r, k] = wrap(x[r, k] * 2**bits[r])

    Operands: x s16 (..., n), bits s32 (..., 1), 0 .. 15.

    Twin: templates/kernels/generic/signals.c.j2 with tinyq.kernels.generic.signals.SIGNALS.
    """

    kernel: ClassVar[str] = "shiftup"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s16",),)
    batched: ClassVar[tuple[int, ...]] = (0, 1)
    in_place: ClassVar[tuple[int, ...]] = (0,)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x = require_format(types[0], "s16", "a frame")
        require_shape(types[1], "s32", (*x.shape[:-1], 1), "a number of bits")
        return TensorType(x.shape, x.format)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, bits = (code.astype(np.int64) for code in codes)
        return wrap16(x << bits).astype(np.int32)

    def prove(self, *operands: Operand) -> Span | None:
        """Check the numbers of bits."""
        require_span(operands[1], "the number of bits of a shift", 0, MOST_SHIFT)
        return None

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x = types[0]
        return {"rows": x.rows, "length": x.shape[-1]}


@dataclass(frozen=True, slots=True)
class LevelCorrection(Op):
    """Logarithms of a row that was shifted up, as if it had not been.

        y[r, c] = clip(x[r, c] - (bits[r] * octave + offset + half >> shift), lowest, 2**15 - 1)

    Operands: x s16 (..., channels), bits s32 (..., 1), 0 .. 15.

    Attributes:
        octave: What one bit adds to the logarithm, -2**26 .. 2**26.
        shift: Its fraction bits, 0 .. 30; half is 2**(shift - 1), 0 without a shift.
        offset: What is taken off besides, with the same fraction bits, -2**29 .. 2**29.
        lowest: Smallest code.

    Twin: templates/kernels/generic/signals.c.j2 with tinyq.kernels.generic.signals.SIGNALS.
    """

    octave: int
    shift: int
    offset: int = 0
    lowest: int = -(2**15)

    kernel: ClassVar[str] = "levelcorrection"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s16",),)
    batched: ClassVar[tuple[int, ...]] = (0, 1)
    in_place: ClassVar[tuple[int, ...]] = (0,)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x = require_format(types[0], "s16", "a row of logarithms")
        require_shape(types[1], "s32", (*x.shape[:-1], 1), "a number of bits")
        return TensorType(x.shape, x.format, x.scale)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, bits = (code.astype(np.int64) for code in codes)
        level = bits * self.octave + self.offset + ((1 << self.shift) >> 1) >> self.shift
        return np.clip(x - level, self.lowest, 2**15 - 1).astype(np.int32)

    def prove(self, *operands: Operand) -> Span:
        """Check the attributes: a level stays within int32, and so does a code less a level."""
        require_values(self.octave, "what one bit adds", (-(2**26), 2**26))
        require_values(self.shift, "shift", (0, 30))
        require_values(self.offset, "the offset", (-(2**29), 2**29))
        require_values(self.lowest, "the smallest code", (-(2**15), 2**15 - 1))
        require_span(operands[1], "the number of bits of a shift", 0, MOST_SHIFT)
        return self.lowest, 2**15 - 1

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x = types[0]
        return {
            "rows": x.rows,
            "channels": x.shape[-1],
            "octave": self.octave,
            "shift": self.shift,
            "offset": self.offset,
            "lowest": self.lowest,
        }
