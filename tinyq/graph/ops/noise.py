"""Noise in channels of energy: its estimate over time, and what is left without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.ops.signal_types import require_format, require_shape
from tinyq.graph.proofs import require_values
from tinyq.numerics.formats import Codes
from tinyq.numerics.signals import read_unsigned, store_unsigned

_WORD = np.uint64(2**32 - 1)


@dataclass(frozen=True, slots=True)
class NoiseEstimate(Op):
    """An average over time of each channel, which follows even and odd channels at two speeds.

        fine = x[t, c] * 2**smoothing_bits
        y[t, c] = (fine * s + y[t - 1, c] * (2**bits - s)) >> bits        s = even or odd
        y[t, c] = min(y[t, c], fine)                                      if clamped

    modulo 2**32. Operands: x s32 (steps, channels) or (channels), one step; estimate s32 (channels)
    before the first step. All are bits of unsigned numbers. Output: the estimate after each step.

    Attributes:
        even: Weight of the newest step for channels 0, 2, ..., 0 .. 2**bits.
        odd: For channels 1, 3, ...
        smoothing_bits: Fraction bits of the estimate beyond those of x, 0 .. 31.
        bits: Fraction bits of the weights, 0 .. 30.
        clamped: Whether the estimate never exceeds the newest step, 0 or 1.

    Twin: tq_smooth in templates/runtime/tq_signal.h.
    """

    even: int
    odd: int
    smoothing_bits: int
    bits: int
    clamped: int = 0

    kernel: ClassVar[str] = "noiseestimate"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s32",),)
    batched: ClassVar[tuple[int, ...]] = (0, 1)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x = require_format(types[0], "s32", "energy")
        require_shape(x, "s32", x.shape[-2:], "energy of steps")
        require_shape(types[1], "s32", x.shape[-1:], "an estimate")
        return TensorType(x.shape, x.format)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, estimate = (read_unsigned(code) for code in codes)
        channels = x.shape[-1]
        speeds = np.where(np.arange(channels) % 2, self.odd, self.even).astype(np.uint64)
        rest = np.uint64(1 << self.bits) - speeds
        fine = (x << np.uint64(self.smoothing_bits) & _WORD).reshape(len(x), -1, channels)
        result = np.empty_like(fine)
        for step in range(fine.shape[1]):
            new = fine[:, step]
            estimate = (new * speeds + estimate * rest >> np.uint64(self.bits)) & _WORD
            if self.clamped:
                estimate = np.minimum(estimate, new)
            result[:, step] = estimate
        return store_unsigned(result.reshape(x.shape))

    def prove(self, *operands: Operand) -> Span | None:
        """Check the attributes: two weights that sum up to 2**30 at most keep 64 bits."""
        require_values(self.bits, "bits", (0, 30))
        require_values([self.even, self.odd], "a weight", (0, 1 << self.bits))
        require_values(self.smoothing_bits, "smoothing bits", (0, 31))
        require_values(self.clamped, "clamped", (0, 1))
        return None

    def macs(self, *types: TensorType) -> int:
        """Products."""
        return 2 * types[0].rows * types[0].shape[-1]

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x = types[0]
        return {
            "rows": x.rows,
            "channels": x.shape[-1],
            "even": self.even,
            "odd": self.odd,
            "smoothing_bits": self.smoothing_bits,
            "bits": self.bits,
            "clamped": self.clamped,
        }


@dataclass(frozen=True, slots=True)
class SpectralSubtraction(Op):
    """Energy without its noise, of which a part remains at least.

        fine = x * 2**smoothing_bits
        y = max((fine - min(estimate, fine)) >> smoothing_bits, x * least >> bits)

    modulo 2**32. Operands: x s32 (..., channels) and its estimate, bits of unsigned numbers.

    Attributes:
        smoothing_bits: Fraction bits of the estimate beyond those of x, 0 .. 31.
        least: Part of x that remains at least, 0 .. 2**bits.
        bits: Its fraction bits, 0 .. 30.

    Twin: tq_subtract_noise in templates/runtime/tq_signal.h.
    """

    smoothing_bits: int
    least: int
    bits: int

    kernel: ClassVar[str] = "spectralsubtraction"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s32",),)
    batched: ClassVar[tuple[int, ...]] = (0, 1)
    in_place: ClassVar[tuple[int, ...]] = (0, 1)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x = require_format(types[0], "s32", "energy")
        require_shape(types[1], "s32", x.shape, "an estimate")
        return TensorType(x.shape, x.format)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, estimate = (read_unsigned(code) for code in codes)
        shift = np.uint64(self.smoothing_bits)
        fine = x << shift & _WORD
        kept = (x * np.uint64(self.least) >> np.uint64(self.bits)) & _WORD
        return store_unsigned(np.maximum(fine - np.minimum(estimate, fine) >> shift, kept))

    def prove(self, *operands: Operand) -> Span | None:
        """Check the attributes."""
        require_values(self.bits, "bits", (0, 30))
        require_values(self.least, "what remains at least", (0, 1 << self.bits))
        require_values(self.smoothing_bits, "smoothing bits", (0, 31))
        return None

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x = types[0]
        return {
            "rows": x.rows,
            "channels": x.shape[-1],
            "smoothing_bits": self.smoothing_bits,
            "least": self.least,
            "bits": self.bits,
        }
