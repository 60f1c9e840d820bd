"""Micro-kernels of F(2 x 2, 3 x 3) whose weights lie packed in flash and are transformed in RAM.

    U = G w G^T,  G = rows (1, 0, 0), (1, 1, 1), (1, -1, 1), (0, 0, 1)

The outer rows and columns lack a factor of 2 against `conv_winograd2`; it is given to the sums of
products when they are transformed back, where a shift is free. Accumulators are 4 * acc times the
gain of the fields, see `packed_weights`. For each pair of channels: of the one and of the other
bias and multiplier, or bias, shift, multiplier, addend where the epilogue rounds twice; then byte
words, for each pair of places nine, row by row. Where codes are looked up, the pair indices of the
one channel, nine for a pair of places, come before those of the other.

+--------+---------+
| head   | weights |
| head*2 | words   |
+--------+---------+
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np

from tinyq.kernels.armv7em.packed_blocks import describe_lift, name_range, unpack_weights
from tinyq.kernels.armv7em.packed_weights import (
    Form,
    GainedFold,
    find_form,
    join_channels,
    pair_channels,
    refuse_channels,
    refuse_gain,
)
from tinyq.kernels.armv7em.winograd2 import GAIN, ORDER, describe_products, locate_sums
from tinyq.kernels.base import Part
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.record import Record, Table
from tinyq.kernels.packing.words import to_words

PAIR = Record("head:head*2", "weights:words")

_SOURCE = "armv7em/packed_tiles.j2"
_ALL_BYTES = 0x01010101
_TAPS = 9


def refuse_constants(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    return refuse_channels(layer) or refuse_gain(layer, GAIN + find_form(layer).gain)


def pack_tiles(layer: LayerSpec, form: Form, fold: GainedFold) -> Table:
    """One stream of words."""
    weights = layer.weights
    assert weights is not None
    count = len(weights)
    head = to_words(np.concatenate([fold.bias[:, None], fold.tail], axis=1))[pair_channels(count)]
    taps = weights.astype(np.int64).reshape(count, _TAPS, -1, 4)[..., ORDER]
    pairs = taps.reshape(count, _TAPS, -1, 2).transpose(0, 2, 1, 3)
    if form.levels:
        both = pairs[pair_channels(count)].transpose(0, 2, 1, 3, 4)
        body = form.pack_indices(both.reshape(len(head), -1, 2))
    else:
        body = form.pack(join_channels(pairs.reshape(count, -1)))
    sizes = {"head": head.shape[2], "words": body.shape[1]}
    stream = PAIR.pack(sizes, head=head.reshape(len(head), -1), weights=body)
    comment = f"two channels: bias, multiplier of each, weights of {form.width} bits"
    return form.start(stream, comment)


def declare_job() -> Part:
    """The type of a job."""
    return Part(_SOURCE, "job", "tq_tiles", shared=True)


def loosen_weights(form: Form) -> Part:
    """``(from, to, words)``: byte words from fields of less than eight bits, or from indices."""
    if form.levels:
        return unpack_weights(form)
    width = form.width
    lefts = [8 - width * (index + 1) for index in range(8 // width)]
    values = {
        "mask": (256 - 2 ** (8 - width)) * _ALL_BYTES,
        "fields": [
            (f"r{4 + index}", f"r3, lsl #{left}" if left else "r3")
            for index, left in enumerate(lefts)
        ],
        "sign": width == 1,
        "last": 3 + 8 // width,
        "step": 8 // width,
    }
    return Part(_SOURCE, "loosen", f"tq_loosen_{width}", MappingProxyType(values), shared=True)


def transform_weights(pairs: int, *, wide: bool) -> Part:
    """``(from, to)``: weights to 16 positions [position][pair of places][channel].

    From nine byte words of each pair of places; or from nine words of the one channel and nine of
    the other, that are int16 already (``wide``).
    """
    values = {
        "end": pairs * (72 if wide else 36),
        "wide": wide,
        "channels": [
            {
                "second": c == 1,
                "lines": [
                    [(place * 4 + k) * pairs * 8 + c * 4 for k in range(4)]
                    for place in (0, 2, 1, 3)
                ],
            }
            for c in (0, 1)
        ],
        "columns": [(f"r{2 + k}", f"r{5 + k}", f"r{8 + k}") for k in range(3)],
    }
    name = f"tq_transform_{pairs}{'_wide' if wide else ''}"
    return Part(_SOURCE, "transform", name, MappingProxyType(values), shared=True)


def multiply_panels(pairs: int, fold: GainedFold) -> Part:
    """``(weights, panels, y, job)``: a pair of channels of several panels.

    The job: head in flash, panels, bytes from pixel to pixel and from line to line of y, addend,
    shift. The frame is aligned so that the address of a position's sums tells when a tile is the
    last: 0 weights, 4 y, 8 head, 12 panels, 16 panel, 20 sp, 24 pixel, 28 line, 32 addend, 36
    shift; under it 16 positions.
    """
    head = 4 * (1 + fold.tail.shape[1])
    values: dict[str, Any] = {
        "products": describe_products(pairs),
        "sums": locate_sums(),
        "rows": [tuple(f"r{row + k}" for k in range(4)) for row in (0, 4)],
        "epilogue": fold.epilogue,
        "lift": describe_lift(fold.lift),
        "head": head,
        "heads": 2 * head,
        "panel": pairs * 256,
    }
    name = f"tq_multiply_tiles_{pairs}_{name_range(fold.epilogue, fold.lift)}"
    return Part(_SOURCE, "multiply", name, MappingProxyType(values), shared=True)
