"""Overlapping frames of a signal, and statistics of each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.ops.signal_types import require_format
from tinyq.numerics.formats import Codes, find_format
from tinyq.numerics.signals import take_roots

STATISTICS = ("mean", "rms", "lowest", "highest", "crossings", "peaks")
MOST_SAMPLES = 2**15 - 1


@dataclass(frozen=True, slots=True)
class Frames(Op):
    """Frames of a signal, each some samples behind the one before.

        y[t, k] = x[t * hop + k],   0 <= k < size,   t * hop + size <= n

    Operands: x s16 (..., n). Output: s16 (..., frames, size).

    Attributes:
        size: Samples of a frame, 1 .. n.
        hop: Samples from one frame to the next, from 1 on.

    Twin: templates/kernels/generic/signals.c.j2 with tinyq.kernels.generic.signals.SIGNALS.
    """

    size: int
    hop: int

    kernel: ClassVar[str] = "frames"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s16",),)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x = require_format(types[0], "s16", "a signal")
        if not 1 <= self.size <= x.shape[-1] or self.hop < 1:
            raise ModelError(f"{x} has no frames of {self.size:,} every {self.hop:,} samples")
        count = (x.shape[-1] - self.size) // self.hop + 1
        return TensorType((*x.shape[:-1], count, self.size), x.format, x.scale, x.zero_point)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        every = np.lib.stride_tricks.sliding_window_view(codes[0], self.size, axis=-1)
        return np.ascontiguousarray(every[..., :: self.hop, :])

    def prove(self, *operands: Operand) -> Span:
        """Nothing is computed: codes are compared or moved, and ``infer`` has checked where."""
        return operands[0].lo, operands[0].hi

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x = types[0]
        return {
            "rows": x.rows,
            "samples": x.shape[-1],
            "frames": (x.shape[-1] - self.size) // self.hop + 1,
            "size": self.size,
            "hop": self.hop,
        }


@dataclass(frozen=True, slots=True)
class FrameStatistics(Op):
    """What describes a frame, six codes in the order of `STATISTICS`.

    Mean and root of the mean square, both rounded down, the smallest and the largest code, how
    often the sign changes (0 counts as positive), how many local maxima there are (a plateau is
    one where it was reached from below and is left downwards).

    Operands: x s16 (..., n), n below 2**15. Output: s16 (..., 6).

    Twin: tq_describe_frame in templates/runtime/tq_signal.h.
    """

    kernel: ClassVar[str] = "framestatistics"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s16",),)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x = require_format(types[0], "s16", "a frame")
        if x.shape[-1] > MOST_SAMPLES:
            raise ModelError(f"frames of {x.shape[-1]:,} samples, at most {MOST_SAMPLES:,} fit")
        return TensorType((*x.shape[:-1], len(STATISTICS)), find_format("s16"))

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x = codes[0].astype(np.int64)
        squares = ((x * x).sum(axis=-1) // x.shape[-1]).astype(np.uint64)
        nearest = take_roots(squares)
        roots = nearest - (nearest * nearest > squares)
        signs = np.sign(np.diff(x, axis=-1))
        parts = (
            x.sum(axis=-1) // x.shape[-1],
            np.minimum(roots, np.uint64(MOST_SAMPLES)).astype(np.int64),
            x.min(axis=-1),
            x.max(axis=-1),
            (np.diff(x < 0, axis=-1) != 0).sum(axis=-1),
            _count_peaks(signs),
        )
        return np.stack(parts, axis=-1).astype(np.int32)

    def prove(self, *operands: Operand) -> Span | None:
        """A sum of fewer than 2**15 codes is an int32, and its squares are one of 64 bits."""
        del operands
        return None

    def macs(self, *types: TensorType) -> int:
        """Squares."""
        return math.prod(types[0].shape)

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x = types[0]
        return {"rows": x.rows, "length": x.shape[-1]}


def _count_peaks(signs: np.ndarray) -> np.ndarray:
    """Falls whose last change before was a rise."""
    place = np.where(signs != 0, np.arange(signs.shape[-1]), 0)
    last = np.take_along_axis(signs, np.maximum.accumulate(place, axis=-1), axis=-1)
    return np.asarray(((signs[..., 1:] < 0) & (last[..., :-1] > 0)).sum(axis=-1))
