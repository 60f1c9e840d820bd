"""Random cases for every kernel: sizes around the storage units, all strides and paddings."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tests.bitexact.bench import Case, type_of
from tests.bitexact.cases_imported import IMPORTED_PLAIN, IMPORTED_STAGED, tables_of
from tests.random_graphs import draw_codes, draw_table
from tinyq.codegen import Kernel, Stage, load_kernels, load_stages
from tinyq.graph import Op, TensorType
from tinyq.graph.epilogues import (
    Accumulating,
    Output,
    Raw,
    Requantize,
    RequantizeTwice,
    RequantizeWide,
    RoundEven,
    Steps,
    Threshold,
)
from tinyq.graph.ops import OPERATIONS
from tinyq.graph.ops.window import Window
from tinyq.numerics.formats import Format, find_format
from tinyq.numerics.rounding import softmax_table

# One code, a storage unit of each format less one, whole, and plus one.
CHANNELS = (1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 32, 33)
_FIRST = frozenset(("b1", "t2", "s4", "s8", "s16", "s32", "u4", "u8"))
_EACH = 5  # no divisor of the number of formats
_WIDE = 1 << 20  # s32 inputs stay inside, so that no accumulator leaves int32

Operands = tuple[Op, list[tuple[tuple[int, ...], str]]]


class Draw:
    """Draws what a case needs from one generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def integer(self, low: int, high: int) -> int:
        """From low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def channels(self) -> int:
        return int(self.rng.choice(CHANNELS))

    def size(self, most: int) -> int:
        """A number of rows, from 1 on."""
        return self.integer(1, most)

    def codes(self, shape: tuple[int, ...], number_format: Format) -> np.ndarray:
        if number_format.levels or number_format.values:
            return draw_codes(self.rng, number_format, shape)
        if number_format.step == 2:
            return self.rng.integers(0, 2, shape).astype(np.int32) * 2 - 1
        low, high = max(number_format.lo, -_WIDE), min(number_format.hi, _WIDE)
        codes = self.rng.integers(low, high + 1, shape)
        # The extreme codes are where a sign or a shift goes wrong.
        extreme = self.rng.choice([low, high], shape)
        return np.where(self.rng.random(shape) < 0.2, extreme, codes).astype(np.int32)

    def zero_point(self, name: str) -> int:
        number_format = find_format(name)
        if number_format.step == 2 or number_format.bits >= 16:
            return 0
        return self.integer(number_format.lo, number_format.hi)

    def window(self, padded: bool = True) -> tuple[Window, tuple[int, int]]:
        """A window, and an image that it fits when padded."""
        size = (self.integer(1, 4), self.integer(1, 4))
        stride, dilation = (
            (self.integer(1, 3), self.integer(1, 3)),
            (self.integer(1, 2), self.integer(1, 2)),
        )
        pads = [self.integer(0, size[axis // 2] - 1) if padded else 0 for axis in range(4)]
        window = Window(size, stride, dilation, (pads[0], pads[1], pads[2], pads[3]))
        height, width = window.extent()
        least = (max(1, height - pads[0] - pads[1]), max(1, width - pads[2] - pads[3]))
        return window, (least[0] + self.integer(0, 4), least[1] + self.integer(0, 4))

    def stage(self, stage: Stage) -> Output:
        scaling = {
            "requantize": Requantize,
            "roundeven": RoundEven,
            "requantizetwice": RequantizeTwice,
            "requantizewide": RequantizeWide,
        }
        if stage.stage in scaling:
            output = find_format(stage.format)
            low = self.integer(output.lo, 0) if self.rng.random() < 0.3 else output.lo
            high = self.integer(low, output.hi) if self.rng.random() < 0.3 else output.hi
            zero_point = self.integer(low, high)
            return scaling[stage.stage](stage.format, 0.5, zero_point, low, high)
        if stage.stage == "steps":
            output = find_format(stage.format)
            levels = self.rng.integers(output.lo, output.hi + 1, self.integer(2, 16))
            return Steps(
                stage.format, 0.5, self.zero_point(stage.format), tuple(sorted(levels.tolist()))
            )
        return {"threshold": Threshold, "raw": Raw}[stage.stage]()

    def tables(self, output: Output, acc: np.ndarray) -> list[np.ndarray]:
        """Constants of a stage that spread these accumulators over the output's codes."""
        channels = acc.shape[-1]
        reach = int(np.abs(acc).max(initial=0)) + 1
        if isinstance(output, Threshold):
            threshold = self.rng.integers(-reach, reach + 1, channels)
            threshold = np.where(self.rng.random(channels) < 0.1, -(2**31), threshold)
            return [threshold, self.rng.integers(0, 2, channels)]
        if isinstance(output, Steps):
            shape, _ = output.constant_shapes(channels)
            threshold = self.rng.integers(-reach, reach + 1, shape)
            edges = self.rng.choice((-(2**31), 2**31 - 1), shape)
            threshold = np.where(self.rng.random(shape) < 0.1, edges, threshold)
            return [threshold, self.rng.integers(0, 2, channels)]
        if isinstance(output, RequantizeWide):
            return self._wide_tables(channels, reach)
        room = min(reach, 2**31 - reach)  # with the bias they stay within int32
        bias = self.rng.integers(-room, room + 1, channels)
        if isinstance(output, Raw):
            return [bias]
        if isinstance(output, RequantizeTwice):
            exponent = self.integer(2, 9) - reach.bit_length()
            exponents = np.full(channels, min(max(exponent, -31), 30))
            exponents = np.where(self.rng.random(channels) < 0.1, -31, exponents)
            return [bias, self.rng.integers(0, 2**31, channels), exponents]
        multiplier = self.rng.integers(-(2**31) + 1, 2**31, channels)
        multiplier = np.where(self.rng.random(channels) < 0.1, -(2**31), multiplier)
        shift = np.full(channels, min(max(31 + reach.bit_length() - self.integer(2, 9), 1), 62))
        shift = np.where(self.rng.random(channels) < 0.1, self.integer(1, 62), shift)
        if isinstance(output, RoundEven):  # powers of two, so that halves occur
            multiplier = np.where(self.rng.random(channels) < 0.7, 2**20, multiplier)
            shift = np.where(multiplier == 2**20, self.integer(21, 23), shift)
            return [bias, multiplier, shift, self.rng.integers(0, 2, channels)]
        return [bias, multiplier, shift]

    def _wide_tables(self, channels: int, reach: int) -> list[np.ndarray]:
        bias = self.rng.integers(-reach, reach + 1, channels)
        far = self.rng.integers(-(2**44), 2**44, channels)
        bias = np.where(self.rng.random(channels) < 0.1, far, bias)
        low = ((bias + 2**31) & (2**32 - 1)) - 2**31
        shift = np.full(channels, min(max(31 + reach.bit_length() - self.integer(2, 17), 17), 62))
        shift = np.where(self.rng.random(channels) < 0.1, self.integer(17, 62), shift)
        upper = self.rng.integers(0, 2**31, channels)
        lower = self.rng.integers(-(2**31), 2**31, channels)
        return [low, (bias - low) >> 32, upper, lower, shift]


def _convolve(draw: Draw, kernel: Kernel, output: Output) -> Operands:
    window, size = draw.window()
    x_channels, out_channels = draw.channels(), draw.channels()
    x, w = kernel.formats
    op = OPERATIONS["Conv2D"](output, window, draw.zero_point(x))
    return op, [((*size, x_channels), x), ((out_channels, *window.size, x_channels), w)]


def _convolve_depthwise(draw: Draw, kernel: Kernel, output: Output) -> Operands:
    window, size = draw.window()
    channels, multiplicity = draw.channels(), draw.integer(1, 3)
    x, w = kernel.formats
    op = OPERATIONS["DepthwiseConv2D"](output, window, draw.zero_point(x))
    return op, [((*size, channels), x), ((*window.size, channels * multiplicity), w)]


def _multiply(draw: Draw, kernel: Kernel, output: Output) -> Operands:
    channels = int(draw.rng.choice([*CHANNELS, 63, 64, 65, 200]))
    x, w = kernel.formats
    op = OPERATIONS["Dense"](output, draw.zero_point(x))
    return op, [((draw.integer(1, 3), channels), x), ((draw.channels(), channels), w)]


def _add(draw: Draw, kernel: Kernel, output: Output) -> Operands:
    a, b = kernel.formats
    factors = [draw.integer(-(2**15), 2**15 - 1) for _ in range(2)]
    op = OPERATIONS["Add"](output, *factors, draw.zero_point(a), draw.zero_point(b))
    shape = (draw.size(3), draw.channels())
    return op, [(shape, a), (shape, b)]


def _rescale(draw: Draw, kernel: Kernel, output: Output) -> Operands:
    (x,) = kernel.formats
    op = OPERATIONS["Rescale"](output, draw.zero_point(x), draw.integer(0, 9))
    return op, [((draw.size(3), draw.channels()), x)]


def _sum_pool(draw: Draw, kernel: Kernel, output: Output) -> Operands:
    (x,) = kernel.formats
    window, size = draw.window(padded=False)
    return OPERATIONS["SumPool2D"](output, window, draw.zero_point(x)), [
        ((*size, draw.channels()), x)
    ]


def _pool(name: str) -> Callable[[Draw, Kernel], Operands]:
    def make(draw: Draw, kernel: Kernel) -> Operands:
        window, size = draw.window()
        # A dilated window may have all its taps in the padding, where pooling has no value.
        window = Window(window.size, window.stride, (1, 1), window.padding)
        return OPERATIONS[name](window), [((*size, draw.channels()), kernel.formats[0])]

    return make


def _concatenate(draw: Draw, kernel: Kernel) -> Operands:
    rows, (x,) = draw.size(3), kernel.formats
    shapes = [((rows, draw.channels()), x) for _ in range(2)]
    return OPERATIONS["Concatenate"](), shapes


def _pad(draw: Draw, kernel: Kernel) -> Operands:
    (x,) = kernel.formats
    padding = tuple(draw.integer(0, 2) for _ in range(4))
    value = int(draw.codes((), find_format(x)))
    shape = (draw.size(3), draw.size(3), draw.channels())
    return OPERATIONS["Pad2D"](padding, value), [(shape, x)]


def _reshape(draw: Draw, kernel: Kernel) -> Operands:
    rows, channels = draw.size(6), draw.channels()
    total = rows * channels
    inner = int(draw.rng.choice([n for n in range(1, total + 1) if total % n == 0]))
    op = OPERATIONS["Reshape"]((total // inner, inner))
    return op, [((rows, channels), kernel.formats[0])]


def _softmax(draw: Draw, kernel: Kernel) -> Operands:
    return OPERATIONS["Softmax"](), [
        ((draw.size(3), draw.channels()), kernel.formats[0]),
        ((256,), "u16"),
    ]


def _argmax(draw: Draw, kernel: Kernel) -> Operands:
    return OPERATIONS["Argmax"](), [((draw.size(3), draw.channels()), kernel.formats[0])]


STAGED: dict[str, Callable[[Draw, Kernel, Output], Operands]] = {
    "add": _add,
    "conv2d": _convolve,
    "dense": _multiply,
    "depthwise2d": _convolve_depthwise,
    "rescale": _rescale,
    "sumpool2d": _sum_pool,
    **IMPORTED_STAGED,
}
PLAIN: dict[str, Callable[[Draw, Kernel], Operands]] = {
    "argmax": _argmax,
    "averagepool2d": _pool("AveragePool2D"),
    "concatenate": _concatenate,
    "maxpool2d": _pool("MaxPool2D"),
    "pad2d": _pad,
    "reshape": _reshape,
    "softmax": _softmax,
    **IMPORTED_PLAIN,
}


def draw_cases(kernel: Kernel, rng: np.random.Generator, count: int) -> Iterator[Case]:
    """Cases of a kernel: ``count`` with each of its stages, or ``count`` where it has none."""
    draw = Draw(rng)
    if kernel.operation in PLAIN:
        for _ in range(count):
            op, operands = PLAIN[kernel.operation](draw, kernel)
            yield from finish_case(draw, kernel, None, op, operands)
        return
    for stage in _list_stages(kernel):
        for _ in range(count):
            output = draw.stage(stage)
            op, operands = STAGED[kernel.operation](draw, kernel, output)
            yield from finish_case(draw, kernel, stage, op, operands)


def _list_stages(kernel: Kernel) -> tuple[Stage, ...]:
    """All stages for the kernels of the first formats, every fifth in turn for the many others.

    Loops and stages meet in every combination of the former; formats change the product alone.
    """
    stages = load_stages()
    if _FIRST.issuperset(kernel.formats):
        return stages
    place = [entry.path.name for entry in load_kernels()].index(kernel.path.name)
    return stages[place % _EACH :: _EACH]


def finish_case(
    draw: Draw,
    kernel: Kernel,
    stage: Stage | None,
    op: Op,
    operands: list[tuple[tuple[int, ...], str]],
) -> Iterator[Case]:
    """A case for these operands, and one more for each of them whose buffer y may share."""
    axis = -1 if op.kernel == "depthwise2d" else 0
    types = [TensorType(shape, draw_table(draw.rng, name, shape, axis)) for shape, name in operands]
    codes = [draw.codes(entry.shape, entry.format) for entry in types]
    if op.kernel == "softmax":
        codes[1] = softmax_table(float(draw.rng.choice([1e-4, 0.05, 0.3, 2.0])))
    tables_of(draw, op, codes)
    if stage is not None and isinstance(op, Accumulating):
        data = [c[None] if index in op.batched else c for index, c in enumerate(codes)]
        acc = op.accumulate(*data)
        tables = [table.astype(np.int32) for table in draw.tables(op.output, acc)]
        codes += tables
        types += [type_of(table.shape, "s32") for table in tables]
    case = Case(op, tuple(types), tuple(codes), kernel, stage)
    yield case
    for index in op.in_place:
        output = case.output
        if types[index].format == output.format and types[index].shape == output.shape:
            yield Case(op, tuple(types), tuple(codes), kernel, stage, shares=index)
