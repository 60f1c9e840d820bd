"""Calls of micro-kernels of single channels: lines as words, windows over them, their weights."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from tests.micro_checks import Calls, Check, draw_bytes, name_call
from tests.micro_kernels import MicroCall, Read, Start, Written
from tests.micro_layers import (
    FILLED,
    PADDED,
    Drawn,
    draw_depthwise,
    list_epilogues,
    once,
    place,
    twice,
)
from tinyq.graph.epilogues import Raw, RequantizeWide
from tinyq.graph.ops.window import Window
from tinyq.kernels.armv7em import rowpairs, strips
from tinyq.kernels.armv7em.strips import StripWeights
from tinyq.kernels.packing.epilogue import Epilogue
from tinyq.kernels.packing.record import Table

_HALVED = Window((3, 3), (2, 2), (1, 1), (0, 1, 0, 1))
_OCTETS = ((8, (3, 3), 1), (5, (1, 1), 2), (13, (2, 5), 2), (24, (3, 1), 3))


def list_planes(rng: np.random.Generator, isa: str, some: int) -> Calls:
    """The outputs of a channel from a plane of words, which have the codes of ``some`` channels."""
    for image, window in (
        ((3, 3, 4), Window((3, 3))),
        ((4, 9, 4), PADDED),
        ((5, 6, 8), Window((3, 3), (2, 1), (1, 1), (1, 1, 1, 1))),
        ((3, 16, 4), PADDED),
        ((6, 5, 5), _HALVED),
        ((2, 3, 300), PADDED),
    ):
        for epilogue in list_epilogues(rng):
            layer = draw_depthwise(
                rng, f"depthwise2d_s8_int8_{isa}-planes", image, window, epilogue
            )
            s, known = layer.bound.values["s"], layer.bound.values
            plane = layer.pad()[: s.down, : s.across]
            for k in {0, min(some, image[2]) - 1}:
                words = plane[..., :some].astype(np.int8 if some > 1 else np.int32)
                w = Read(layer.table()[k * known["channel_words"] :][: known["channel_words"]])
                y = place(layer.y.shape, np.uint8, np.s_[..., k], layer.y[..., k])
                arguments = (Start(3, k), Start(4, k), w)
                memory = (Read(np.ascontiguousarray(words)), Written(y))
                call = MicroCall(layer.bound.parts["channel"], arguments, (), memory)
                yield name_call(call, image, k, type(epilogue).__name__)


# Strips: lines of one channel as int16.


def list_expanded(rng: np.random.Generator) -> Calls:
    """Fields of words to int16; bytes come in the order that they are widened in."""
    for bits in (2, 4, 8, 16):
        for words in (1, 3, 8):
            stream = rng.integers(0, 2**32, words, dtype=np.uint32)
            table = Table("weights", stream, "")
            weights = StripWeights(table, Epilogue(), bits, words, 0, 0)
            to = Written(expand(stream, bits))
            yield name_call(MicroCall(strips.expand_weights(weights), (Read(stream), to)), bits)


def expand(words: np.ndarray, bits: int) -> np.ndarray:
    """The fields of words as int16."""
    fields = words[:, None].astype(np.int64) >> np.arange(0, 32, bits) & (1 << bits) - 1
    fields = fields[:, [0, 2, 1, 3]] if bits == 8 else fields
    return np.where(fields >> bits - 1, fields - (1 << bits), fields).reshape(-1).astype(np.int16)


def list_spread(rng: np.random.Generator) -> Calls:
    """Four channels of a line to four strips."""
    for bits, width, channels, strip in (
        (8, 1, 4, 8),
        (8, 6, 5, 20),
        (8, 7, 300, 64),
        (16, 1, 4, 8),
        (16, 8, 9, 40),
        (16, 5, 200, 16),
    ):
        kind = np.int8 if bits == 8 else np.int16
        x = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (width, channels)).astype(kind)
        to = place((4, strip // 2), np.int16, np.s_[:, :width], x[:, :4].T)
        part = strips.spread_line(width, channels, bits, strip)
        yield name_call(MicroCall(part, (Read(x), Written(to))), bits, width, channels)


def list_filtered(rng: np.random.Generator) -> Calls:
    """Lines of outputs of one channel, from its strip: codes, or sums that are left to others."""
    shapes = (
        ((4, 9, 4), PADDED),
        ((1, 30, 4), Window((1, 9), (1, 1), (1, 1), (0, 0, 4, 4))),
        ((6, 8, 5), Window((3, 2), (2, 2), (1, 1), (1, 0, 0, 1))),
        ((9, 7, 4), Window((3, 3), (1, 1), (3, 2), (3, 3, 2, 2))),
        ((7, 7, 4), Window((7, 7), (1, 1), (1, 1), (3, 3, 3, 3))),
    )
    for image, window in shapes:
        for epilogue in (*list_epilogues(rng), Raw()):
            kind = "sumsstrips" if isinstance(epilogue, Raw) else "strips"
            name = f"depthwise2d_s8_int8_armv7em-{kind}"
            layer = draw_depthwise(rng, name, image, window, epilogue)
            yield from _filter(layer, image, type(epilogue).__name__)


def _filter(layer: Drawn, *more: object) -> Calls:
    s, weights = layer.bound.values["s"], layer.bound.values["weights"]
    g, k = s.g, layer.x.shape[2] - 1
    lines = np.full((s.lines, s.columns), layer.zero, np.int16)
    rows = min(s.lines - g.pad_top, g.in_height)
    lines[g.pad_top :, s.before : s.before + g.in_width][:rows] = layer.x[:rows, :, k]
    record = layer.table()[k * weights.record :][: weights.record]
    found = Read(expand(record[weights.record - weights.packed :], weights.bits))
    if layer.bound.values["sums_to_scratch"]:
        y = layer.sums[: s.band, :, k].astype(np.int32)
    else:
        y = place(
            (s.band, g.out_width, g.in_channels), np.uint8, np.s_[..., k], layer.y[: s.band, :, k]
        )
        y = y.reshape(-1)[k:]
    arguments = (Start(5, 2 * s.first), Written(y), Read(record), s.band, found)
    call = MicroCall(layer.bound.parts["filter"], arguments, (), (Read(lines),))
    yield name_call(call, *more)


def list_wide(rng: np.random.Generator) -> Calls:
    """Codes of the sums of one channel, of 8 and of 16 bits, by a mantissa of 63 bits."""
    for kind in ("s16", "s8"):
        for low in (-(2**15) if kind == "s16" else -128, 0):
            high = 2**15 - 1 if kind == "s16" else 127
            epilogue = RequantizeWide(kind, 1.0, int(rng.integers(-9, 9)), low, high)
            name = "depthwise2d_s16_s8_armv7em-widestrips"
            layer = draw_depthwise(rng, name, (3, 5, 4), PADDED, epilogue, ("s16", "s8"))
            dtype = np.int16 if kind == "s16" else np.int8
            for k in (0, 3):
                y = place(layer.y.shape, dtype, np.s_[..., k], layer.y[..., k]).reshape(-1)[k:]
                scaling = Read(layer.table(1).reshape(-1, 5)[k])
                sums = layer.sums[..., k].astype(np.int32)
                arguments = (Read(sums), scaling, Written(y), sums.size)
                yield name_call(MicroCall(layer.bound.parts["finish"], arguments), kind, low, k)


# Pairs of rows: a word has a code of each of two lines.


def list_row_pairs(rng: np.random.Generator) -> Calls:
    """Codes of four channels of two lines, in two places."""
    for width, channels in ((1, 4), (5, 7), (8, 260)):
        x = draw_bytes(rng, 2, width, channels)
        pairs = x[:, :, :4].transpose(2, 1, 0).astype(np.int16)
        to = place((4, width + 2, 2, 2), np.int16, np.s_[:, :width, 0], pairs)
        part = rowpairs.spread_rows(width, channels)
        call = MicroCall(part, (Read(x[0]), Read(x[1]), Written(to), Written(to)))
        yield name_call(call, width, channels)


def list_row_constants(rng: np.random.Generator) -> Calls:
    """Four channels of bytes as the kernel without packing has them in flash."""
    for most in (127, 1):
        for epilogue in (once(rng), once(rng, -90, 100), twice(rng)):
            name = "depthwise2d_s8_int8_armv7em-packedrowpairs"
            layer = draw_depthwise(rng, name, (3, 4, 4), PADDED, epilogue, most=most)
            plain = rowpairs.pack_constants(layer.bound.layer, packed=False)
            addend = plain.epilogue.addend
            to = Written(plain.table.words)
            call = MicroCall(layer.bound.parts["fetch"], (Read(layer.table()), to, addend))
            yield name_call(call, most, type(epilogue).__name__)


def list_row_filters(rng: np.random.Generator) -> Calls:
    """Four channels of two lines of outputs, of one, and of one with a stride of 2."""
    for height, width, channels in ((2, 3, 4), (2, 9, 4), (1, 13, 8), (2, 12, 260), (1, 4, 4)):
        for epilogue in list_epilogues(rng):
            name = "depthwise2d_s8_int8_armv7em-rowpairs"
            layer = draw_depthwise(rng, name, (height, width, channels), PADDED, epilogue)
            lines = np.pad(
                layer.x[..., :4], ((1, 3 - height), (1, 1), (0, 0)), constant_values=layer.zero
            )
            # [channel][column][rows 0 and 1, rows 2 and 3].
            words = lines.reshape(2, 2, width + 2, 4).transpose(3, 2, 0, 1).astype(np.int16)
            y = place(layer.y.shape, np.uint8, np.s_[..., :4], layer.y[..., :4])
            arguments = (Read(np.ascontiguousarray(words)), Written(y), Read(layer.table()[:40]))
            part = layer.bound.parts["rows" if height == 2 else "row"]
            yield name_call(MicroCall(part, arguments), height, width, type(epilogue).__name__)
    for width, channels in ((2, 4), (6, 5), (16, 4), (14, 260)):
        for epilogue in list_epilogues(rng):
            name = "depthwise2d_s8_int8_armv7em-rowpairs2"
            layer = draw_depthwise(rng, name, (2, width, channels), _HALVED, epilogue)
            lines = np.pad(layer.x[..., :4], ((0, 2), (0, 2), (0, 0)), constant_values=layer.zero)
            words = lines.reshape(2, 2, width + 2, 4).transpose(3, 2, 0, 1).astype(np.int16)
            y = place(layer.y.shape, np.uint8, np.s_[..., :4], layer.y[..., :4])
            arguments = (Read(np.ascontiguousarray(words)), Written(y), Read(layer.table()[:40]))
            call = MicroCall(layer.bound.parts["row"], arguments)
            yield name_call(call, width, type(epilogue).__name__)


# Vectors.


def list_octets(
    rng: np.random.Generator, sizes: Sequence[tuple[int, tuple[int, int], int]] = _OCTETS
) -> Calls:
    """Two neighbouring pixels by all channels, from lines in RAM."""
    for channels, size, stride in sizes:
        for epilogue in (once(rng), once(rng, -100, 90), twice(rng), twice(rng, -77, 127)):
            image = (size[0], size[1] + stride, channels)
            window = Window(size, (1, stride))
            layer = draw_depthwise(rng, "depthwise2d_s8_int8_mve-octets", image, window, epilogue)
            row = layer.bound.values["sizes"].row
            lines = np.full((size[0], row), FILLED, np.uint8)
            flat = layer.x.reshape(size[0], -1).astype(np.int8).view(np.uint8)
            lines[:, : flat.shape[1]] = flat[:, :row]
            y = Written(layer.y.astype(np.int8))
            call = MicroCall(layer.bound.parts["product"], (Read(layer.table()), Read(lines), y))
            yield name_call(call, channels, size, stride, type(epilogue).__name__)


CHECKS: dict[str, tuple[Check, ...]] = {
    "armv6m": (functools.partial(list_planes, isa="armv6m", some=1),),
    "armv7m": (functools.partial(list_planes, isa="armv7m", some=4),),
    "armv7em": (
        list_expanded,
        list_spread,
        list_filtered,
        list_wide,
        list_row_pairs,
        list_row_constants,
        list_row_filters,
    ),
    "mve": (list_octets,),
}
