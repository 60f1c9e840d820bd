"""Calls of micro-kernels that multiply unpacked weights, and of those that finish sums."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.micro_checks import Calls, Check, draw_bytes, name_call
from tests.micro_kernels import Fields, MicroCall, Read, Start, Written
from tests.micro_layers import Drawn, draw_conv, draw_dense, list_epilogues, place, twice
from tinyq.graph.epilogues import (
    Epilogue,
    Raw,
    Requantize,
    RequantizeWide,
    RoundEven,
    Steps,
    Threshold,
)
from tinyq.graph.ops.window import Window
from tinyq.kernels.armv7em import packed_blocks
from tinyq.kernels.armv7em.packed_weights import find_form
from tinyq.kernels.text import write_epilogue
from tinyq.numerics.formats import find_format

_POINT = Window((1, 1))
# Input channels, pixels, output channels, largest weight.
_PAIRS = ((4, 4, 2, 127), (32, 8, 4, 7), (36, 12, 3, 127), (64, 4, 2, 1))
_LINES = ((1, 1, 0), (1, 8, 0), (3, 3, 8), (2, 9, 4), (4, 17, 12))
_SUMS = ((4, 1), (7, 4), (20, 5), (33, 9))


def widen_pixels(x: np.ndarray) -> np.ndarray:
    """Panel [word][codes 0 and 2, 1 and 3][pixel] of int16 of bytes (pixels, places)."""
    pixels = len(x)
    halves = x.reshape(pixels, -1, 2, 2).transpose(1, 3, 0, 2)
    return np.ascontiguousarray(halves).astype(np.int16)


def list_collected(
    rng: np.random.Generator, sizes: Sequence[tuple[int, int, int]] = _LINES
) -> Calls:
    """Four windows at four addresses; lines have any number of words and lie apart."""
    for lines, words, gap in sizes:
        row = words * 4 + gap
        x = draw_bytes(rng, 4, lines, row)
        panel = Written(widen_pixels(x[:, :, : words * 4].reshape(4, -1)))
        at = Fields(tuple(Start(3, pixel * lines * row) for pixel in range(4)))
        call = MicroCall(
            packed_blocks.collect_four(), (at, panel, Fields((lines, words, gap))), (), (Read(x),)
        )
        yield name_call(call, lines, words, gap)


def list_pairs(
    rng: np.random.Generator, sizes: Sequence[tuple[int, int, int, int]] = _PAIRS
) -> Calls:
    """A pair of channels of several panels, codes of bytes and of nibbles."""
    for inputs, pixels, channels, most in sizes:
        nibbles = (Requantize("u4", 1.0, 3, 0, 15),) if channels % 2 == 0 else ()
        for epilogue in (*list_epilogues(rng), *nibbles):
            name = "conv2d_s8_int8_armv7em-packedpixels"
            image = (1, pixels, inputs)
            layer = draw_conv(rng, name, image, channels, _POINT, epilogue, most=most)
            yield _multiply(layer, most, type(epilogue).__name__)


def _multiply(layer: Drawn, *more: object) -> tuple[str, MicroCall]:
    loop, known = layer.bound.values["loop_"], layer.bound.values
    _, pixels, inputs = layer.x.shape
    channels = len(layer.weights)
    gain = find_form(layer.bound.layer).gain
    taps = layer.weights[:2].reshape(2, inputs // 4, 2, 2) << gain
    # [word][codes 0 and 2, 1 and 3][channel].
    weights = Read(np.ascontiguousarray(taps.transpose(1, 3, 0, 2)).astype(np.int16))
    x = layer.x.reshape(pixels // 4, 4, inputs)
    panels = Read(np.stack([widen_pixels(four) for four in x]))
    codes = layer.y.reshape(pixels, channels)[:, :2]
    if layer.bound.layer.output.format.bits == 4:
        y = place((pixels, channels // 2), np.uint8, np.s_[:, 0], codes[:, 0] | codes[:, 1] << 4)
    else:
        y = place((pixels, channels), np.uint8, np.s_[:, :2], codes)
    job = (Start(4, 4 * loop.codes), pixels // 4, y.shape[1], loop.panel)
    fields = Fields((*job, known["epilogue"].addend, known["epilogue"].shift))
    parts = layer.bound.parts
    # The type of a job comes with what collects panels.
    call = MicroCall(
        parts["multiply"],
        (weights, panels, Written(y), fields),
        (parts["collect"],),
        (Read(layer.table()),),
    )
    return name_call(call, inputs, pixels, channels, *more)


# Dense layers by their sums.


def list_wide_products(rng: np.random.Generator, sizes: Sequence[tuple[int, int]] = _SUMS) -> Calls:
    """Sums of a segment: inputs of 16 bits by weights of bytes, four channels at a time."""
    for inputs, channels in sizes:
        name = "dense_s16_s8_armv7em-sumswords"
        layer = draw_dense(rng, name, inputs, channels, Raw(), ("s16", "s8"), most=9)
        s = layer.bound.values["s"]
        x = Read(np.pad(layer.x[0], (0, s.length - inputs)).astype(np.int16))
        sums = np.pad(layer.sums.reshape(-1), (0, s.sums - channels)).astype(np.int32)
        arguments = (Read(layer.table()[: s.words]), x, Written(sums))
        yield name_call(MicroCall(layer.bound.parts["product"], arguments), inputs, channels)


def list_finished_rows(rng: np.random.Generator) -> Calls:
    """Codes of the sums of all segments, rounded twice, and by a mantissa of 63 bits."""
    for inputs, channels in ((8, 3), (600, 5), (1000, 4)):
        name = "dense_s8_int8_armv7em-twicelanes"
        layer = draw_dense(rng, name, inputs, channels, twice(rng, -99, 120))
        s = layer.bound.values["s"]
        parts = _split(rng, layer.sums.reshape(-1), s.segments, s.sums)
        yield _finish(layer, parts, np.int8, s.segments)
    for kind, dtype in (("s8", np.int8), ("s16", np.int16)):
        low, high = find_format(kind).lo, find_format(kind).hi
        epilogue = RequantizeWide(kind, 1.0, int(rng.integers(-9, 9)), low, high)
        name = "dense_s16_s8_armv7em-widewords"
        for channels in (1, 6):
            layer = draw_dense(rng, name, 12, channels, epilogue, ("s16", "s8"), most=50)
            yield _finish(layer, layer.sums.reshape(-1).astype(np.int32), dtype, kind)


def _split(rng: np.random.Generator, sums: np.ndarray, count: int, apart: int) -> np.ndarray:
    """Sums as those of so many segments."""
    parts = rng.integers(-(2**20), 2**20, (count, apart))
    parts[0, : len(sums)] = sums - parts[1:, : len(sums)].sum(0)
    return parts.astype(np.int32)


def _finish(layer: Drawn, sums: np.ndarray, kind: type[np.generic], *more: object):
    y = layer.y.reshape(-1).astype(kind)
    arguments = (Read(sums), Read(layer.table(1)), Written(y), y.size)
    return name_call(MicroCall(layer.bound.parts["finish"], arguments), y.size, *more)


# Sums that the epilogue's own function finishes.


def list_finished_pixels(rng: np.random.Generator) -> Calls:
    """Pixels from sums, which lie channel by channel; all steps of which bytes are made."""
    for epilogue, channels in (
        (Raw(), 3),
        (Threshold(), 8),
        (Threshold(), 6),
        (Steps("u2", 1.0, 0, (0, 1, 2, 3)), 6),
        (Steps("s8", 1.0, 0, (-50, -3, 9)), 5),
        (RoundEven("u4", 1.0, 2, 0, 15), 7),
        (Requantize("s16", 1.0, -5, -(2**15), 2**15 - 1), 4),
        (Requantize("s3", 1.0, 0, -4, 3), 10),
    ):
        name = "conv2d_s8_int8_armv7em-sumspixels"
        layer = draw_conv(rng, name, (1, 4, 8), channels, _POINT, epilogue)
        yield _finish_pixels(layer, epilogue)


def _finish_pixels(layer: Drawn, epilogue: Epilogue) -> tuple[str, MicroCall]:
    spec, pixels = layer.bound.layer, layer.x.shape[1]
    channels = len(layer.weights)
    sums = Read(np.ascontiguousarray(layer.sums.reshape(pixels, channels).T).astype(np.int32))
    entry = spec.output.format
    y = np.concatenate([entry.pack(row) for row in layer.y.reshape(pixels, channels)])
    finisher = layer.bound.finisher
    assert finisher is not None
    tables = [np.asarray(spec.constants[key], np.int32) for key in epilogue.names]
    scalars = epilogue.geometry()
    (arrays,) = (tuple(epilogue.arrays().items()),)
    fields = [f"const int32_t *{key};" for key in epilogue.names]
    fields += [f"int32_t {key};" for key in scalars]
    fields += [f"int8_t {key}[{len(values)}];" for key, values in arrays]
    struct = f"typedef struct {{ {' '.join(fields)} }} {finisher.struct};"
    packed = np.array([code for _, values in arrays for code in values], np.int8)
    words = np.frombuffer(packed.tobytes() + bytes(-packed.size % 4), "<u4")
    starts = (Start(4 + index) for index in range(len(tables)))
    record = Fields((*starts, *scalars.values(), *(int(it) for it in words)))
    call = MicroCall(
        layer.bound.parts["finish"],
        (sums, pixels, record, Written(y)),
        (),
        tuple(map(Read, tables)),
        before=(struct, write_epilogue(finisher)),
    )
    return name_call(call, finisher.name, channels)


CHECKS: dict[str, tuple[Check, ...]] = {
    "armv7em": (
        list_collected,
        list_pairs,
        list_wide_products,
        list_finished_rows,
        list_finished_pixels,
    ),
}
