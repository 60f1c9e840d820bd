"""Dynamics of channels of energy: automatic gain control, logarithm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.ops.signal_types import require_format, require_shape, require_table
from tinyq.graph.proofs import require_values
from tinyq.numerics.formats import Codes, find_format
from tinyq.numerics.signals import (
    GAIN_POINTS,
    LOG_SEGMENTS,
    control_gain,
    read_unsigned,
    store_unsigned,
    take_logarithms,
)

_WORD = np.uint64(2**32 - 1)
_MOST = 2**15 - 1


@dataclass(frozen=True, slots=True)
class GainControl(Op):
    """Energy of each channel over a power of its noise (PCAN), compressed where it is small.

        snr = x * gain(estimate) >> shift                  Q20.12
        y = snr**2 / 4 where snr < 2, else snr - 1         Q26.6

    Operands: x s32 (..., channels), estimate s32 of its shape, both bits of unsigned numbers, gains
    s16 (125): two values, then a value and two coefficients for each power of two, four apart.

    Attributes:
        shift: 0 .. 63.

    Twin: tq_control_gain in templates/runtime/tq_signal.h.
    Reference: Wang et al. 2017, Trainable frontend for robust and far-field keyword spotting.
    """

    shift: int

    kernel: ClassVar[str] = "gaincontrol"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s32",),)
    batched: ClassVar[tuple[int, ...]] = (0, 1)
    in_place: ClassVar[tuple[int, ...]] = (0, 1)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x = require_format(types[0], "s32", "energy")
        require_shape(types[1], "s32", x.shape, "an estimate")
        require_shape(types[2], "s16", (GAIN_POINTS,), "a table of gains")
        return TensorType(x.shape, x.format)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, estimate = (read_unsigned(code) for code in codes[:2])
        return store_unsigned(control_gain(x, estimate, codes[2].astype(np.int64), self.shift))

    def prove(self, *operands: Operand) -> Span | None:
        """Check the shift; a parabola of int16 coefficients stays within int32."""
        require_values(self.shift, "shift", (0, 63))
        require_table(operands[2], "a gain", -(2**15), _MOST)
        return None

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x = types[0]
        return {"rows": x.rows, "channels": x.shape[-1], "shift": self.shift}


@dataclass(frozen=True, slots=True)
class Logarithm(Op):
    """Natural logarithm times a scale, of 0 and 1 it is 0.

        y = min(scale * ln(x * 2**correction), 2**15 - 1)

    Operands: x s32 (..., channels), bits of unsigned numbers; table s16 (129) of
    `tinyq.numerics.signals.make_logarithms`. Output: s16.

    Attributes:
        scale: 1 .. 2**16 - 1.
        correction: -31 .. 31; bits above the 32nd are lost.

    Twin: tq_take_logarithm in templates/runtime/tq_signal.h.
    """

    scale: int
    correction: int

    kernel: ClassVar[str] = "logarithm"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s32",),)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x = require_format(types[0], "s32", "energy")
        require_shape(types[1], "s16", (LOG_SEGMENTS + 1,), "a table of logarithms")
        return TensorType(x.shape, find_format("s16"), 1.0 / max(self.scale, 1))

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x = read_unsigned(codes[0])
        up, down = max(self.correction, 0), max(-self.correction, 0)
        corrected = (x << np.uint64(up) & _WORD) >> np.uint64(down)
        found = take_logarithms(corrected, codes[1].astype(np.int64), self.scale)
        return np.minimum(found, np.uint64(_MOST)).astype(np.int32)

    def prove(self, *operands: Operand) -> Span:
        """Check the attributes; the table's differences times 511 stay within int32."""
        require_values(self.scale, "scale", (1, 2**16 - 1))
        require_values(self.correction, "correction", (-31, 31))
        require_table(operands[1], "an entry of a table of logarithms", 0, _MOST)
        return 0, _MOST

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x = types[0]
        return {
            "rows": x.rows,
            "channels": x.shape[-1],
            "scale": self.scale,
            "up": max(self.correction, 0),
            "down": max(-self.correction, 0),
        }
