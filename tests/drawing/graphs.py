"""What random graphs are drawn from: codes, formats, windows, epilogues, the graph so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from tinyq.graph import GraphBuilder, TensorType
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
from tinyq.graph.offset_epilogue import RequantizeOffset, RequantizeSingle
from tinyq.graph.ops.window import Window, same_padding
from tinyq.numerics.fixed_point import quantize_multiplier
from tinyq.numerics.formats import Codes, Format, find_format
from tinyq.numerics.offsets import split_words
from tinyq.numerics.packing import Basis, Scales
from tinyq.numerics.rounding import INT32_MAX, INT32_MIN, MAX_SHIFT

# Layers with weights take these; the operations without weights take the wider choice.
WEIGHTED = ("b1", "s2", "s3", "s4", "u2", "u4", "s8")
ACTIVATIONS = (*WEIGHTED, "u8")
WEIGHTS = ("b1", "t2", "s4", "s8", "s2", "s3", "p4", "a4", "c2", "c4", "n2", "d2", "d3", "g2")
# Around the word: 32 signs in a word, two nibbles or one code in a byte.
CHANNELS = MappingProxyType(
    {
        "b1": (1, 2, 5, 31, 32, 33, 40, 63, 64, 65),
        "s2": (1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 49, 65),
        "s3": (1, 2, 7, 8, 9, 16, 24, 25, 31, 32, 33, 40, 65),
        "u2": (1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 49, 65),
        "u4": (1, 2, 3, 4, 5, 7, 8, 9, 16, 17),
        "s8": (1, 2, 3, 4, 5, 6, 7, 8, 9, 13),
        "s4": (1, 2, 3, 4, 5, 7, 8, 9, 16, 17),
        "u8": (1, 2, 3, 4, 5, 6, 7, 8, 9, 13),
    }
)
MOST_ELEMENTS = 1500
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

    def epilogue(self) -> Epilogue:
        return draw_epilogue(self)

    def epilogue_constants(self, epilogue: Epilogue, reach: Codes) -> list[str]:
        return epilogue_constants(self, epilogue, reach)


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


def draw_shape(rng: np.random.Generator, number_format: str) -> tuple[int, ...]:
    channels = int(rng.choice(CHANNELS[number_format]))
    rank = int(rng.choice((1, 2, 3, 3, 3, 3)))
    return (*(int(size) for size in rng.integers(1, 8, size=rank - 1)), channels)


def draw_zero_point(rng: np.random.Generator, number_format: str) -> int:
    bounds = find_format(number_format)
    if bounds.step == 2:
        return 0
    return int(rng.choice((0, bounds.lo, bounds.hi, rng.integers(bounds.lo, bounds.hi + 1))))


def draw_window(drawing: Drawing, shape: Sequence[int], *, dilated: bool = True) -> Window:
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


def draw_scaling(drawing: Drawing, reach: Codes, width: int) -> dict[str, Codes]:
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
    return {"bias": draw_bias(drawing, reach), "multiplier": multiplier, "shift": shift}


def draw_wide_scaling(drawing: Drawing, reach: Codes, width: int) -> dict[str, Codes]:
    """Constants of ``RequantizeWide``: biases beyond int32, mantissas of 62 bits."""
    rng, channels = drawing.rng, len(reach)
    gain = width * 2.0 ** rng.uniform(-2, 1, size=channels) / np.maximum(reach, 1)
    fraction, exponent = np.frexp(gain)
    mantissa = [int(part * 2.0**53) << 9 for part in fraction]
    bias = np.rint(reach * rng.uniform(-0.5, 0.5, size=channels)).astype(np.int64)
    bias = np.where(rng.random(channels) < 0.1, rng.integers(-(2**44), 2**44, channels), bias)
    low = ((bias + 2**31) & (2**32 - 1)) - 2**31
    return {
        "bias": low,
        "bias_high": (bias - low) >> 32,
        "multiplier": np.asarray([value >> 32 for value in mantissa]),
        "multiplier_low": np.asarray([(value + 2**31) % 2**32 - 2**31 for value in mantissa]),
        "shift": np.clip(30 - exponent, 17, 62),
    }


def draw_bias(drawing: Drawing, reach: Codes) -> Codes:
    """Biases with acc + bias inside int32 for every |acc| <= reach, its edges included."""
    rng = drawing.rng
    bias = np.rint(reach * rng.uniform(-0.5, 0.5, size=len(reach))).astype(np.int64)
    edges = np.where(rng.random(len(reach)) < 0.5, INT32_MAX - reach, INT32_MIN + reach)
    bias = np.where(rng.random(len(reach)) < 0.1, edges, bias)
    return np.where(reach > INT32_MAX, 0, bias)


def draw_threshold(drawing: Drawing, reach: Codes) -> dict[str, Codes]:
    rng, channels = drawing.rng, len(reach)
    threshold = np.rint(reach * rng.uniform(-0.4, 0.4, size=channels)).astype(np.int64)
    edges = rng.choice((INT32_MIN, INT32_MAX, 0, 1), size=channels)
    threshold = np.where(rng.random(channels) < 0.15, edges, threshold)
    return {"threshold": threshold, "flip": rng.integers(0, 2, size=channels)}


def draw_requantize(drawing: Drawing, number_format: str) -> Requantize | RoundEven:
    bounds = find_format(number_format)
    lo, hi = bounds.lo, bounds.hi
    zero_point = draw_zero_point(drawing.rng, number_format)
    if drawing.chance(0.3):  # ReLU
        lo = zero_point
    if drawing.chance(0.2):  # an upper clip as of ReLU6
        hi = drawing.integer(lo, hi)
    even = number_format in ("s4", "s8", "u4") and drawing.chance(0.1)
    kind = RoundEven if even else Requantize
    return kind(number_format, 0.25, zero_point, lo, hi)


def draw_epilogue(drawing: Drawing) -> Epilogue:
    kind = drawing.integer(0, 11)
    if kind < 3:
        return Threshold(0.5)
    if kind < 4:
        return Raw(0.125)
    if kind < 5:
        return draw_twice(drawing)
    if kind < 6:
        return draw_steps(drawing)
    if kind < 7 and drawing.chance(0.5):
        plain = draw_requantize(drawing, "s8")
        return RequantizeWide("s8", 0.25, plain.zero_point, plain.lo, plain.hi)
    if kind < 8 and drawing.chance(0.5):
        output = str(drawing.choose(("s8", "u4", "u2", "s4")))
        plain = draw_requantize(drawing, output)
        fields = (output, 0.25, plain.zero_point, plain.lo, plain.hi)
        if drawing.chance(0.5):
            moved = int(drawing.choose((0, 128)))
            return RequantizeSingle(*fields, drawing.integer(0, 1), moved)
        return RequantizeOffset(*fields)
    return draw_requantize(drawing, draw_format(drawing))


def draw_steps(drawing: Drawing) -> Steps:
    bounds = find_format(str(drawing.choose(("u2", "u4", "s8"))))
    levels = drawing.rng.integers(bounds.lo, bounds.hi + 1, size=drawing.integer(2, 16))
    zero_point = draw_zero_point(drawing.rng, bounds.name)
    return Steps(bounds.name, 0.25, zero_point, tuple(sorted(levels.tolist())))


def draw_format(drawing: Drawing) -> str:
    formats = ("s8", "u4", "u2", "s4", "s3", "s2", "u8")
    return str(drawing.rng.choice(formats, p=(0.33, 0.22, 0.12, 0.12, 0.07, 0.07, 0.07)))


def epilogue_constants(drawing: Drawing, epilogue: Epilogue, reach: Codes) -> list[str]:
    """The epilogue's constants as tensors, in order, for accumulators within +-reach."""
    if isinstance(epilogue, Threshold):
        values = draw_threshold(drawing, reach)
    elif isinstance(epilogue, Steps):
        drawn = [draw_threshold(drawing, reach) for _ in epilogue.levels[1:]]
        thresholds = np.stack([one["threshold"] for one in drawn])
        values = {"threshold": thresholds, "flip": drawn[0]["flip"]}
    elif isinstance(epilogue, Raw):
        values = {"bias": draw_bias(drawing, reach)}
    elif isinstance(epilogue, RequantizeTwice):
        values = draw_twice_scaling(drawing, reach, epilogue.hi - epilogue.lo + 1)
    elif isinstance(epilogue, RequantizeWide):
        values = draw_wide_scaling(drawing, reach, epilogue.hi - epilogue.lo + 1)
    elif isinstance(epilogue, RequantizeSingle):
        gain = (epilogue.hi - epilogue.lo + 1) / (2.0 * np.maximum(reach, 1))
        shift = np.clip(24 - np.frexp(gain)[1], 0, 46)
        multiplier = np.minimum(np.ldexp(gain, shift).astype(np.int64), 2**24 - 1)
        multiplier = np.where(drawing.rng.random(len(reach)) < 0.5, 3 << 20, multiplier)
        values = {"bias": draw_bias(drawing, reach), "multiplier": multiplier, "shift": shift}
    elif isinstance(epilogue, RequantizeOffset):
        values = draw_offset_scaling(drawing, reach, epilogue.hi - epilogue.lo + 1)
    else:
        assert isinstance(epilogue, Requantize | RoundEven)
        values = draw_scaling(drawing, reach, epilogue.hi - epilogue.lo + 1)
        values["even"] = drawing.rng.integers(0, 2, size=len(reach))
    return [drawing.constant(name, values[name], "s32") for name in epilogue.names]


def draw_offset_scaling(drawing: Drawing, reach: Codes, codes: int) -> dict[str, Codes]:
    """Scales that spread accumulators over the codes; a third are powers of two, with halves."""
    channels = len(reach)
    gain = codes / (2.0 * np.maximum(reach, 1)) * drawing.rng.uniform(0.3, 3.0, channels)
    shift = np.clip(30 - np.frexp(gain)[1], 1, 62).astype(np.int64)
    multiplier = np.minimum(np.floor(np.ldexp(gain, shift)), INT32_MAX).astype(np.int64)
    multiplier = np.where(drawing.rng.random(channels) < 0.3, 1 << 29, multiplier)
    offset = drawing.rng.integers(-codes, codes, channels) << np.minimum(shift, 50)
    high, low = split_words(offset + np.left_shift(1, shift - 1))
    even = drawing.rng.integers(0, 3, channels)
    return {
        "multiplier": multiplier,
        "offset_high": high,
        "offset_low": low,
        "shift": shift,
        "even": even,
    }


def draw_x_zero(drawing: Drawing, source: TensorType) -> int:
    """The input's zero point, or another code: the operation's own field counts."""
    if drawing.chance(0.8):
        return source.zero_point
    return draw_zero_point(drawing.rng, source.format.name)


def widest(source: TensorType, zero: int) -> int:
    """Largest distance of a code from ``zero``; padding is at distance 0."""
    return max(abs(source.format.lo - zero), abs(source.format.hi - zero))


def draw_weights(drawing: Drawing, shape: Sequence[int], axis: int = 0) -> tuple[Codes, Format]:
    names = WEIGHTS if axis == 0 else [name for name in WEIGHTS if name != "g2"]
    number_format = draw_table(drawing.rng, str(drawing.choose(names)), shape, axis)
    weights = draw_codes(drawing.rng, number_format, shape)
    if drawing.chance(0.1) and number_format.coding.channel_axis is None:
        weights[...] = drawing.choose((number_format.lo, number_format.hi))
    return weights, number_format


def out_channels(drawing: Drawing, epilogue: Epilogue) -> int:
    name = epilogue.type((1,)).format.name
    return int(drawing.rng.choice(CHANNELS.get(name, CHANNELS["s8"])))


def is_activation(x: TensorType) -> bool:
    return x.format.name in ACTIVATIONS


def is_weighted(x: TensorType) -> bool:
    return x.format.name in WEIGHTED and int(np.prod(x.shape)) <= MOST_ELEMENTS


def is_image(x: TensorType) -> bool:
    return is_activation(x) and len(x.shape) == 3


def is_weighted_image(x: TensorType) -> bool:
    return is_image(x) and is_weighted(x)


def is_small(x: TensorType) -> bool:
    return int(np.prod(x.shape)) <= MOST_ELEMENTS


def draw_twice(drawing) -> RequantizeTwice:
    """A epilogue with TFLite's rounding."""
    zero = drawing.integer(-128, 127)
    lo = zero if drawing.chance(0.3) else -128
    return RequantizeTwice("s8", 0.25, zero, lo, drawing.integer(lo, 127))


def draw_twice_scaling(drawing, reach, width):
    """Bias, mantissa and exponent for accumulators within +-reach."""
    rng, channels = drawing.rng, len(reach)
    gains = width * 2.0 ** rng.uniform(-2, 1, size=channels) / np.maximum(reach, 1)
    pairs = [quantize_multiplier(min(float(gain), 2.0**20)) for gain in gains]
    room = np.clip(2**31 - 1 - reach, 0, 2**28)  # acc + bias stays within int32
    bias = np.rint(np.minimum(reach, room) * rng.uniform(-0.5, 0.5, size=channels))
    return {
        "bias": bias.astype(np.int64),
        "multiplier": [mantissa for mantissa, _ in pairs],
        "exponent": [exponent for _, exponent in pairs],
    }


def draw_code(drawing) -> int:
    return drawing.integer(-128, 127)


def is_codes(x: TensorType) -> bool:
    return x.format.name == "s8" and int(np.prod(x.shape)) <= 1500


def is_code_image(x: TensorType) -> bool:
    return is_codes(x) and len(x.shape) == 3
