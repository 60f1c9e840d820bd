"""Graphs of one layer for specialized kernels: sizes around their blocks, extremes of codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tests import random_graphs
from tests.operations.recurrence import draw_curves
from tests.selected import list_specialized
from tinyq.errors import ModelError
from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.accumulating import Accumulating
from tinyq.graph.epilogues import (
    Epilogue,
    Raw,
    Requantize,
    RequantizeTwice,
    RequantizeWide,
    RoundEven,
    Steps,
    Threshold,
)
from tinyq.graph.ops import OPERATIONS
from tinyq.graph.ops.window import Window, same_padding
from tinyq.kernels.base import Bound, Kernel, list_members
from tinyq.kernels.unpacking import UNPACKINGS
from tinyq.numerics.formats import Format, find_format
from tinyq.numerics.recurrence import CELLS
from tinyq.numerics.rounding import fold_affine, fold_even

Shape = tuple[int, ...]
S32 = find_format("s32")
# Blocks are 2, 4, 8 and 16 wide: one, one less, whole, one more, several.
_CHANNELS = (1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 33, 40)
_SIDES = (1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 16)
_TRIES = 900
_TWICE = ("conv2d", "depthwise2d")  # operations whose specialized kernels also round twice
_TWICE_ALONE, _WIDE = "twice", "wide"  # how variants begin that round twice, or with 63 bits
_ONCE = ("winograd2", "winograd4")  # variants that do not on armv7em
_TILED = (*_ONCE, "packedtiles", "slimtiles")  # variants that take 3 x 3 alone
_TILED_SIDES = ((2, 8), (4, 8), (4, 16), (8, 8), (16, 4), (16, 8), (16, 16), (12, 16), (2, 40))
_APART = ("columns", "lanes", "words")  # how variants end whose taps may lie apart
_SUMS = "sums"  # how variants begin that take what the others do not finish themselves
_MOST_BYTES = 2100  # of an input or output: the emulated serial line is slow


def draw_codes(rng: np.random.Generator, shape: Shape, entry: Format) -> np.ndarray:
    """Random codes; now and then the lowest or highest alone, few bits, or few of the codes."""
    if entry.levels or entry.values:
        return random_graphs.draw_codes(rng, entry, shape)
    if entry.step == 2:
        return rng.integers(0, 2, shape).astype(np.int32) * 2 - 1
    low = max(entry.lo, -127) if entry.lo == -128 and rng.random() < 0.5 else entry.lo
    kind = rng.integers(0, 8)
    if kind == 3:  # kernels may list the codes that there are
        few = rng.integers(low, entry.hi + 1, (1, 2, 4, 16)[int(rng.integers(0, 4))])
        return rng.choice(few, shape).astype(np.int32)
    if kind < 2:
        return np.full(shape, (low, entry.hi)[kind], np.int32)
    if kind > 5:
        least, most = ((-2, 1), (-8, 7))[kind - 6]
        return rng.integers(max(low, least), min(entry.hi, most) + 1, shape).astype(np.int32)
    if kind == 2:
        return rng.choice([low, entry.hi], shape).astype(np.int32)
    return rng.integers(low, entry.hi + 1, shape).astype(np.int32)


def draw_epilogue(rng: np.random.Generator, kernel: Kernel, formats: tuple[str, ...]) -> Epilogue:
    """A epilogue that specialized kernels know, with a whole or a part of the range."""
    if kernel.formats[0] == "b1":
        return Threshold()
    if kernel.variant.startswith(_WIDE) or (kernel.formats[0] == "s16" and rng.random() < 0.7):
        return _draw_wide_epilogue(rng)
    if kernel.variant.startswith(_SUMS):
        return _draw_any_epilogue(rng)
    if kernel.variant.startswith(_TWICE_ALONE):
        low, high = sorted(int(code) for code in rng.choice(256, 2, replace=False) - 128)
        return RequantizeTwice("s8", 1.0, int(rng.integers(low, high + 1)), low, high)
    if kernel.operation == "dense" and rng.random() < 0.3:
        return Raw()
    entry = find_format(str(rng.choice(formats)))
    low, high = entry.lo, entry.hi
    if rng.random() < 0.4:
        low = int(rng.integers(entry.lo, entry.hi))
        high = int(rng.integers(low + 1, entry.hi + 1))
    once = kernel.isa == "armv7em" and kernel.variant in _ONCE
    twice = kernel.operation in _TWICE and not once
    if twice and entry.name == "s8" and rng.random() < 0.5:
        return RequantizeTwice("s8", 1.0, int(rng.integers(low, high + 1)), low, high)
    return Requantize(entry.name, 1.0, int(rng.integers(low, high + 1)), low, high)


def _draw_wide_epilogue(rng: np.random.Generator) -> Epilogue:
    """Both formats, with a ReLU now and then."""
    entry = find_format(str(rng.choice(("s16", "s16", "s8"))))
    low = int(rng.choice((entry.lo, 0)))
    return RequantizeWide(entry.name, 1.0, int(rng.integers(-9, 9)), low, entry.hi)


def _draw_any_epilogue(rng: np.random.Generator) -> Epilogue:
    """A epilogue that is none of those which most specialized kernels know."""
    kind = int(rng.integers(0, 8))
    if kind < 2:
        return Threshold()
    if kind < 5:
        entry = find_format(("u2", "u4", "s8")[kind - 2])
        levels = np.sort(rng.integers(entry.lo, entry.hi + 1, int(rng.integers(2, 17))))
        return Steps(entry.name, 1.0, 0, tuple(levels.tolist()))
    if kind < 6:
        entry = find_format(str(rng.choice(("s8", "u4", "s4"))))
        return RoundEven(entry.name, 1.0, int(rng.integers(0, entry.hi)), entry.lo, entry.hi)
    if kind < 7:
        entry = find_format(str(rng.choice(("u2", "u4", "s4", "s3", "s2", "s16"))))
        return Requantize(
            entry.name, 1.0, int(rng.integers(0, min(4, entry.hi + 1))), entry.lo, entry.hi
        )
    return Raw()


def add_tables(
    builder: GraphBuilder, rng: np.random.Generator, epilogue: Epilogue, acc: np.ndarray, same: bool
) -> list[str]:
    """Constants of an epilogue that spread accumulators over the output, some of them by far."""
    channels = acc.shape[-1]
    reach = int(np.abs(acc).max()) + 2
    if isinstance(epilogue, Threshold):
        threshold = rng.integers(-reach, reach, channels)
        threshold = np.where(rng.random(channels) < 0.1, -(2**31), threshold)
        tables = [threshold, rng.integers(0, 2, channels)]
    elif isinstance(epilogue, Steps):
        shape = (len(epilogue.levels) - 1, channels)
        tables = [rng.integers(-reach, reach, shape), rng.integers(0, 2, channels)]
    elif isinstance(epilogue, Raw):
        tables = [rng.integers(-reach, reach, channels)]
    elif isinstance(epilogue, RequantizeWide):
        shift = 31 + int(np.clip(reach.bit_length() - 15, 0, 31)) - rng.integers(0, 3, channels)
        multiplier = rng.integers(2**30, 2**31, channels)
        low = rng.integers(-(2**31), 2**31, channels)
        bias = rng.integers(-min(reach, 2**30), min(reach, 2**30), channels)
        far = rng.integers(-2, 2, channels) if rng.random() < 0.2 else np.zeros_like(bias)
        shift = np.maximum(shift, 33) if rng.random() < 0.8 else shift
        low = low if rng.random() < 0.7 else np.zeros(channels, np.int64)
        tables = [bias, far, multiplier, low, shift]
    elif isinstance(epilogue, RequantizeTwice):
        exponent = min(max(8 - reach.bit_length(), -20), -1)
        exponents = np.minimum(exponent + rng.integers(-2, 2, channels), -1)
        bias = rng.integers(-min(reach, 2**29), min(reach, 2**29), channels)
        multiplier = rng.integers(2**30, 2**31, channels)
        if same:
            bias[:], exponents[:], multiplier[:] = bias[0], exponents[0], multiplier[0]
        # Channels without effect, as pruning leaves them.
        weak = (rng.random(channels) < 0.1) & (not same)
        exponents = np.where(weak, rng.choice([0, -31, -25]), exponents)
        multiplier = np.where(weak & (exponents == 0), 0, multiplier)
        tables = [bias, multiplier, exponents]
    else:
        spread = float(rng.choice([3.0, 60.0, 2000.0]))
        gain = spread / reach * rng.uniform(-1.2, 1.2, channels)
        offset = rng.uniform(-spread, spread, channels)
        if same:
            gain[:], offset[:] = gain[0], offset[0]
        if isinstance(epilogue, RoundEven):
            folded, even = fold_even(gain, offset)
            tables = [folded.bias, folded.multiplier, folded.shift, even]
        else:
            folded = fold_affine(gain, offset)
            tables = [folded.bias, folded.multiplier, folded.shift]
    return [
        builder.constant(name, np.asarray(table), S32)
        for name, table in zip(epilogue.names, tables, strict=True)
    ]


def _window(
    rng: np.random.Generator, size: tuple[int, int], shape: Shape, *, apart: bool = False
) -> Window:
    stride = (int(rng.integers(1, 4)),) * 2
    if rng.random() < 0.5:
        stride = (1, 1)
    dilation = (int(rng.integers(1, 3)) if rng.random() < 0.2 else 1, 1)
    if apart:
        dilation = tuple(int(v) for v in rng.integers(1, (4, 4)))
        stride = tuple(int(v) for v in rng.integers(1, (4, 4)))
    padding = same_padding(shape, size, stride, dilation)
    extent = Window(size, stride, dilation).extent()
    if rng.random() < 0.3 and shape[0] >= extent[0] and shape[1] >= extent[1]:
        padding = (0, 0, 0, 0)
    return Window(size, stride, dilation, padding)


def _draw_conv(rng: np.random.Generator, kernel: Kernel) -> tuple[Shape, Shape, Window]:
    size = (3, 3) if rng.random() < 0.5 else (int(rng.integers(1, 5)), int(rng.integers(1, 5)))
    if rng.random() < 0.3:
        size = (1, 1)
    step = 32 if kernel.formats[0] == "b1" else 1
    inputs = int(rng.choice((1, 2, 3, 4) if step > 1 else _CHANNELS)) * step
    outputs = int(rng.choice((32, 64) if step > 1 else (*_CHANNELS, *[inputs] * 8)))
    shape = (int(rng.choice(_SIDES)), int(rng.choice(_SIDES)), inputs)
    if kernel.variant in _TILED:
        sides = _TILED_SIDES[rng.integers(0, len(_TILED_SIDES))]
        shape = (*sides, int(rng.integers(1, 6)) * 8)
        return (
            shape,
            (int(rng.choice((2, 3, 4, 5, 6, 8, shape[2]))), 3, 3, shape[2]),
            Window((3, 3), padding=(1, 1, 1, 1)),
        )
    if kernel.variant == "lanes":  # rows of codes as they are
        shape = (*(int(v) for v in rng.integers(1, 4, 2)), inputs)
        size = (1, 1) if rng.random() < 0.5 else shape[:2]
        return shape, (outputs, *size, inputs), Window(size)
    if kernel.variant.endswith("lanes"):
        shape = (*(int(v) for v in rng.integers(1, 4, 2)), inputs)
    apart = kernel.variant.endswith(_APART) and rng.random() < 0.6
    return shape, (outputs, *size, inputs), _window(rng, size, shape, apart=apart)


def _draw_depthwise(rng: np.random.Generator, kernel: Kernel) -> tuple[Shape, Shape, Window]:
    shape = tuple(int(rng.choice(options)) for options in (_SIDES, _SIDES, _CHANNELS))
    if kernel.variant == "bands":  # more lines than one has
        return _draw_strips(rng, (int(rng.integers(40, 80)), int(rng.integers(1, 6)), shape[2]))
    if kernel.variant.endswith("strips"):
        return _draw_strips(rng, shape)
    if kernel.variant == "taps":
        return _draw_taps(rng, shape)
    if kernel.variant.endswith("rowpairs2"):
        shape = ((shape[0] + 1) // 2 * 2, (shape[1] + 1) // 2 * 2, shape[2])
        window = Window((3, 3), (2, 2), (1, 1), (0, 1, 0, 1))
    else:
        window = Window((3, 3), padding=(1, 1, 1, 1))
    return shape, (3, 3, shape[2]), window


def _draw_taps(rng: np.random.Generator, shape: Shape) -> tuple[Shape, Shape, Window]:
    """Windows inside the image whose taps are evenly far apart: columns, rows, whole lines."""
    kind = int(rng.integers(0, 3))
    size = (int(rng.integers(1, shape[0] + 1)), 1)
    if kind:
        size = (1, int(rng.integers(1, shape[1] + 1))) if kind == 1 else (size[0], shape[1])
    room = [(side - 1) // max(taps - 1, 1) for side, taps in zip(shape, size, strict=False)]
    dilation = tuple(int(rng.integers(1, max(min(r, 3), 1) + 1)) for r in room)
    dilation = dilation if kind < 2 else (1, 1)
    stride = tuple(int(v) for v in rng.integers(1, (4, 4)))
    return shape, (*size, shape[2]), Window(size, stride, dilation)


def _draw_strips(rng: np.random.Generator, shape: Shape) -> tuple[Shape, Shape, Window]:
    """Any window of single channels: long lines, lines that are columns, gaps, any padding."""
    shape = (shape[0], 1, shape[2]) if rng.random() < 0.2 else shape
    size = tuple(int(v) for v in rng.integers(1, (8, 8)))
    size = (size[0], 1) if shape[1] == 1 and rng.random() < 0.8 else size
    stride = tuple(int(v) for v in rng.integers(1, (4, 4)))
    dilation = tuple(int(v) for v in rng.integers(1, (4, 4))) if rng.random() < 0.3 else (1, 1)
    extent = Window(size, stride, dilation).extent()
    if rng.random() < 0.5 or any(e > s for e, s in zip(extent, shape, strict=False)):
        padding = tuple(int(v) for v in rng.integers(0, 2 * np.repeat(extent, 2)))
        short = [max(e - s, 0) for e, s in zip(extent, shape, strict=False)]
        padding = (padding[0] + short[0], padding[1], padding[2] + short[1], padding[3])
        padding = padding if shape[1] > 1 or size[1] > 1 else (*padding[:2], 0, 0)
    else:
        padding = (0, 0, 0, 0)
    many = int(rng.integers(1, 4)) if rng.random() < 0.3 else 1
    return shape, (*size, shape[2] * many), Window(size, stride, dilation, padding)


def _draw_pool(rng: np.random.Generator, kernel: Kernel) -> tuple[Shape, Window]:
    """An image and windows that all have a tap inside it, or without padding for sums."""
    shape = tuple(int(rng.choice(options)) for options in (_SIDES, _SIDES, _CHANNELS))
    if rng.random() < 0.2:
        shape = (1, int(rng.integers(200, 400)), int(rng.choice((4, 5))))
    size = tuple(int(rng.integers(1, min(side, 5) + 1)) for side in shape[:2])
    if rng.random() < 0.3:
        size = shape[:2]
    stride = tuple(int(v) for v in rng.integers(1, (4, 4)))
    room = [(s - 1) // max(k - 1, 1) for s, k in zip(shape, size, strict=False)]
    dilation = tuple(int(rng.integers(1, max(min(r, 3), 1) + 1)) for r in room)
    padding = same_padding(shape, size, stride, dilation)
    if kernel.operation == "sumpool2d" or rng.random() < 0.4:
        padding = (0, 0, 0, 0)
    return shape, Window(size, stride, dilation, padding)


def _make_pool(rng: np.random.Generator, kernel: Kernel, name: str) -> Graph:
    x = _draw_input(rng, kernel)
    shape, window = _draw_pool(rng, kernel)
    builder = GraphBuilder.start(name, TensorType(shape, x))
    if kernel.operation == "sumpool2d":
        epilogue = (
            _draw_any_epilogue(rng)
            if rng.random() < 0.5
            else draw_epilogue(rng, kernel, ("s8", "u8"))
        )
        operation = OPERATIONS["SumPool2D"](epilogue, window, _zero(rng, x))
        samples = rng.integers(x.lo, x.hi + 1, (3, *shape)).astype(np.int32)
        tables = add_tables(builder, rng, epilogue, operation.accumulate(samples), False)
        return builder.build(builder.apply("layer_0", operation, "input", *tables))
    low, high = sorted(int(code) for code in rng.choice(256, 2, replace=False) - 128)
    more = (low, high) if kernel.operation == "tfliteaveragepool2d" else ()
    names = {"maxpool2d": "MaxPool2D", "averagepool2d": "AveragePool2D"}
    operation = OPERATIONS[names.get(kernel.operation, "TfliteAveragePool2D")](window, *more)
    return builder.build(builder.apply("layer_0", operation, "input"))


def _make_moved(rng: np.random.Generator, kernel: Kernel, name: str) -> Graph:
    """A border, or a tensor beside another one of fewer or more channels."""
    x = _draw_input(rng, kernel)
    shape = tuple(int(rng.choice(options)) for options in (_SIDES, _SIDES, _CHANNELS))
    builder = GraphBuilder.start(name, TensorType(shape, x))
    if kernel.operation == "pad2d":
        padding = tuple(int(v) for v in rng.integers(0, 4, 4))
        operation = OPERATIONS["Pad2D"](padding, _zero(rng, x))
        return builder.build(builder.apply("layer_0", operation, "input"))
    operands = ["input", "input"]
    if rng.random() < 0.5:
        other = (*shape[:2], int(rng.choice(_CHANNELS)))
        operands[1] = builder.constant("other", draw_codes(rng, other, x), x)
        operands = operands[:: int(rng.choice((1, -1)))]
    operation = OPERATIONS["Concatenate"]()
    return builder.build(builder.apply("layer_0", operation, *operands))


def _make_appended(rng: np.random.Generator, kernel: Kernel, name: str) -> Graph:
    """Columns that come behind others: two times in a row, so that they also move in place."""
    x = _draw_input(rng, kernel)
    shape = tuple(int(rng.choice(options)) for options in (_SIDES, _SIDES, _CHANNELS))
    builder = GraphBuilder.start(name, TensorType(shape, x))
    last = builder.apply("before", OPERATIONS["MaxPool2D"](Window((1, 1))), "input")
    axis = int(rng.integers(0, 3))
    for index in range(2):
        count = int(rng.integers(1, (shape[axis] + 3) // 2))
        other = (*shape[:axis], count, *shape[axis + 1 :])
        new = builder.constant(f"new_{index}", draw_codes(rng, other, x), x)
        last = builder.apply(f"layer_{index}", OPERATIONS["Append"](axis), last, new)
    return builder.build(last)


def _make_product(rng: np.random.Generator, kernel: Kernel, name: str) -> Graph:
    x = _draw_input(rng, kernel)
    shape = tuple(int(rng.choice(options)) for options in (_SIDES, _SIDES, _CHANNELS))
    builder = GraphBuilder.start(name, TensorType(shape, x))
    other = OPERATIONS["MaxPool2D"](Window((2, 2), padding=(0, 1, 0, 1)))
    builder.apply("other", other, "input")
    low, high = sorted(int(code) for code in rng.choice(256, 2, replace=False) - 128)
    epilogue = Requantize("s8", 1.0, int(rng.integers(low, high + 1)), low, high)
    if rng.random() < 0.5:
        epilogue = RequantizeTwice("s8", 1.0, epilogue.zero_point, low, high)
    operation = OPERATIONS["Multiply"](epilogue, _zero(rng, x), _zero(rng, x))
    samples = rng.integers(-128, 128, (2, 1, *shape)).astype(np.int32)
    tables = add_tables(builder, rng, epilogue, operation.accumulate(*samples), True)
    builder.apply("layer_0", operation, "input", "other", *tables)
    return builder.build("layer_0")


def _draw_weights(rng: np.random.Generator, kernel: Kernel, shape: Shape, axis: int = 0) -> Format:
    """A format that the kernel takes for weights of ``shape``; every second time s8."""
    names = [name for name in list_members(kernel.formats[1]) if axis == 0 or name != "g2"]
    name = "s8" if "s8" in names and rng.random() < 0.5 else str(rng.choice(names))
    return random_graphs.draw_table(rng, name, shape, axis)


def _draw_input(rng: np.random.Generator, kernel: Kernel) -> Format:
    """The format that the kernel reads, or one that is unpacked for it."""
    name = str(rng.choice(list(UNPACKINGS))) if kernel.unpacked else kernel.formats[0]
    return find_format(name)


def _zero(rng: np.random.Generator, entry: Format) -> int:
    return 0 if entry.step == 2 else int(rng.integers(entry.lo, entry.hi + 1))


def _build(
    rng: np.random.Generator,
    name: str,
    operation: Accumulating,
    types: tuple[TensorType, np.ndarray, Format],
    repeats: int = 1,
    *,
    inside: bool = False,
) -> Graph:
    x, weights, entry = types
    builder = GraphBuilder.start(name, x)
    samples = rng.integers(x.format.lo, x.format.hi + 1, (3, *x.shape)).astype(np.int32)
    if x.format.step == 2:
        samples = np.where(samples < 0, -1, 1).astype(np.int32)
    tables = add_tables(
        builder, rng, operation.output, operation.accumulate(samples, weights), False
    )
    constant = builder.constant("weights", weights, entry)
    same = OPERATIONS["MaxPool2D"](Window((1, 1)))
    last = builder.apply("before", same, "input") if inside else "input"
    for index in range(repeats):
        last = builder.apply(f"layer_{index}", operation, last, constant, *tables)
    return builder.build(builder.apply("behind", same, last) if inside else last)


def _make_windowed(rng: np.random.Generator, kernel: Kernel, name: str) -> Graph:
    conv = kernel.operation == "conv2d"
    x = _draw_input(rng, kernel)
    shape, weights, window = (_draw_conv if conv else _draw_depthwise)(rng, kernel)
    # What is unpacked for a kernel is packed behind it, too.
    nibbles = kernel.unpacked or (conv and kernel.variant not in _TILED)
    formats = ("s8", "u8", "u4") if nibbles else ("s8", "u8")
    epilogue = draw_epilogue(rng, kernel, formats)
    # Layers in a row, so that one may write over its input.
    repeats = 1
    alike = window.output_size(shape) == shape[:2] and (not conv or weights[0] == shape[2])
    chained = x.name in formats and alike
    chained = chained and isinstance(epilogue, Requantize | RequantizeTwice | RoundEven)
    if chained and rng.random() < 0.7:
        twice = isinstance(epilogue, RequantizeTwice)
        kind = Requantize if twice and x.name != "s8" else type(epilogue)
        epilogue = kind(x.name, 1.0, 3, x.lo, x.hi)
        repeats = 3
    make = OPERATIONS["Conv2D" if conv else "DepthwiseConv2D"]
    operation = make(epilogue, window, _zero(rng, x))
    w = _draw_weights(rng, kernel, weights, axis=0 if conv else -1)
    # Between other layers the output of any format may lie over the input.
    inside = kernel.variant.startswith(_SUMS) and not isinstance(epilogue, Raw)
    types = TensorType(shape, x), draw_codes(rng, weights, w), w
    return _build(rng, name, operation, types, repeats, inside=inside)


def _make_dense(rng: np.random.Generator, kernel: Kernel, name: str) -> Graph:
    x = _draw_input(rng, kernel)
    binary = x.name == "b1"
    inputs = int(rng.choice((32, 64, 96, 128, 320) if binary else (*_CHANNELS, 64, 129)))
    outputs = int(rng.choice((32, 64) if binary else _CHANNELS))
    w = _draw_weights(rng, kernel, (outputs, inputs))
    formats = ("s8", "u8", "u4") if kernel.unpacked else ("s8", "u8")
    operation = OPERATIONS["Dense"](draw_epilogue(rng, kernel, formats), _zero(rng, x))
    types = TensorType((int(rng.integers(1, 4)), inputs), x), draw_codes(rng, (outputs, inputs), w)
    return _build(rng, name, operation, (*types, w))


def _make_add(rng: np.random.Generator, kernel: Kernel, name: str) -> Graph:
    x = _draw_input(rng, kernel)
    shape = tuple(int(rng.choice(options)) for options in (_SIDES, _SIDES, _CHANNELS))
    builder = GraphBuilder.start(name, TensorType(shape, x))
    other = OPERATIONS["MaxPool2D"](Window((2, 2), padding=(0, 1, 0, 1)))
    builder.apply("other", other, "input")
    factors = (int(v) for v in rng.integers(-(2**15), 2**15, 2))
    epilogue = draw_epilogue(rng, kernel, ("s8", "u8"))
    operation = OPERATIONS["Add"](epilogue, *factors, _zero(rng, x), _zero(rng, x))
    samples = rng.integers(-128, 128, (2, 1, *shape)).astype(np.int32)
    tables = add_tables(builder, rng, epilogue, operation.accumulate(*samples), True)
    builder.apply("layer_0", operation, "input", "other", *tables)
    return builder.build("layer_0")


def _make_tfliteadd(rng: np.random.Generator, kernel: Kernel, name: str) -> Graph:
    x = find_format(kernel.formats[0])
    shape = tuple(int(rng.choice(options)) for options in (_SIDES, _SIDES, _CHANNELS))
    builder = GraphBuilder.start(name, TensorType(shape, x))
    other = OPERATIONS["MaxPool2D"](Window((2, 2), padding=(0, 1, 0, 1)))
    builder.apply("other", other, "input")
    low, high = sorted(int(code) for code in rng.choice(256, 2, replace=False) - 128)
    zero = int(rng.integers(low, high + 1))
    epilogue = RequantizeTwice(
        "s8", 1.0, zero, *((low, high) if rng.random() < 0.5 else (-128, 127))
    )
    terms = [(int(rng.integers(2**30, 2**31)), -int(rng.integers(0, 8))) for _ in range(2)]
    sign, zeros = int(rng.choice((-1, 1))), (_zero(rng, x), _zero(rng, x))
    operation = OPERATIONS["TfliteAdd"](epilogue, *terms[0], *terms[1], sign, 20, *zeros)
    tables = [
        int(rng.integers(-999, 999)),
        int(rng.integers(2**30, 2**31)),
        -int(rng.integers(16, 23)),
    ]
    constants = [
        builder.constant(key, np.full(shape[-1], value), S32)
        for key, value in zip(epilogue.names, tables, strict=True)
    ]
    builder.apply("layer_0", operation, "input", "other", *constants)
    return builder.build("layer_0")


def _make_recurrence(rng: np.random.Generator, kernel: Kernel, name: str) -> Graph:
    cell, units = str(rng.choice(list(CELLS))), int(rng.choice(_CHANNELS))
    rows, steps = CELLS[cell].gates * units, int(rng.choice((1, 2, 5)))
    builder = GraphBuilder.start(name, TensorType((steps, rows), find_format("s16")))
    entry = _draw_weights(rng, kernel, (rows, units))
    weights = draw_codes(rng, (rows, units), entry)
    reach = float(np.abs(weights).sum(1).max()) * 127 + 1
    gain = rng.uniform(0.2, 1.0, rows) * rng.choice((2**11, 2**15, 2**17)) / reach
    folded = fold_affine(gain, rng.normal(0, 2**11, rows))
    constants = (
        ("weights", weights, entry),
        ("bias", folded.bias, S32),
        ("multiplier", folded.multiplier, S32),
        ("curves", draw_curves(rng, CELLS[cell].curves), find_format("s16")),
    )
    names = [builder.constant(*constant) for constant in constants]
    shift = int(np.max(folded.shift))
    if kernel.operation == "recurrencestates":
        words = rng.integers(-(2**15), 2**15, CELLS[cell].states * units)
        names.append(builder.constant("state", words, find_format("s16")))
    kind = "RecurrenceStates" if kernel.operation == "recurrencestates" else "Recurrence"
    operation = OPERATIONS[kind](cell, int(rng.integers(0, 2)), shift)
    builder.apply("layer_0", operation, "input", *names)
    return builder.build("layer_0")


def _make_tflitelstm(rng: np.random.Generator, kernel: Kernel, name: str) -> Graph:
    steps, inputs, cells = (int(rng.choice(it)) for it in ((1, 2, 5), _CHANNELS, _CHANNELS))
    builder = GraphBuilder.start(name, TensorType((steps, inputs), find_format(kernel.formats[0])))
    entry = find_format("s8")
    weights = [draw_codes(rng, (4, cells, count), entry) for count in (inputs, cells)]
    names = [builder.constant(f"w_{place}", codes, entry) for place, codes in enumerate(weights)]
    names.append(builder.constant("bias", rng.integers(-(2**13), 2**13, (4, cells)), S32))
    scales = [
        tuple(
            int(rng.integers(2**30, 2**31)) if place % 2 == 0 else int(rng.integers(-4, 2))
            for place in range(8)
        )
        for _ in range(2)
    ]
    hidden = int(rng.integers(2**30, 2**31)), int(rng.integers(-24, -20))
    clip = int(rng.choice((0, 2000)))
    zeros = [_zero(rng, entry) for _ in range(3)]
    continues = kernel.operation == "tflitelstmstates"
    if continues:
        state = rng.integers(-128, 128, (3, cells))
        names.append(builder.constant("state", state, entry, 0.5, zeros[2]))
    operation = OPERATIONS["TfliteLstmStates" if continues else "TfliteLstm"](
        *scales, hidden, int(rng.integers(0, 7)), clip, zeros[0], zeros[1], 0.5, zeros[2]
    )
    builder.apply("layer_0", operation, "input", *names)
    return builder.build("layer_0")


_MAKERS: dict[str, Callable[[np.random.Generator, Kernel, str], Graph]] = {
    "add": _make_add,
    "append": _make_appended,
    "averagepool2d": _make_pool,
    "concatenate": _make_moved,
    "conv2d": _make_windowed,
    "dense": _make_dense,
    "depthwise2d": _make_windowed,
    "maxpool2d": _make_pool,
    "multiply": _make_product,
    "pad2d": _make_moved,
    "recurrence": _make_recurrence,
    "recurrencestates": _make_recurrence,
    "sumpool2d": _make_pool,
    "tfliteadd": _make_tfliteadd,
    "tfliteaveragepool2d": _make_pool,
    "tflitelstm": _make_tflitelstm,
    "tflitelstmstates": _make_tflitelstm,
}


def find_maker(kernel: Kernel) -> Callable[[np.random.Generator, Kernel, str], Graph]:
    """What makes graphs for a kernel.

    Raises:
        AssertionError: There is nothing.
    """
    assert kernel.operation in _MAKERS, (
        f"{kernel.name} is tested on no layer: write _make_{kernel.operation}, which draws a graph "
        f"with layers of {kernel.operation}, and name it in _MAKERS of tests/fast_graphs.py"
    )
    return _MAKERS[kernel.operation]


def draw_fitting(
    rng: np.random.Generator, kernel: Kernel, prefix: str, count: int
) -> Iterator[tuple[Graph, dict[str, str]]]:
    """Graphs that a specialized kernel takes, with the names that choose it.

    Raises:
        AssertionError: Hardly any graph fits.
    """
    found = 0
    for _ in range(_TRIES):
        try:
            graph = find_maker(kernel)(rng, kernel, f"{prefix}_{found}")
        except ModelError:  # sums of any codes of 16 bits leave int32, those of samples did not
            continue
        if max(t.type.packed_bytes for t in (graph.input, graph.output)) > _MOST_BYTES:
            continue
        nodes = [node for node in graph.nodes if node.op.kernel == kernel.operation]
        fits = all(
            any(
                isinstance(bound, Bound)
                and bound.kernel.name == kernel.name
                and bool(bound.kernel.unpacked) == bool(kernel.unpacked)
                for bound in list_specialized(graph, node, (kernel.isa,))
            )
            for node in nodes
        )
        if fits:
            yield graph, {node.name: kernel.name for node in nodes}
            found += 1
        if found == count:
            return
    raise AssertionError(f"{kernel.name} took {found} of {_TRIES} graphs")
