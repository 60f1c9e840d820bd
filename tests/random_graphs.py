"""Random small integer graphs over every operation, format and edge value, from a seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from hypothesis import strategies

from tests.random_imported import IMPORTED_STEPS, draw_twice, draw_twice_scaling
from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.epilogues import (
    Output,
    Raw,
    Requantize,
    RequantizeTwice,
    RoundEven,
    Steps,
    Threshold,
)
from tinyq.graph.ops.add import Add
from tinyq.graph.ops.argmax import Argmax
from tinyq.graph.ops.average_pool2d import AveragePool2D
from tinyq.graph.ops.concatenate import Concatenate
from tinyq.graph.ops.conv2d import Conv2D
from tinyq.graph.ops.dense import Dense
from tinyq.graph.ops.depthwise_conv2d import DepthwiseConv2D
from tinyq.graph.ops.max_pool2d import MaxPool2D
from tinyq.graph.ops.pad2d import Pad2D
from tinyq.graph.ops.rescale import Rescale
from tinyq.graph.ops.reshape import Reshape
from tinyq.graph.ops.softmax import Softmax
from tinyq.graph.ops.sum_pool2d import SumPool2D
from tinyq.graph.ops.window import Window, same_padding
from tinyq.numerics.formats import Codes, Format, find_format
from tinyq.numerics.packing import Basis, Scales
from tinyq.numerics.rounding import INT32_MAX, INT32_MIN, MAX_SHIFT, softmax_table

# Layers with weights take these; the operations without weights take the wider choice.
WEIGHTED = ("b1", "u2", "u4", "s8")
ACTIVATIONS = ("b1", "u2", "u4", "s8", "s4", "u8")
WEIGHTS = ("b1", "t2", "s4", "s8", "s2", "s3", "p4", "a4", "c2", "c4", "n2", "d2", "d3", "g2")
MOST_NODES = 6
# Around the storage unit: 32 signs in a word, two nibbles or one code in a byte.
CHANNELS = MappingProxyType(
    {
        "b1": (1, 2, 5, 31, 32, 33, 40, 63, 64, 65),
        "u2": (1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 49, 65),
        "u4": (1, 2, 3, 4, 5, 7, 8, 9, 16, 17),
        "s8": (1, 2, 3, 4, 5, 6, 7, 8, 9, 13),
        "s4": (1, 2, 3, 4, 5, 7, 8, 9, 16, 17),
        "u8": (1, 2, 3, 4, 5, 6, 7, 8, 9, 13),
    }
)
MOST_ELEMENTS = 1500
# Operations and output stages of imported .tflite models, which have no step below. An operation
# leaves this list with a step here and a second formula in tests/contract/test_ops.py.
NOT_DRAWN: frozenset[str] = frozenset()
# Names that a model may have and C does not: keywords, punctuation, the generator's own words.
ODD_NAMES = ("int", "block/conv:0", "a-b", "a_b", "arena", "output", "2nd", "run", "tq_add", "é")


@dataclass(slots=True)
class Drawing:
    """A graph in the making.

    Attributes:
        rng: Source of all choices.
        builder: What was drawn so far.
        last: Newest tensor.
        tensors: All activations so far.
        count: Nodes so far.
    """

    rng: np.random.Generator
    builder: GraphBuilder
    last: str
    tensors: list[str] = field(default_factory=list)
    count: int = 0

    def choose(self, options: Sequence) -> object:
        return options[int(self.rng.integers(len(options)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def integer(self, lo: int, hi: int) -> int:
        return int(self.rng.integers(lo, hi + 1))

    def apply(self, operation, *inputs: str) -> str:
        name = f"node_{self.count}"
        if self.chance(0.1):
            name = str(self.choose(ODD_NAMES))
            if name in self.tensors:
                name = f"{name}_{self.count}"
        self.count += 1
        self.last = self.builder.apply(name, operation, *inputs)
        self.tensors.append(self.last)
        return self.last

    def constant(self, what: str, codes, number_format: str | Format) -> str:
        name = f"constant_{self.count}_{what}"
        if isinstance(number_format, str):
            number_format = find_format(number_format)
        return self.builder.constant(name, codes, number_format)

    def type(self, name: str) -> TensorType:
        return self.builder.type(name)

    def stage(self) -> Output:
        return _draw_stage(self)

    def stage_constants(self, stage: Output, reach: Codes) -> list[str]:
        return _stage_constants(self, stage, reach)


def draw_graph(rng: np.random.Generator, name: str = "model") -> Graph:
    """A verified graph of 1 to about 6 nodes that the reference can run on any input."""
    number_format = str(rng.choice(ACTIVATIONS, p=(0.25, 0.15, 0.25, 0.25, 0.05, 0.05)))
    shape = _draw_shape(rng, number_format)
    zero_point = _draw_zero_point(rng, number_format)
    builder = GraphBuilder.start(
        name, TensorType(shape, find_format(number_format), 0.5, zero_point)
    )
    drawing = Drawing(rng, builder, builder.input, [builder.input])
    wanted = drawing.integer(1, MOST_NODES)
    while drawing.count < wanted:
        # Mostly a chain; now and then an older tensor is read again, more often where the newest
        # has plain integers, which few operations take.
        newest = 0.8 if _is_activation(drawing.type(drawing.last)) else 0.3
        source = drawing.last if drawing.chance(newest) else str(drawing.choose(drawing.tensors))
        steps = [step for fits, step in STEPS if fits(drawing.type(source))]
        chosen = drawing.choose(steps)
        chosen(drawing, source)  # type: ignore[operator]
    return builder.build(drawing.last)


def graphs() -> strategies.SearchStrategy[Graph]:
    """Hypothesis strategy over ``draw_graph``; a failing example is its seed."""
    seeds = strategies.integers(0, 2**32 - 1)
    return seeds.map(lambda seed: draw_graph(np.random.default_rng(seed)))


def draw_inputs(rng: np.random.Generator, graph: Graph, count: int = 6) -> Codes:
    """Codes of the graph's input: all smallest, all largest, the two mixed, the rest uniform."""
    target = graph.input.type
    codes = draw_codes(rng, target.format, (count, *target.shape))
    codes[0] = target.format.lo
    if count > 1:
        codes[1] = target.format.hi
    if count > 2:
        codes[2] = np.where(rng.random(target.shape) < 0.5, target.format.lo, target.format.hi)
    return codes


def draw_codes(rng: np.random.Generator, number_format: Format, shape: Sequence[int]) -> Codes:
    """Uniform codes of a format."""
    shape = tuple(shape)
    if number_format.levels:
        return rng.choice(np.array(number_format.levels, np.int32), size=shape)
    coding = number_format.coding
    if isinstance(coding, Scales):
        scales = np.array(coding.rows).reshape(*shape[:-1], -1)
        places = np.arange(shape[-1]) // coding.group
        return (scales[..., places] * rng.integers(-1, 2, size=shape)).astype(np.int32)
    if isinstance(coding, Basis):
        basis = np.array(coding.rows, np.int32)
        signs = rng.choice(np.array((-1, 1), np.int32), size=(*shape, basis.shape[1]))
        channels = np.moveaxis(signs, coding.axis % len(shape), -2)
        codes = (channels * basis).sum(axis=-1, dtype=np.int32)
        return np.moveaxis(codes, -1, coding.axis % len(shape))
    levels = (number_format.hi - number_format.lo) // number_format.step + 1
    steps = rng.integers(0, levels, size=tuple(shape))
    return (number_format.lo + number_format.step * steps).astype(np.int32)


def draw_table(rng: np.random.Generator, name: str, shape: Sequence[int], axis: int = 0) -> Format:
    """A format by its name, with a table for a tensor of ``shape`` where it needs one.

    ``axis`` is that of the output channels.
    """
    number_format = find_format(name)
    if number_format.table == "basis":
        most = 127 // number_format.bits
        basis = rng.integers(-most, most + 1, size=(shape[axis], number_format.bits))
        return number_format.with_basis(basis.tolist(), axis)
    if number_format.table == "scales":
        size = int(rng.choice((1, 2, 3, 4, 8, 32)))
        scales = rng.integers(0, 128, size=(*shape[:-1], -(-shape[-1] // size)))
        return number_format.with_groups(size, scales)
    if number_format.table != "levels":
        return number_format
    levels = rng.integers(-127, 128, size=1 << number_format.bits)
    levels[rng.random(len(levels)) < 0.2] = rng.choice((-127, 0, 127))
    if name == "n2":
        return number_format.with_levels((-abs(levels[0]), 0, abs(levels[1])))
    return number_format.with_levels(levels)


def _draw_shape(rng: np.random.Generator, number_format: str) -> tuple[int, ...]:
    channels = int(rng.choice(CHANNELS[number_format]))
    rank = int(rng.choice((1, 2, 3, 3, 3, 3)))
    return (*(int(size) for size in rng.integers(1, 8, size=rank - 1)), channels)


def _draw_zero_point(rng: np.random.Generator, number_format: str) -> int:
    bounds = find_format(number_format)
    if bounds.step == 2:
        return 0
    return int(rng.choice((0, bounds.lo, bounds.hi, rng.integers(bounds.lo, bounds.hi + 1))))


def _draw_window(drawing: Drawing, shape: Sequence[int], *, dilated: bool = True) -> Window:
    """A window that fits the image."""
    while True:
        size = (drawing.integer(1, 4), drawing.integer(1, 4))
        stride = (drawing.integer(1, 3), drawing.integer(1, 3))
        dilation = (1, 1)
        if dilated and drawing.chance(0.4):
            dilation = (drawing.integer(1, 3), drawing.integer(1, 3))
        padding = (0, 0, 0, 0)
        if drawing.chance(0.4):
            padding = same_padding(tuple(shape), size, stride, dilation)
        elif drawing.chance(0.5):
            padding = tuple(drawing.integer(0, 2) for _ in range(4))
        window = Window(size, stride, dilation, padding)
        extent = window.extent()
        if (
            shape[0] + padding[0] + padding[1] >= extent[0]
            and shape[1] + padding[2] + padding[3] >= extent[1]
        ):
            return window


def _draw_scaling(drawing: Drawing, reach: Codes, width: int) -> dict[str, Codes]:
    """Bias, multiplier and shift for accumulators within +-reach and outputs about ``width`` wide.

    Most channels scale sensibly, so that outputs vary; some have the extremes of int32.
    """
    rng, channels = drawing.rng, len(reach)
    shift = np.full(channels, drawing.integer(1, MAX_SHIFT))
    if drawing.chance(0.4):
        shift = rng.integers(1, MAX_SHIFT + 1, size=channels)
    gain = width * 2.0 ** rng.uniform(-2, 1, size=channels) / np.maximum(reach, 1)
    multiplier = np.clip(np.rint(np.ldexp(gain, shift)), 1, INT32_MAX)
    multiplier *= rng.choice((-1, 1), size=channels, p=(0.3, 0.7))
    extremes = rng.choice((INT32_MIN, INT32_MAX, 0, 1, -1), size=channels)
    multiplier = np.where(rng.random(channels) < 0.1, extremes, multiplier)
    if drawing.chance(0.2):
        shift[int(rng.integers(channels))] = drawing.choose((1, 31, 32, 33, MAX_SHIFT))
    return {"bias": _draw_bias(drawing, reach), "multiplier": multiplier, "shift": shift}


def _draw_bias(drawing: Drawing, reach: Codes) -> Codes:
    """Biases with acc + bias inside int32 for every |acc| <= reach, its edges included."""
    rng = drawing.rng
    bias = np.rint(reach * rng.uniform(-0.5, 0.5, size=len(reach))).astype(np.int64)
    edges = np.where(rng.random(len(reach)) < 0.5, INT32_MAX - reach, INT32_MIN + reach)
    bias = np.where(rng.random(len(reach)) < 0.1, edges, bias)
    return np.where(reach > INT32_MAX, 0, bias)


def _draw_threshold(drawing: Drawing, reach: Codes) -> dict[str, Codes]:
    rng, channels = drawing.rng, len(reach)
    threshold = np.rint(reach * rng.uniform(-0.4, 0.4, size=channels)).astype(np.int64)
    edges = rng.choice((INT32_MIN, INT32_MAX, 0, 1), size=channels)
    threshold = np.where(rng.random(channels) < 0.15, edges, threshold)
    return {"threshold": threshold, "flip": rng.integers(0, 2, size=channels)}


def _draw_requantize(drawing: Drawing, number_format: str) -> Requantize | RoundEven:
    bounds = find_format(number_format)
    lo, hi = bounds.lo, bounds.hi
    zero_point = _draw_zero_point(drawing.rng, number_format)
    if drawing.chance(0.3):  # ReLU
        lo = zero_point
    if drawing.chance(0.2):  # an upper clip as of ReLU6
        hi = drawing.integer(lo, hi)
    even = number_format in ("s8", "u4") and drawing.chance(0.1)
    kind = RoundEven if even else Requantize
    return kind(number_format, 0.25, zero_point, lo, hi)


def _draw_stage(drawing: Drawing) -> Output:
    kind = drawing.integer(0, 10)
    if kind < 3:
        return Threshold(0.5)
    if kind < 4:
        return Raw(0.125)
    if kind < 5:
        return draw_twice(drawing)
    if kind < 6:
        return _draw_steps(drawing)
    return _draw_requantize(drawing, _draw_format(drawing))


def _draw_steps(drawing: Drawing) -> Steps:
    bounds = find_format(str(drawing.choose(("u2", "u4", "s8"))))
    levels = drawing.rng.integers(bounds.lo, bounds.hi + 1, size=drawing.integer(2, 16))
    zero_point = _draw_zero_point(drawing.rng, bounds.name)
    return Steps(bounds.name, 0.25, zero_point, tuple(sorted(levels.tolist())))


def _draw_format(drawing: Drawing) -> str:
    return str(drawing.rng.choice(("s8", "u4", "u2", "s4", "u8"), p=(0.4, 0.3, 0.15, 0.08, 0.07)))


def _stage_constants(drawing: Drawing, stage: Output, reach: Codes) -> list[str]:
    """The stage's constants as tensors, in order, for accumulators within +-reach."""
    if isinstance(stage, Threshold):
        values = _draw_threshold(drawing, reach)
    elif isinstance(stage, Steps):
        drawn = [_draw_threshold(drawing, reach) for _ in stage.levels[1:]]
        thresholds = np.stack([one["threshold"] for one in drawn])
        values = {"threshold": thresholds, "flip": drawn[0]["flip"]}
    elif isinstance(stage, Raw):
        values = {"bias": _draw_bias(drawing, reach)}
    elif isinstance(stage, RequantizeTwice):
        values = draw_twice_scaling(drawing, reach, stage.hi - stage.lo + 1)
    else:
        assert isinstance(stage, Requantize | RoundEven)
        values = _draw_scaling(drawing, reach, stage.hi - stage.lo + 1)
        values["even"] = drawing.rng.integers(0, 2, size=len(reach))
    return [drawing.constant(name, values[name], "s32") for name in stage.names]


def _draw_x_zero(drawing: Drawing, source: TensorType) -> int:
    """The input's zero point, or another code: the operation's own field counts."""
    if drawing.chance(0.8):
        return source.zero_point
    return _draw_zero_point(drawing.rng, source.format.name)


def _widest(source: TensorType, zero: int) -> int:
    """Largest distance of a code from ``zero``; padding is at distance 0."""
    return max(abs(source.format.lo - zero), abs(source.format.hi - zero))


def _draw_weights(drawing: Drawing, shape: Sequence[int], axis: int = 0) -> tuple[Codes, Format]:
    names = WEIGHTS if axis == 0 else [name for name in WEIGHTS if name != "g2"]
    number_format = draw_table(drawing.rng, str(drawing.choose(names)), shape, axis)
    weights = draw_codes(drawing.rng, number_format, shape)
    if drawing.chance(0.1) and number_format.coding.channel_axis is None:
        weights[...] = drawing.choose((number_format.lo, number_format.hi))
    return weights, number_format


def _out_channels(drawing: Drawing, stage: Output) -> int:
    name = stage.type((1,)).format.name
    return int(drawing.rng.choice(CHANNELS.get(name, CHANNELS["s8"])))


def _add_conv2d(drawing: Drawing, source: str, stage: Output | None = None) -> str:
    x = drawing.type(source)
    window = _draw_window(drawing, x.shape)
    stage = stage or _draw_stage(drawing)
    x_zero = _draw_x_zero(drawing, x)
    shape = (_out_channels(drawing, stage), *window.size, x.shape[2])
    weights, number_format = _draw_weights(drawing, shape)
    reach = np.abs(weights.astype(np.int64)).sum(axis=(1, 2, 3)) * _widest(x, x_zero)
    name = drawing.constant("weights", weights, number_format)
    constants = _stage_constants(drawing, stage, reach)
    return drawing.apply(Conv2D(stage, window, x_zero), source, name, *constants)


def _add_depthwise(drawing: Drawing, source: str) -> str:
    x = drawing.type(source)
    window, stage = _draw_window(drawing, x.shape), _draw_stage(drawing)
    x_zero = _draw_x_zero(drawing, x)
    multiplicity = drawing.integer(1, 3) if drawing.chance(0.3) else 1
    shape = (*window.size, x.shape[2] * multiplicity)
    weights, number_format = _draw_weights(drawing, shape, axis=-1)
    reach = np.abs(weights.astype(np.int64)).sum(axis=(0, 1)) * _widest(x, x_zero)
    name = drawing.constant("weights", weights, number_format)
    constants = _stage_constants(drawing, stage, reach)
    return drawing.apply(DepthwiseConv2D(stage, window, x_zero), source, name, *constants)


def _add_dense(drawing: Drawing, source: str, stage: Output | None = None) -> str:
    x = drawing.type(source)
    stage = stage or _draw_stage(drawing)
    x_zero = _draw_x_zero(drawing, x)
    shape = (_out_channels(drawing, stage), x.shape[-1])
    weights, number_format = _draw_weights(drawing, shape)
    reach = np.abs(weights.astype(np.int64)).sum(axis=1) * _widest(x, x_zero)
    name = drawing.constant("weights", weights, number_format)
    constants = _stage_constants(drawing, stage, reach)
    return drawing.apply(Dense(stage, x_zero), source, name, *constants)


def _add_rescale(drawing: Drawing, source: str, stage: Output | None = None) -> str:
    x = drawing.type(source)
    stage = stage or _draw_stage(drawing)
    x_zero, left_shift = 0, 0
    if _is_activation(x):
        x_zero = _draw_x_zero(drawing, x)
        left_shift = int(drawing.choose((0, 0, 1, 8, 20, drawing.integer(0, 20))))
    reach = np.full(x.shape[-1], _widest(x, x_zero) << left_shift, np.int64)
    constants = _stage_constants(drawing, stage, reach)
    return drawing.apply(Rescale(stage, x_zero, left_shift), source, *constants)


def _add_sum_pool(drawing: Drawing, source: str) -> str:
    x = drawing.type(source)
    size = (drawing.integer(1, x.shape[0]), drawing.integer(1, x.shape[1]))
    if drawing.chance(0.4):
        size = (x.shape[0], x.shape[1])
    window = Window(size, (drawing.integer(1, 3), drawing.integer(1, 3)))
    stage, x_zero = _draw_stage(drawing), _draw_x_zero(drawing, x)
    reach = np.full(x.shape[2], _widest(x, x_zero) * size[0] * size[1], np.int64)
    constants = _stage_constants(drawing, stage, reach)
    return drawing.apply(SumPool2D(stage, window, x_zero), source, *constants)


def _add_add(drawing: Drawing, source: str) -> str:
    """Sum with another tensor of the shape, with a rescaled copy, or with itself."""
    x = drawing.type(source)
    others = [
        name
        for name in drawing.tensors
        if drawing.type(name).shape == x.shape and drawing.type(name).format.name in WEIGHTED
    ]
    if len(others) == 1 and drawing.chance(0.8):
        narrow = str(drawing.choose(("s8", "u4", "u2")))
        stage = Threshold() if drawing.chance(0.3) else _draw_requantize(drawing, narrow)
        others.append(_add_rescale(drawing, source, stage))
    other = others[-1] if drawing.chance(0.7) else str(drawing.choose(others))
    if drawing.chance(0.3):
        source, other = other, source
    x, y = drawing.type(source), drawing.type(other)
    factors = [
        int(drawing.choose((-(2**15), 2**15 - 1, 1, 0, drawing.integer(-(2**15), 2**15 - 1))))
        for _ in range(2)
    ]
    zeros = [_draw_x_zero(drawing, x), _draw_x_zero(drawing, y)]
    reach = abs(factors[0]) * _widest(x, zeros[0]) + abs(factors[1]) * _widest(y, zeros[1])
    stage = _draw_stage(drawing)
    constants = _stage_constants(drawing, stage, np.full(x.shape[-1], reach, np.int64))
    return drawing.apply(Add(stage, *factors, *zeros), source, other, *constants)


def _add_concatenate(drawing: Drawing, source: str) -> str:
    """Two branches of one meaning, side by side; or a tensor with itself."""
    if drawing.chance(0.2) or drawing.type(source).format.name not in WEIGHTED:
        return drawing.apply(Concatenate(), source, source)
    stage = Threshold(0.5)
    if drawing.chance(0.7):
        stage = _draw_requantize(drawing, _draw_format(drawing))
    first = _add_dense(drawing, source, stage)
    second = _add_dense(drawing, source, stage)
    return drawing.apply(Concatenate(), first, second)


def _add_pool(drawing: Drawing, source: str, operation: type, dilated: bool) -> str:
    shape = drawing.type(source).shape
    while True:
        window = _draw_window(drawing, shape, dilated=dilated)
        inside = window.patches(np.ones((1, *shape), np.int64), 0).sum(axis=(3, 4))
        if inside.min() > 0:
            return drawing.apply(operation(window), source)


def _add_max_pool(drawing: Drawing, source: str) -> str:
    return _add_pool(drawing, source, MaxPool2D, dilated=True)


def _add_average_pool(drawing: Drawing, source: str) -> str:
    return _add_pool(drawing, source, AveragePool2D, dilated=True)


def _add_pad(drawing: Drawing, source: str) -> str:
    x = drawing.type(source)
    padding = tuple(drawing.integer(0, 2) for _ in range(4))
    value = int(draw_codes(drawing.rng, x.format, (1,))[0])
    if x.format.contains(np.array([x.zero_point])) and drawing.chance(0.5):
        value = x.zero_point
    return drawing.apply(Pad2D(padding, value), source)


def _add_reshape(drawing: Drawing, source: str) -> str:
    x = drawing.type(source)
    size = int(np.prod(x.shape))
    divisors = [value for value in range(1, size + 1) if size % value == 0]
    shape: tuple[int, ...] = (size,)
    if drawing.chance(0.6):
        inner = x.shape[-1] if drawing.chance(0.4) else int(drawing.choose(divisors))
        rest = size // inner
        height = int(drawing.choose([value for value in divisors if rest % value == 0]))
        shape = (height, rest // height, inner)
    return drawing.apply(Reshape(shape), source)


def _add_argmax(drawing: Drawing, source: str) -> str:
    return drawing.apply(Argmax(), source)


def _add_softmax(drawing: Drawing, source: str) -> str:
    scale = float(10.0 ** drawing.rng.uniform(-3, 1))
    table = drawing.constant("table", softmax_table(scale), "u16")
    return drawing.apply(Softmax(), source, table)


def _is_activation(x: TensorType) -> bool:
    return x.format.name in ACTIVATIONS


def _is_weighted(x: TensorType) -> bool:
    return x.format.name in WEIGHTED and int(np.prod(x.shape)) <= MOST_ELEMENTS


def _is_image(x: TensorType) -> bool:
    return _is_activation(x) and len(x.shape) == 3


def _is_weighted_image(x: TensorType) -> bool:
    return _is_image(x) and _is_weighted(x)


def _is_small(x: TensorType) -> bool:
    return int(np.prod(x.shape)) <= MOST_ELEMENTS


STEPS: tuple[tuple[Callable[[TensorType], bool], Callable[[Drawing, str], str]], ...] = (
    (_is_weighted_image, _add_conv2d),
    (_is_weighted_image, _add_conv2d),
    (_is_weighted_image, _add_conv2d),
    (_is_weighted_image, _add_depthwise),
    (_is_weighted_image, _add_depthwise),
    (_is_weighted, _add_dense),
    (_is_small, _add_rescale),
    (_is_image, _add_sum_pool),
    (lambda x: x.format.name in WEIGHTED, _add_add),
    (lambda x: _is_activation(x) and _is_small(x), _add_concatenate),
    (_is_image, _add_max_pool),
    (lambda x: _is_image(x) and x.format.step == 1, _add_average_pool),
    (lambda x: _is_image(x) and _is_small(x), _add_pad),
    (_is_small, _add_reshape),
    (lambda x: True, _add_argmax),
    (lambda x: x.format.name == "s8", _add_softmax),
    *IMPORTED_STEPS,
)
