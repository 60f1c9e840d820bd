"""Calls of micro-kernels with random operands, and what NumPy says that they write."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from tests.fast_graphs import add_tables
from tests.micro_kernels import Argument, End, MicroCall, Read, Updated, Written
from tinyq.graph import Graph, GraphBuilder, TensorType, reference
from tinyq.graph.epilogues import Epilogue, Raw, Requantize, RequantizeTwice
from tinyq.graph.ops.conv2d import Conv2D
from tinyq.graph.ops.dense import Dense
from tinyq.graph.ops.depthwise_conv2d import DepthwiseConv2D
from tinyq.graph.ops.window import Window
from tinyq.kernels.armv6m.dense_row import HalfwordRow
from tinyq.kernels.armv6m.planes import SingleChannels
from tinyq.kernels.armv6m.slices import StackSlices
from tinyq.kernels.armv6m.triples import Triples
from tinyq.kernels.armv7em import (
    conv_winograd4,
    dense_digits,
    packed_blocks,
    packed_tiles,
    winograd2,
)
from tinyq.kernels.armv7em.packed_weights import Form
from tinyq.kernels.armv7em.slices import WordSlices
from tinyq.kernels.armv7m.dense_row import PairedRow
from tinyq.kernels.armv7m.planes import FourChannels
from tinyq.kernels.armv7m.quads import PairedQuads
from tinyq.kernels.base import Bound, Refusal
from tinyq.kernels.common.memory import copy_fours
from tinyq.kernels.common.planes import Plane
from tinyq.kernels.common.slices import Slices, list_parts
from tinyq.kernels.layer import describe_layer
from tinyq.kernels.mve import vectors
from tinyq.kernels.registry import list_kernels
from tinyq.kernels.unpacking import PACKINGS, UNPACKINGS
from tinyq.numerics.formats import Format, find_format

Calls = Iterator[tuple[str, MicroCall]]
Check = Callable[[np.random.Generator], Calls]
_TRIES = 60  # draws of constants, of which some leave a kernel's integers


def draw_bytes(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Any int8, now and then the extremes alone."""
    if rng.random() < 0.3:
        return rng.choice(np.array([-128, 127], np.int8), shape)
    return rng.integers(-128, 128, shape).astype(np.int8)


def name_call(call: MicroCall, *more: object) -> tuple[str, MicroCall]:
    return " ".join(map(str, (call.part.source, call.part.macro, call.part.name, *more))), call


# What is unpacked, copied and widened.


def list_memory(rng: np.random.Generator) -> Calls:
    """Copies of words, and codes of fewer bits to bytes."""
    words = rng.integers(0, 2**32, 10, dtype=np.uint32)
    yield name_call(MicroCall(copy_fours(), (Written(words), Read(words), 10)))
    for kind in UNPACKINGS:
        entry = find_format(kind)
        for rows, length in ((1, 32), (2, 64), (3, 4), (3, 5), (2, 33), (1, 1), (4, 2)):
            codes = rng.integers(entry.lo, entry.hi + 1, (rows, length))
            codes = np.where(codes > 0, 1, -1) if entry.step == 2 else codes
            found = UNPACKINGS[kind](rows, length)
            to = np.ascontiguousarray(codes.astype(np.int8))
            arguments = (Read(entry.pack(codes.astype(np.int32))), *found.counts, Written(to))
            yield name_call(MicroCall(found.part, arguments), rows, length)
            if kind in PACKINGS:
                found = PACKINGS[kind](rows, length)
                arguments = (Read(to), *found.counts, Written(entry.pack(codes.astype(np.int32))))
                yield name_call(MicroCall(found.packing, arguments), kind, rows, length)


def list_small_rows(rng: np.random.Generator, row: HalfwordRow | PairedRow) -> Calls:
    """Words of codes, with zeros up to a multiple of four."""
    for count in (1, 3, 4, 7, 16, 35):
        x = draw_bytes(rng, count)
        wide = Written(np.pad(x, (0, -count % 4)).astype(np.int32))
        yield name_call(MicroCall(row.widen(count), (Read(x), wide)))


def list_digit_inputs(rng: np.random.Generator) -> Calls:
    """Words 0, 2, 1, 3 of four codes as int16, zeros up to a multiple of eight."""
    for count in (1, 3, 4, 8, 31, 40):
        x = draw_bytes(rng, count)
        padded = np.pad(x, (0, -count % 8)).reshape(-1, 4)[:, [0, 2, 1, 3]]
        part = dense_digits.widen_inputs(count)
        yield name_call(MicroCall(part, (Read(x), Written(padded.astype(np.int16)))))


# Panels.


def list_triples(rng: np.random.Generator) -> Calls:
    """Words of three pixels for each place."""
    for words in (1, 2, 5):
        x = draw_bytes(rng, 3, words * 4)
        panel = Written(np.ascontiguousarray(x.T).astype(np.int32))
        yield name_call(MicroCall(Triples().gather(words), (Read(x), panel)))
    for lines, words, row in ((1, 1, 4), (3, 2, 12), (2, 3, 20)):
        windows = draw_bytes(rng, 3, lines, row)
        taps = windows[:, :, : words * 4].reshape(3, -1)
        arguments = (*(Read(it) for it in windows), Written(taps.T.astype(np.int32)))
        yield name_call(MicroCall(Triples().collect(lines, words, row), arguments))


def list_paired_windows(rng: np.random.Generator) -> Calls:
    """Words u + 2^24 * x of two pixels each, places 0, 3, 1, 2 of a word."""
    for lines, words, row in ((1, 1, 4), (3, 2, 12), (2, 6, 28), (3, 12, 60)):
        windows = draw_bytes(rng, 4, lines, row)
        taps = windows[:, :, : words * 4].reshape(4, lines * words, 4)
        pairs = taps[:, :, [0, 3, 1, 2]].astype(np.int64).reshape(2, 2, -1)
        panel = (pairs[:, 0] + 128 + (pairs[:, 1] << 24)).T
        to = Written(np.ascontiguousarray(panel).astype(np.uint64).astype(np.uint32))
        part = PairedQuads().collect(lines, words, row)
        yield name_call(MicroCall(part, (*(Read(it) for it in windows), to)))


def list_vector_windows(rng: np.random.Generator) -> Calls:
    """Lines of two windows side by side; vectors run over, so what is compared ends with them."""
    for rows, vectors_, line, pixel in ((1, 1, 16, 4), (3, 1, 40, 16), (2, 2, 64, 8)):
        taps = vectors_ * 16
        x = draw_bytes(rng, rows, line + pixel)
        flat = x.reshape(-1)
        lines = [[r * line + p for r in range(rows)] for p in (0, pixel)]
        both = np.stack([[flat[at : at + taps] for at in starts] for starts in lines])
        part = vectors.collect_windows(rows, taps, line, pixel, rows * taps)
        yield name_call(MicroCall(part, (Read(x), Written(np.ascontiguousarray(both)))))


# Bit slices: a word has 32 channels, a counter lies across words.


def list_slices(rng: np.random.Generator, slices: Slices) -> Calls:
    for words in (1, 2, 5):
        x = rng.integers(0, 2**32, words, dtype=np.uint32)
        bits = (x[:, None] >> np.arange(32, dtype=np.uint32) & 1).reshape(-1)
        masks = np.where(bits, 2**32 - 1, 0).astype(np.uint32)
        masks[1::2] ^= masks[0::2]
        yield name_call(MicroCall(slices.expand(), (Read(x), Written(masks), words)), words)
    for levels in (7, 9, 12):
        yield from list_counters(rng, slices, levels)


def list_counters(
    rng: np.random.Generator, slices: Slices, levels: int, sizes: Sequence[int] = (1, 3)
) -> Calls:
    """Counters of 32 channels, plus one wherever input and weight differ."""
    parts = list_parts(slices, 32 if slices.places == 32 else 64, levels)
    named = [(parts.get("blocks", parts["count"]), 64, ())]
    if "word" in parts:
        needs = (parts["blocks"], parts["word"])
        named += [(parts["word"], 32, ()), (parts["count"], 32, needs)]
    for part, block, needs in named:
        for blocks in sizes:
            places = blocks * block
            x = rng.integers(0, 2, places)
            w = rng.integers(0, 2, (places, 32))
            start = rng.integers(0, 1 << levels, 32)
            total = (start + (x[:, None] != w).sum(0)) % (1 << levels)
            masks = np.where(x, 2**32 - 1, 0).astype(np.uint32)
            weights = join_lanes(w)
            masks[1::2] ^= masks[0::2]
            weights[1::2] ^= weights[0::2]
            state = Updated(slice_numbers(start, levels), slice_numbers(total, levels))
            arguments: tuple[Argument, ...] = (Read(weights), Read(masks), state, blocks)
            yield name_call(MicroCall(part, arguments, needs), blocks)


def join_lanes(bits: np.ndarray) -> np.ndarray:
    """Words of (..., 32) bits, the first lowest."""
    return (bits.astype(np.uint64) << np.arange(32, dtype=np.uint64)).sum(-1).astype(np.uint32)


def slice_numbers(numbers: np.ndarray, levels: int) -> np.ndarray:
    return join_lanes((numbers[None, :] >> np.arange(levels)[:, None]) & 1)


# Weights of few bits.


def list_packed_weights(rng: np.random.Generator) -> Calls:
    """Fields to int16: the two weights of a channel in a word, codes times 2^gain."""
    for width in (8, 4, 2, 1):
        form = Form(width)
        for words in (2, 4, 8 // width * 2, 16):
            low, high = -(1 << width - 1), (1 << width - 1) - 1
            codes = rng.integers(low, high + 1, (1, words, 4))
            codes = np.where(codes < 0, -1, 1) if width == 1 else codes
            each = 8 // width
            padded = np.pad(codes, ((0, 0), (0, -words % each), (0, 0)), constant_values=1)
            count = padded.shape[1]
            wide = padded[0][:, [0, 2, 1, 3]] << form.gain
            arguments = (
                Read(form.pack(padded)),
                Written(np.ascontiguousarray(wide).astype(np.int16)),
                count,
            )
            yield name_call(MicroCall(packed_blocks.unpack_weights(form), arguments), words)
            if width < 8:
                joined = np.ascontiguousarray(padded[0] << form.gain).astype(np.int8)
                loose = (Read(form.pack(padded)), Written(joined), count)
                yield name_call(MicroCall(packed_tiles.loosen_weights(form), loose), words)


def list_looked_up(rng: np.random.Generator) -> Calls:
    """Pair indices to int16, and the table of what they mean."""
    for width in (2, 4):
        levels = tuple(sorted(rng.choice(np.arange(-128, 128), 1 << width, False).tolist()))
        form, codes = Form(width, levels), np.array(levels, np.int8)
        means = np.stack(np.broadcast_arrays(codes[None, :], codes[:, None]), axis=-1)
        table = np.ascontiguousarray(means).astype(np.int16)
        listing = (Read(codes), Written(table), 1 << width)
        yield name_call(MicroCall(packed_blocks.list_levels(), listing), width)
        pairs = rng.choice(codes, (1, 16 // width * 2, 2))
        wide = Written(np.ascontiguousarray(pairs[0]).astype(np.int16))
        arguments = (Read(form.pack_indices(pairs)), wide, pairs.shape[1] // 2, Read(table))
        yield name_call(MicroCall(packed_blocks.unpack_weights(form), arguments), width)


# Winograd's transforms.

# B^T of F(2 x 2, 3 x 3), its lines as the kernel stores them; G times two.
_INPUT = np.array([[1, 0, -1, 0], [0, -1, 1, 0], [0, 1, 1, 0], [0, 1, 0, -1]])


def list_winograd2(rng: np.random.Generator) -> Calls:
    for width, channels in ((8, 8), (16, 4), (8, 12)):
        lines = draw_bytes(rng, 4, width, channels)
        moved = np.einsum("pl,lxc->xcp", _INPUT, lines.astype(np.int64))
        # [word][column][lane][position][two codes], one column of padding on either side.
        split = moved.reshape(width, channels // 4, 2, 2, 4)
        found = split.transpose(1, 0, 3, 4, 2)
        inner = np.ascontiguousarray(found).astype(np.int16)
        before = rng.integers(-5, 6, (channels // 4, width + 2, 2, 4, 2)).astype(np.int16)
        after = before.copy()
        after[:, 1:-1] = inner
        part = winograd2.transform_lines(width, channels)
        arguments = (*(Read(line) for line in lines), Updated(before, after))
        yield name_call(MicroCall(part, arguments))


def list_winograd2_across(rng: np.random.Generator) -> Calls:
    """Vertical positions of ten columns to panels [pair of places][16][4 tiles]."""
    for width, channels in ((8, 8), (16, 4)):
        t = rng.integers(-256, 256, (channels // 4, width + 2, 2, 4, 2)).astype(np.int16)
        columns = np.stack([t[:, 2 * tile : 2 * tile + 4] for tile in range(4)]).astype(np.int64)
        # [tile][word][column][lane][vertical][code] to [word][lane][vertical][horizontal][tile].
        moved = np.einsum("hc,twclvk->wlvhtk", _INPUT[[0, 2, 1, 3]], columns)
        panel = np.ascontiguousarray(moved.reshape(channels // 2, 16, 4, 2)).astype(np.int16)
        part = winograd2.transform_columns(width, channels)
        yield name_call(MicroCall(part, (Read(t), Written(panel))))


def list_winograd4_products(rng: np.random.Generator) -> Calls:
    """36 positions of four tiles by two channels, m[position][channel][tile]."""
    for pairs in (2, 4, 9):
        w = rng.integers(-(2**11), 2**11, (36, pairs, 2, 2)).astype(np.int16)
        panel = rng.integers(-(2**11), 2**11, (pairs, 36, 4, 2)).astype(np.int16)
        m = np.einsum("zqcj,qztj->zct", w.astype(np.int64), panel.astype(np.int64))
        to = Written(np.ascontiguousarray(m).astype(np.int32))
        yield name_call(MicroCall(conv_winograd4.multiply_tiles(pairs), (Read(w), Read(panel), to)))


# Pixels and planes.


def list_picked(rng: np.random.Generator, plane: Plane) -> Calls:
    """Words of a line: the code of a channel, or the codes of four."""
    for columns, channels in ((1, 4), (5, 8), (8, 12), (17, 300)):
        x = draw_bytes(rng, columns, channels)
        some = np.ascontiguousarray(x[:, : plane.channels])
        words = some.reshape(-1).astype(np.int32) if plane.channels == 1 else some
        yield name_call(MicroCall(plane.pick(columns, channels), (Read(x), Written(words))))


def list_pixel_products(
    rng: np.random.Generator,
    name: str,
    pixels: int,
    sizes: Sequence[tuple[int, int]] = ((4, 2), (8, 6), (36, 4)),
) -> Calls:
    """Codes of as many pixels as a block has, from the panel that `gather` makes of them."""
    for inputs, channels in sizes:
        bound, x, y = bind_pixels(rng, name, pixels, inputs, channels)
        if pixels == 3:
            panel = np.ascontiguousarray(x.T).astype(np.int32)
        else:
            places = x.reshape(4, -1, 4)[:, :, [0, 3, 1, 2]].astype(np.int64).reshape(2, 2, -1)
            panel = (places[:, 0] + 128 + (places[:, 1] << 24)).T.astype(np.uint64)
            panel = np.ascontiguousarray(panel).astype(np.uint32)
        arguments = (Read(bound.tables[0].words), Read(panel), Written(y), End(0))
        yield name_call(MicroCall(bound.parts["product"], arguments), inputs, channels)


def bind_pixels(
    rng: np.random.Generator, name: str, pixels: int, inputs: int, channels: int
) -> tuple[Bound, np.ndarray, np.ndarray]:
    """A kernel bound to a convolution of single pixels, the pixels, and its outputs."""
    for _ in range(_TRIES):
        graph, codes = _draw_pixels(rng, pixels, inputs, channels)
        if isinstance(bound := _bind(name, graph), Bound):
            break
    assert isinstance(bound, Bound), bound
    outputs = reference.run(graph, codes)
    return bound, codes.reshape(pixels, inputs).astype(np.int8), outputs.astype(np.int8)


def _draw_pixels(
    rng: np.random.Generator, pixels: int, inputs: int, channels: int
) -> tuple[Graph, np.ndarray]:
    entry = find_format("s8")
    weights = np.maximum(draw_bytes(rng, channels, 1, 1, inputs), -127).astype(np.int32)
    x = TensorType((1, pixels, inputs), entry, 0.1, int(rng.integers(-128, 128)))
    builder = GraphBuilder.start("pixels", x)
    codes = draw_bytes(rng, 1, 1, pixels, inputs).astype(np.int32)
    epilogue = Requantize("s8", 1.0, int(rng.integers(-99, 99)), -128, 127)
    operation = Conv2D(epilogue, Window((1, 1)), x.zero_point)
    tables = add_tables(builder, rng, epilogue, operation.accumulate(codes, weights), False)
    constant = builder.constant("weights", weights, entry)
    return builder.build(builder.apply("layer", operation, "input", constant, *tables)), codes


# Products of dense layers: constants as the kernel packs them, outputs by the reference.


def bind_dense(
    rng: np.random.Generator, name: str, inputs: int, channels: int, epilogue: Epilogue
) -> tuple[Bound, np.ndarray, np.ndarray]:
    """A kernel bound to a layer of one row, the row, and its outputs."""
    for _ in range(_TRIES):
        graph, codes = _draw_dense(rng, "digits" in name, inputs, channels, epilogue)
        if isinstance(bound := _bind(name, graph), Bound):
            break
    assert isinstance(bound, Bound), bound
    outputs = reference.run(graph, codes).reshape(-1)
    return (
        bound,
        codes.reshape(-1),
        outputs.astype(np.int32 if isinstance(epilogue, Raw) else np.int8),
    )


def _bind(name: str, graph: Graph) -> Bound | Refusal:
    (kernel,) = (it for it in list_kernels() if it.name == name)
    return kernel.bind(describe_layer(graph, graph.nodes[0], (kernel.isa,)))


def _draw_dense(
    rng: np.random.Generator, few: bool, inputs: int, channels: int, epilogue: Epilogue
) -> tuple[Graph, np.ndarray]:
    entry = find_format("s8")
    weights = rng.integers(-7, 8, (channels, inputs)) if few else draw_bytes(rng, channels, inputs)
    weights = np.maximum(weights, -127).astype(np.int32)
    x = TensorType((1, inputs), entry, 0.1, int(rng.integers(-128, 128)))
    builder = GraphBuilder.start("row", x)
    codes = draw_bytes(rng, 1, 1, inputs).astype(np.int32)
    operation = Dense(epilogue, x.zero_point)
    samples = np.concatenate([codes, rng.integers(-128, 128, (4, 1, inputs))])
    acc = operation.accumulate(samples.astype(np.int32), weights)
    tables = add_tables(builder, rng, epilogue, acc, False)
    constant = builder.constant("weights", weights, find_format("s4" if few else "s8"))
    return builder.build(builder.apply("layer", operation, "input", constant, *tables)), codes


def list_dense_products(
    rng: np.random.Generator,
    name: str,
    step: int,
    sizes_of: Sequence[tuple[int, int]] = ((8, 1), (16, 2), (40, 1), (7, 1)),
) -> Calls:
    """Sums as they are, and rounded to int8, of channels in whole blocks."""
    for inputs, blocks in sizes_of:
        channels = blocks * step
        for epilogue in (Raw(), Requantize("s8", 1.0, int(rng.integers(-99, 99)), -128, 127)):
            bound, x, y = bind_dense(rng, name, inputs, channels, epilogue)
            if "row" in name:
                wide = np.pad(x, (0, -inputs % 4)).astype(np.int32)
            else:
                padded = np.pad(x, (0, -inputs % 8)).reshape(-1, 4)[:, [0, 2, 1, 3]]
                wide = padded.astype(np.int16)
            arguments: tuple[Argument, ...] = (Read(bound.tables[0].words), Read(wide), Written(y))
            needs: tuple[object, ...] = ()
            if "job" in bound.parts:
                sizes, known = bound.values["sizes"], bound.values["epilogue"]
                job = (sizes.places * 2, sizes.skip, sizes.blocks, known.addend, known.shift)
                job = (*job, sizes.half * int(x.sum()))
                arguments = (*arguments, Read(np.array(job, np.int32)))
                needs = (bound.parts["job"],)
            call = MicroCall(bound.parts["product"], arguments, needs)
            yield name_call(call, inputs, channels, type(epilogue).__name__)


def list_taps(rng: np.random.Generator) -> Calls:
    """Channels of one pixel, tap by tap: rounded once, and as TFLite does."""
    entry = find_format("s8")
    for taps, channels in ((1, 4), (3, 8), (8, 4), (11, 12), (15, 4), (27, 4), (9, 1024)):
        for epilogue in (
            Requantize("s8", 1.0, int(rng.integers(-99, 99)), -128, 127),
            RequantizeTwice("s8", 1.0, int(rng.integers(-99, 99)), -99, 99),
        ):
            bound, x, y = _bind_taps(rng, taps, channels, epilogue, entry)
            arguments = (Read(x), Read(bound.tables[0].words), Written(y), channels // 4)
            call = MicroCall(bound.parts["multiply"], arguments)
            yield name_call(call, taps, channels, type(epilogue).__name__)


def _bind_taps(
    rng: np.random.Generator, taps: int, channels: int, epilogue: Epilogue, entry: Format
) -> tuple[Bound, np.ndarray, np.ndarray]:
    """The kernel bound to a column of so many taps, the column, and its outputs."""
    for _ in range(_TRIES):
        kind = TensorType((taps, 1, channels), entry, 0.1, int(rng.integers(-128, 128)))
        builder = GraphBuilder.start("model", kind)
        operation = DepthwiseConv2D(epilogue, Window((taps, 1)), kind.zero_point)
        codes = draw_bytes(rng, 1, taps, 1, channels).astype(np.int32)
        weights = draw_bytes(rng, taps, 1, channels).astype(np.int32)
        samples = draw_bytes(rng, 9, taps, 1, channels).astype(np.int32)
        acc = operation.accumulate(samples, weights)
        tables = add_tables(builder, rng, epilogue, acc, True)
        constant = builder.constant("weights", weights, entry)
        graph = builder.build(builder.apply("layer", operation, "input", constant, *tables))
        bound = _bind("depthwise2d_s8_int8_armv7em-taps", graph)
        if isinstance(bound, Bound):
            break
    assert isinstance(bound, Bound), bound
    outputs = reference.run(graph, codes).reshape(-1).astype(np.int8)
    return bound, codes.reshape(-1).astype(np.int8), outputs


def dense(name: str, step: int) -> Check:
    """Products of a kernel, in blocks of so many channels."""
    return functools.partial(list_dense_products, name=name, step=step)


CHECKS: Mapping[str, tuple[Check, ...]] = {
    "armv6m": (
        list_memory,
        functools.partial(list_small_rows, row=HalfwordRow()),
        list_triples,
        functools.partial(list_slices, slices=StackSlices()),
        functools.partial(list_picked, plane=SingleChannels()),
        dense("dense_s8_int8_armv6m-row", 4),
        functools.partial(list_pixel_products, name="conv2d_s8_int8_armv6m-pixels", pixels=3),
    ),
    "armv7m": (
        list_memory,
        functools.partial(list_small_rows, row=PairedRow()),
        list_paired_windows,
        functools.partial(list_slices, slices=WordSlices()),
        functools.partial(list_picked, plane=FourChannels()),
        dense("dense_s8_int8_armv7m-row", 4),
        functools.partial(list_pixel_products, name="conv2d_s8_int8_armv7m-pixels", pixels=4),
    ),
    "armv7em": (
        list_memory,
        list_digit_inputs,
        functools.partial(list_slices, slices=WordSlices()),
        list_packed_weights,
        list_looked_up,
        list_winograd2,
        list_winograd2_across,
        list_winograd4_products,
        list_taps,
        dense("dense_s8_int8_armv7em-lanes", 4),
        dense("dense_s8_int8_armv7em-digits", 4),
    ),
    "mve": (list_memory, list_vector_windows),
}
