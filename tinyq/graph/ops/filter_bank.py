"""Filters over a spectrum, and the root of what they sum up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.ops.signal_types import (
    require_format,
    require_shape,
    require_span,
    require_table,
)
from tinyq.graph.proofs import require_values
from tinyq.numerics.formats import Codes
from tinyq.numerics.signals import join_words, read_unsigned, split_sums, store_unsigned, take_roots

_MOST = 2**15 - 1


@dataclass(frozen=True, slots=True)
class FilterBank(Op):
    """Overlapping triangles over a spectrum: where the flank of one falls, that of the next rises.

        y[c] = sum_i x[bin + i] * rising[place + i]         over segment c
             + sum_i x[bin + i] * falling[place + i]        over segment c + 1

    modulo 2**64. What falls in the first segment and rises in the last one counts for no channel.

    Operands: x s32 (..., bins), bits of unsigned numbers; falling and rising s16 (weights), not
    negative; segments s16 (channels + 1, 3): first bin, first weight, number of both. Output: s32
    (..., channels, 2), 64 bits each, the low word first.

    Twin: tq_sum_filters in templates/runtime/tq_signal.h.
    """

    kernel: ClassVar[str] = "filterbank"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s32",),)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x, falling, rising, segments = types
        require_format(x, "s32", "a spectrum")
        require_shape(falling, "s16", falling.shape[:1], "a table of weights")
        require_shape(rising, "s16", falling.shape, "a table of weights")
        require_shape(segments, "s16", (*segments.shape[:1], 3), "a table of segments")
        if segments.shape[0] < 2:
            raise ModelError(f"segments are {segments}, a channel has two of them")
        return TensorType((*x.shape[:-1], segments.shape[0] - 1, 2), x.format)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, (falling, rising, segments) = codes[0], codes[1:]
        spectrum = read_unsigned(x)
        sums = [
            [
                (spectrum[..., first : first + count] * weights[place : place + count]).sum(
                    axis=-1, dtype=np.uint64
                )
                for first, place, count in segments.tolist()
            ]
            for weights in (falling.astype(np.uint64), rising.astype(np.uint64))
        ]
        flanks = zip(sums[1][:-1], sums[0][1:], strict=True)
        return split_sums(np.stack([up + down for up, down in flanks], axis=-1))

    def prove(self, *operands: Operand) -> Span | None:
        """Check that segments lie within the spectrum and the weights."""
        x, falling, rising, segments = operands
        require_table(falling, "a weight", 0, _MOST)
        require_table(rising, "a weight", 0, _MOST)
        table = require_table(segments, "an entry of a segment", 0, _MOST).astype(np.int64)
        bins, weights = x.type.shape[-1], falling.type.shape[0]
        require_values(table[:, 0] + table[:, 2], "the last frequency of a segment", (0, bins))
        require_values(table[:, 1] + table[:, 2], "the last weight of a segment", (0, weights))
        return None

    def macs(self, *types: TensorType) -> int:
        """Products: two for each weight, as if each were used once."""
        return 2 * types[0].rows * types[1].shape[0]

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x, segments = types[0], types[3]
        return {"rows": x.rows, "bins": x.shape[-1], "channels": segments.shape[0] - 1}


@dataclass(frozen=True, slots=True)
class SquareRoot(Op):
    """Square roots, rounded to the nearest, then shifted down by each row's own number of bits.

        y[r, c] = round(sqrt(x[r, c])) >> bits[r]

    Operands: x s32 (..., channels, words), bits of unsigned numbers of one word, or of two with the
    low one first; bits s32 (..., 1), 0 .. 31. Output: s32 (..., channels).

    Twin: tq_take_root in templates/runtime/tq_signal.h.
    """

    kernel: ClassVar[str] = "squareroot"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s32",),)
    batched: ClassVar[tuple[int, ...]] = (0, 1)

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x = require_format(types[0], "s32", "what a root is taken of")
        if len(x.shape) < 2 or x.shape[-1] not in (1, 2):
            raise ModelError(f"{x} has no numbers of one word or two")
        require_shape(types[1], "s32", (*x.shape[:-2], 1), "a number of bits")
        return TensorType(x.shape[:-1], x.format)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, bits = codes
        numbers = join_words(x) if x.shape[-1] == 2 else read_unsigned(x[..., 0])
        return store_unsigned(take_roots(numbers) >> bits.astype(np.uint64))

    def prove(self, *operands: Operand) -> Span | None:
        """Check the numbers of bits; the root of one word is below 2**16."""
        x, bits = operands
        require_span(bits, "the number of bits of a shift", 0, 31)
        return (0, 2**16 - 1) if x.type.shape[-1] == 1 else None

    def macs(self, *types: TensorType) -> int:
        """Digits of the roots."""
        x = types[0]
        return 16 * math.prod(x.shape)

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        *outer, channels, words = types[0].shape
        return {"rows": math.prod(outer), "channels": channels, "words": words}
