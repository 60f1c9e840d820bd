"""Calls of micro-kernels that move, pool and add: what they write by a few lines of NumPy."""

from __future__ import annotations

import numpy as np

from tests.micro_checks import Calls, Check, draw_bytes, name_call
from tests.micro_kernels import MicroCall, Read, Start, Written
from tests.micro_layers import bind, bind_drawn, draw_codes, place
from tinyq.graph import Graph, GraphBuilder, TensorType, reference
from tinyq.graph.epilogues import RequantizeTwice
from tinyq.graph.ops import OPERATIONS
from tinyq.graph.ops.window import Window
from tinyq.kernels.armv7em import columns
from tinyq.kernels.base import Bound
from tinyq.kernels.geometry import WindowGeometry
from tinyq.numerics.fixed_point import scale_twice
from tinyq.numerics.formats import find_format

_S8 = find_format("s8")


def list_runs(rng: np.random.Generator) -> Calls:
    """A border of one value, lines inside it, and rows of two operands in turn."""
    for kind, channels, width, padding in (
        ("s8", 4, 3, (1, 2, 1, 3)),
        ("s8", 3, 5, (0, 1, 2, 1)),
        ("s8", 40, 9, (1, 1, 1, 1)),
        ("s16", 1, 7, (2, 0, 1, 0)),
        ("s16", 6, 33, (1, 1, 2, 2)),
    ):
        entry = find_format(kind)
        bound = _bind_padded(f"pad2d_{kind}_armv7em-runs", entry, (2, width, channels), padding)
        dtype = np.dtype(f"i{entry.bits // 8}")
        x = draw_codes(rng, entry, width, channels).astype(dtype)
        yield name_call(MicroCall(bound.parts["copy"], (Read(x), Written(x))), width)
        for key, part in bound.parts.items():
            if key.startswith("set_"):
                size = bound.values[key.removeprefix("set_")]
                border = np.full(size // dtype.itemsize, bound.layer.geometry["value"], dtype)
                yield name_call(MicroCall(part, (Written(border), bound.values["value"])))
    for kind, one, two, rows in (
        ("s8", 4, 8, 3),
        ("s8", 3, 6, 4),
        ("s8", 33, 170, 2),
        ("s16", 2, 5, 3),
        ("s16", 96, 80, 2),
    ):
        entry = find_format(kind)
        dtype = np.dtype(f"i{entry.bits // 8}")
        builder = GraphBuilder.start("joined", TensorType((rows, 1, one), entry))
        b = draw_codes(rng, entry, rows, 1, two)
        constant = builder.constant("b", b.astype(np.int32), entry)
        joined = builder.apply("layer", OPERATIONS["Concatenate"](), "input", constant)
        bound = bind(f"concatenate_{kind}_armv7em-runs", builder.build(joined))
        assert isinstance(bound, Bound)
        a = draw_codes(rng, entry, rows, 1, one)
        both = np.concatenate([a, b], axis=2).astype(dtype)
        operands = Read(a.astype(dtype)), Read(b.astype(dtype)), Written(both)
        yield name_call(MicroCall(bound.parts["join"], operands), one, two, rows)


def _bind_padded(name, entry, shape, padding) -> Bound:
    builder = GraphBuilder.start("padded", TensorType(shape, entry))
    value = int(entry.hi) - 5
    graph = builder.build(builder.apply("layer", OPERATIONS["Pad2D"](padding, value), "input"))
    bound = bind(name, graph)
    assert isinstance(bound, Bound)
    return bound


def list_pools(rng: np.random.Generator) -> Calls:
    """The largest codes of a window, and sums of bytes, of the first or the last block."""
    for kind, channels, size, dilation in (
        ("s8", 4, (1, 1), (1, 1)),
        ("s8", 5, (2, 3), (1, 2)),
        ("s8", 17, (3, 2), (2, 1)),
        ("s8", 24, (15, 17), (1, 1)),
        ("s16", 2, (2, 2), (1, 1)),
        ("s16", 11, (3, 1), (1, 3)),
    ):
        entry = find_format(kind)
        window = Window(size, dilation=dilation)
        shape = (*window.extent(), channels)
        x = draw_codes(rng, entry, *shape)
        taps = x[:: dilation[0], :: dilation[1]]
        pools = [("MaxPool2D", "maxpool2d", taps.max((0, 1)), f"i{entry.bits // 8}")]
        if kind == "s8":
            pools.append(("AveragePool2D", "averagepool2d", taps.sum((0, 1)), "i4"))
        for operation, kernel, found, dtype in pools:
            builder = GraphBuilder.start("pool", TensorType(shape, entry))
            graph = builder.build(builder.apply("layer", OPERATIONS[operation](window), "input"))
            bound = bind(f"{kernel}_{kind}_armv7em-blocks", graph)
            assert isinstance(bound, Bound)
            blocks = bound.values["blocks"]
            for first in {0, blocks.last}:
                y = Written(found[first : first + blocks.size].astype(dtype))
                corner = Start(5, first * entry.bits // 8)
                sizes = (*size, bound.values["line_bytes"])
                image = Read(x.astype(f"i{entry.bits // 8}"))
                call = MicroCall(bound.parts["take"], (corner, y, *sizes), (), (image,))
                yield name_call(call, operation, channels, first)


def list_columns(rng: np.random.Generator) -> Calls:
    """Copies from and to any byte, panels of int16, and windows wherever they lie."""
    for count, source, target in ((8, 0, 0), (9, 1, 2), (35, 3, 0), (64, 2, 3), (131, 1, 1)):
        x = draw_bytes(rng, count + 3)
        to = place((count + 3,), np.int8, slice(target, target + count), x[source:][:count])
        call = MicroCall(
            columns.copy_loose(count),
            (Start(2, source), Start(3, target)),
            (),
            (Read(x), Written(to)),
        )
        yield name_call(call, source, target)
    for words in (1, 4, 7, 18):
        x = rng.integers(-(2**15), 2**15, (4, words, 2)).astype(np.int16)
        panel = Written(np.ascontiguousarray(x.swapaxes(0, 1)))
        yield name_call(MicroCall(columns.collect_wide(words), (*map(Read, x), panel)))
    for bits, channels, width, dilation, stride in (
        (8, 3, 3, (1, 1), (1, 1)),
        (8, 8, 2, (2, 3), (2, 1)),
        (8, 1, 9, (1, 1), (1, 2)),
        (16, 5, 3, (1, 1), (2, 2)),
        (16, 1, 2, (3, 2), (1, 1)),
    ):
        yield from _list_windows(rng, bits, channels, width, dilation, stride)


def _list_windows(rng, bits, channels, width, dilation, stride) -> Calls:
    height, top, left = 3, 2, 1
    in_height, in_width = 5, 11
    window = Window((height, width), stride, dilation, (top, top, left, left))
    out = window.output_size((in_height, in_width, channels))
    zero = -9
    sizes = (in_height, in_width, channels, *out, 1, height, width, *stride, *dilation)
    g = WindowGeometry(*sizes, top, left, zero)
    parts = columns.list_column_parts(g, bits)
    dtype = np.int8 if bits == 8 else np.int16
    x = rng.integers(-128, 128, (in_height, in_width, channels)).astype(dtype)
    sides = [(top, top + height), (left, left + width), (0, 0)]
    padded = np.pad(x, sides, constant_values=zero)
    needs = tuple(part for key, part in parts.items() if key != "column")
    for r, c in ((0, 0), (out[0] - 1, out[1] - 1), (out[0] // 2, out[1] // 2)):
        lines = r * stride[0] + np.arange(height) * dilation[0]
        columns_ = c * stride[1] + np.arange(width) * dilation[1]
        taps = Written(np.ascontiguousarray(padded[np.ix_(lines, columns_)]))
        call = MicroCall(parts["column"], (Read(x), r, c, taps), needs)
        yield name_call(call, bits, channels, r, c)


def list_sums(rng: np.random.Generator) -> Calls:
    """Twice what every code adds, by the unsigned byte that it is; then codes of the sums."""
    for count in (1, 15, 16, 50):
        bound, graph = _draw_sum(rng, count)
        g, known = bound.layer.geometry, bound.values
        codes = np.arange(256).astype(np.uint8).view(np.int8).astype(np.int64)
        lists = []
        for operand, sign, bias in (("x", 1, known["constants"].bias), ("y", g["y_sign"], 0)):
            zero, multiplier = g[f"{operand}_zero"], g[f"{operand}_multiplier"]
            exponent = g[f"{operand}_exponent"]
            terms = scale_twice((codes - zero) << g["left_shift"], multiplier, exponent)
            lists.append(2 * (sign * terms + bias))
            arguments = (zero, known["one"], multiplier, -exponent, sign, bias)
            to = Written(lists[-1].astype(np.int32))
            yield name_call(MicroCall(bound.parts["list_terms"], (to, *arguments)), operand)
        a, b = draw_bytes(rng, 1, 1, count), draw_bytes(rng, 1, 1, count)
        named = {"a": a[None].astype(np.int32), "b": b[None].astype(np.int32)}
        y = reference.run_named(graph, named)["layer"]
        terms = Read(np.concatenate(lists).astype(np.int32))
        operands = (Read(a), Read(b), Written(y.astype(np.int8)), terms)
        yield name_call(MicroCall(bound.parts["sum"], operands), count)


def _draw_sum(rng: np.random.Generator, count: int) -> tuple[Bound, Graph]:
    graphs = []

    def draw() -> tuple[Graph, np.ndarray]:
        low, high = sorted(int(code) for code in rng.choice(256, 2, replace=False) - 128)
        epilogue = RequantizeTwice("s8", 1.0, int(rng.integers(low, high + 1)), low, high)
        terms = [(int(rng.integers(2**30, 2**31)), -int(rng.integers(0, 8))) for _ in range(2)]
        zeros = (int(v) for v in rng.integers(-128, 128, 2))
        sign = int(rng.choice((-1, 1)))
        operation = OPERATIONS["TfliteAdd"](epilogue, *terms[0], *terms[1], sign, 20, *zeros)
        x = TensorType((1, 1, count), _S8)
        builder = GraphBuilder.start("sum", x, "a")
        builder.add_input("b", x)
        constants = [
            builder.constant(key, np.full(count, value), find_format("s32"))
            for key, value in zip(
                epilogue.names,
                (
                    int(rng.integers(-999, 999)),
                    int(rng.integers(2**30, 2**31)),
                    -int(rng.integers(16, 23)),
                ),
                strict=True,
            )
        ]
        graphs.append(builder.build(builder.apply("layer", operation, "a", "b", *constants)))
        return graphs[-1], np.zeros(0)

    bound, _ = bind_drawn("tfliteadd_s8_s8_armv7em", draw)
    return bound, graphs[-1]


CHECKS: dict[str, tuple[Check, ...]] = {
    "armv7em": (list_runs, list_pools, list_columns, list_sums),
}
