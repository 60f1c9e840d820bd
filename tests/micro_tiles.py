"""Calls of Winograd's micro-kernels: transforms as matrices, products as sums, tiles as outputs."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from tests.micro_checks import Calls, Check, draw_bytes, name_call
from tests.micro_kernels import End, Fields, MicroCall, Read, Start, Written
from tests.micro_layers import (
    PADDED,
    Drawn,
    draw_conv,
    list_epilogues,
    once,
    place,
    twice,
)
from tinyq.graph.epilogues import Requantize
from tinyq.kernels.armv7em import conv_winograd4, packed_tiles
from tinyq.kernels.common import winograd_tiles
from tinyq.kernels.geometry import read_window

# B^T and A^T of F(4 x 4, 3 x 3); A's rows are moved by powers of two, as the weights are.
_INPUT4 = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
_OUTPUT4 = np.array(
    [[6, 4, 4, 1, 1, 0], [0, 2, -2, 1, -1, 0], [0, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 6]]
)
_WEIGHTS4 = np.array([[1, 0, 0], [-1, -1, -1], [-1, 1, -1], [1, 2, 4], [1, -2, 4], [0, 0, 1]])
# B^T of F(2 x 2, 3 x 3), its lines as kernels store them; then as they follow one another across.
_INPUT2 = np.array([[1, 0, -1, 0], [0, -1, 1, 0], [0, 1, 1, 0], [0, 1, 0, -1]])
_ACROSS2 = _INPUT2[[0, 2, 1, 3]]
_WEIGHTS2 = np.array([[1, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 1]])
_ORDER2 = [0, 2, 1, 3]
# Input channels, width, output channels, largest weight.
_PACKED = ((8, 8, 2, 127), (16, 16, 5, 7), (8, 24, 4, 1), (64, 8, 3, 127))


def list_sixes(rng: np.random.Generator, part_name: str) -> Calls:
    """Six words, modulo 2^32 or two times modulo 2^16, and six sums, to 6 and to 4 places."""
    for _ in range(3):
        d = rng.integers(0, 2**32, 6, dtype=np.uint32)
        four = (_OUTPUT4 @ d.astype(np.int64)).astype(np.uint32)
        if part_name == "words":
            part = winograd_tiles.transform_six()
            six = (_INPUT4 @ d.astype(np.int64)).astype(np.uint32)
            yield name_call(MicroCall(part, (Read(d), Written(six))), "six")
            other = "tile_four"
        else:
            part = conv_winograd4.transform_six()
            halves = (_INPUT4 @ d.view(np.int16).reshape(6, 2)).astype(np.int16)
            to = place((6, 3, 2), np.int16, np.s_[:, 0], halves)
            yield name_call(MicroCall(part, (Read(d), Written(to), 3)), "six")
            other = "four"
        to = place((4, 6), np.uint32, np.s_[:, 0], four)
        # The part writes both; the other one has a name of its own.
        call = MicroCall(part, (Read(d), Written(to), 6), function=f"tq_{other}")
        yield name_call(call, other)


def list_word_tiles(rng: np.random.Generator, isa: str, channels: int) -> Calls:
    """Six lines downwards, six columns across, products, and the code of an accumulator."""
    name = f"conv2d_s8_int8_{isa}-winograd4"
    for width, inputs in ((8, 4), (16, 8), (8, 12)):
        layer = draw_conv(rng, name, (4, width, inputs), channels, PADDED, once(rng), most=30)
        sizes = layer.bound.values["s"]
        needs = (winograd_tiles.transform_six(),)
        part = winograd_tiles.transform_lines(sizes)
        lines = draw_bytes(rng, 6, width + 2, inputs)
        down = np.einsum("pl,lxc->xcp", _INPUT4, lines.astype(np.int64) + 128)
        # Codes 0 and 2 of a word, then 1 and 3, as a + 2^16 * b: [word][column][half][6].
        words = down.reshape(width + 2, inputs // 4, 2, 2, 6)
        pairs = (words[:, :, 0] + (words[:, :, 1] << 16)).transpose(1, 0, 2, 3).astype(np.uint32)
        t = np.ascontiguousarray(pairs)
        yield name_call(MicroCall(part, (Read(lines), Written(t)), needs), width, inputs)
        across = np.einsum("hx,xcv->vhc", _INPUT4, down[:6]).reshape(36, inputs)
        panel = place((36, inputs, 2), np.int32, np.s_[..., 0], across)
        call = MicroCall(part, (Read(t), Written(panel)), needs, behind="_across")
        yield name_call(call, "across", width, inputs)
    yield from list_word_products(rng, name, channels)
    for epilogue in list_epilogues(rng):
        yield from _list_word_codes(rng, name, channels, epilogue)


def list_word_products(
    rng: np.random.Generator, name: str, channels: int, sizes: Sequence[int] = (4, 12, 64)
) -> Calls:
    """36 positions of two tiles by a block of channels."""
    for inputs in sizes:
        layer = draw_conv(rng, name, (4, 8, inputs), channels, PADDED, once(rng), most=3)
        w = rng.integers(-49 * 2**7, 49 * 2**7, (36, inputs, channels)).astype(np.int16)
        panel = rng.integers(-(2**15), 2**15, (36, inputs, 2)).astype(np.int32)
        m = np.einsum("zic,zit->zct", w.astype(np.int64), panel.astype(np.int64))
        to = Written(np.ascontiguousarray(m).astype(np.int32))
        call = MicroCall(layer.bound.parts["product"], (Read(w), Read(panel), to))
        yield name_call(call, inputs)


def _list_word_codes(rng, name, channels, epilogue) -> Calls:
    layer = draw_conv(rng, name, (4, 8, 4), 2 * channels, PADDED, epilogue, most=30)
    words = layer.bound.values["channel_words"]
    sums = layer.sums.reshape(-1, 2 * channels)
    bias = layer.bound.layer.constants["bias"]
    codes = layer.y.reshape(-1, 2 * channels)
    for k in (0, 2 * channels - 1):
        constants = Read(layer.table(1)[k * words :][:words])
        for pixel in rng.integers(0, len(sums), 3):
            acc, code = int(sums[pixel, k] + bias[k]), int(codes[pixel, k])
            call = MicroCall(layer.bound.parts["code"], (acc, constants), result=code)
            yield name_call(call, k, type(epilogue).__name__)


# Arm v7E-M: pairs of int16.


def list_half_tiles(rng: np.random.Generator) -> Calls:
    """Six lines downwards, and six columns across to one of four slots of a panel."""
    name = "conv2d_s8_int8_armv7em-winograd4"
    for width, inputs in ((8, 32), (16, 32)):
        layer = draw_conv(rng, name, (8, width, inputs), 2, PADDED, once(rng))
        part = conv_winograd4.transform_lines(conv_winograd4.Sizes(read_window(layer.bound.layer)))
        needs = (conv_winograd4.transform_six(),)
        lines = draw_bytes(rng, 6, width + 2, inputs)
        down = np.einsum("pl,lxc->xcp", _INPUT4, lines.astype(np.int64))
        t = _split_halves(down).transpose(1, 0, 2, 3, 4).astype(np.int16)
        t = np.ascontiguousarray(t)
        yield name_call(MicroCall(part, (Read(lines), Written(t)), needs), width)
        tile = np.einsum("hx,xcv->cvh", _INPUT4, down[:6]).reshape(1, inputs, 36)
        panel = place(
            (inputs // 2, 36, 4, 2),
            np.int16,
            np.s_[:, :, 0],
            _split_halves(tile)[0].reshape(-1, 36, 2),
        )
        call = MicroCall(part, (Read(t), Written(panel)), needs, behind="_across")
        yield name_call(call, "across", width)


def _split_halves(values: np.ndarray) -> np.ndarray:
    """(columns, channels, places) to (columns, words, lanes, places, 2): codes 0 and 2, 1 and 3."""
    columns, channels, places = values.shape
    words = values.reshape(columns, channels // 4, 2, 2, places)
    return words.transpose(0, 1, 3, 4, 2)


def list_finished_tiles(rng: np.random.Generator) -> Calls:
    """4 x 4 outputs of a channel from its products, which lie eight words apart."""
    for epilogue in (once(rng), Requantize("u8", 1.0, int(rng.integers(0, 256)), 0, 255)):
        name = "conv2d_s8_int8_armv7em-winograd4"
        layer = draw_conv(rng, name, (8, 8, 32), 4, PADDED, epilogue)
        d = layer.pad()[4:10, 4:10]
        v = np.einsum("ir,rcn,jc->ijn", _INPUT4, d, _INPUT4)
        u = np.einsum("ip,opqn,jq->oijn", _WEIGHTS4, layer.weights, _WEIGHTS4)
        m = np.einsum("oijn,ijn->oij", u, v).reshape(4, 36)
        scaling = layer.table(1).astype(np.int32).reshape(4, 2)
        for k in (0, 3):
            sums = place((36, 8), np.int32, np.s_[:, 0], m[k])
            y = place((4, 8, 4), np.uint8, np.s_[:, :4, k], layer.y[4:, 4:, k]).reshape(-1)[k:]
            bias, multiplier = (int(it) for it in scaling[k])
            arguments = (Read(sums), Written(y), bias % 2**32, multiplier)
            yield name_call(MicroCall(layer.bound.parts["finish"], arguments), k, epilogue.format)


def list_small_tiles(
    rng: np.random.Generator, sizes: Sequence[tuple[int, int]] = ((8, 2), (16, 6), (64, 4))
) -> Calls:
    """All channels of four tiles of 2 x 2 outputs, from their panel."""
    for inputs, channels in sizes:
        for epilogue in list_epilogues(rng)[:3]:
            name = "conv2d_s8_int8_armv7em-winograd2"
            layer = draw_conv(rng, name, (2, 8, inputs), channels, PADDED, epilogue)
            y = Written(layer.y.astype(np.uint8))
            arguments = (Read(layer.table()), Read(_lay_panels(layer, 1)), y, End(0))
            call = MicroCall(layer.bound.parts["product"], arguments)
            yield name_call(call, inputs, channels, epilogue.zero_point)


def _lay_panels(layer: Drawn, count: int) -> np.ndarray:
    """Panels [pair of places][16][4 tiles] of so many times four tiles side by side."""
    lines, inputs = layer.pad()[:4], layer.x.shape[2]
    tiles = np.stack([lines[:, 2 * tile : 2 * tile + 4] for tile in range(4 * count)])
    v = np.einsum("vr,trcn,hc->tvhn", _INPUT2, tiles, _ACROSS2)
    split = v.reshape(count, 4, 16, inputs // 4, 2, 2)
    panels = split.transpose(0, 3, 5, 2, 1, 4)
    return np.ascontiguousarray(panels).astype(np.int16)


# Weights that lie packed in flash.


def list_turned_weights(rng: np.random.Generator, sizes: Sequence[int] = (2, 4, 16)) -> Calls:
    """Weights of a pair of channels to 16 positions, from bytes or from int16."""
    for pairs in sizes:
        codes = draw_bytes(rng, 2, 3, 3, pairs, 2)
        u = np.einsum("ip,opqkj,rq->irkoj", _WEIGHTS2, codes.astype(np.int64), _WEIGHTS2)
        to = Written(np.ascontiguousarray(u[_ORDER2]).astype(np.int16))
        # Nine words of each pair of places: (a0, b0, a1, b1), or (a0, a1) of nine and (b0, b1).
        taps = codes.reshape(2, 9, pairs, 2)
        loose = Read(np.ascontiguousarray(taps.transpose(2, 1, 3, 0)))
        wide = Read(np.ascontiguousarray(taps.transpose(2, 0, 1, 3)).astype(np.int16))
        for source, is_wide in ((loose, False), (wide, True)):
            part = packed_tiles.transform_weights(pairs, wide=is_wide)
            yield name_call(MicroCall(part, (source, to)), pairs)


def list_packed_tiles(
    rng: np.random.Generator, sizes: Sequence[tuple[int, int, int, int]] = _PACKED
) -> Calls:
    """A pair of channels of several panels; the job has what the layer has beside them."""
    for inputs, width, channels, most in sizes:
        for epilogue in (*list_epilogues(rng), twice(rng)):
            name = "conv2d_s8_int8_armv7em-packedtiles"
            layer = draw_conv(rng, name, (2, width, inputs), channels, PADDED, epilogue, most=most)
            known = layer.bound.values
            loop, gain = known["loop_"], _find_gain(layer)
            u = np.einsum("ip,opqn,jq->ijno", _WEIGHTS2, layer.weights[:2] << gain, _WEIGHTS2)
            split = u[_ORDER2].reshape(16, inputs // 4, 2, 2, 2).transpose(0, 1, 3, 4, 2)
            weights = Read(np.ascontiguousarray(split).astype(np.int16))
            y = place(layer.y.shape, np.uint8, np.s_[..., :2], layer.y[..., :2])
            scaling = known["epilogue"]
            job = (Start(4, 4 * loop.codes), width // 8, channels, width * channels)
            fields = Fields((*job, scaling.addend, scaling.shift))
            panels = Read(_lay_panels(layer, width // 8))
            arguments = (weights, panels, Written(y), fields)
            needs = (layer.bound.parts["job"],)
            call = MicroCall(
                layer.bound.parts["multiply"], arguments, needs, (Read(layer.table()),)
            )
            yield name_call(call, inputs, width, channels, type(epilogue).__name__)


def _find_gain(layer: Drawn) -> int:
    return packed_tiles.find_form(layer.bound.layer).gain


CHECKS: dict[str, tuple[Check, ...]] = {
    "armv6m": (
        functools.partial(list_sixes, part_name="words"),
        functools.partial(list_word_tiles, isa="armv6m", channels=2),
    ),
    "armv7m": (
        functools.partial(list_sixes, part_name="words"),
        functools.partial(list_word_tiles, isa="armv7m", channels=4),
    ),
    "armv7em": (
        functools.partial(list_sixes, part_name="halves"),
        list_half_tiles,
        list_finished_tiles,
        list_small_tiles,
        list_turned_weights,
        list_packed_tiles,
    ),
}
