"""Steps of random graphs with the operations of imported models, most on 8-bit codes."""

from __future__ import annotations

import numpy as np

from tinyq.graph import TensorType
from tinyq.graph.epilogues import RequantizeTwice, RequantizeWide
from tinyq.graph.ops.interpolate import Interpolate
from tinyq.graph.ops.lookup import Lookup
from tinyq.graph.ops.matrix_multiply import MatrixMultiply
from tinyq.graph.ops.multiply import Multiply
from tinyq.graph.ops.pick_pixels import PickPixels
from tinyq.graph.ops.prelu import Prelu, TflitePrelu
from tinyq.graph.ops.rescale import Rescale
from tinyq.graph.ops.strided_copy import StridedCopy
from tinyq.graph.ops.svdf import Svdf
from tinyq.graph.ops.tflite_add import TfliteAdd
from tinyq.graph.ops.tflite_average_pool2d import TfliteAveragePool2D
from tinyq.graph.ops.tflite_log_softmax import TfliteLogSoftmax
from tinyq.graph.ops.tflite_lstm import TfliteLstm
from tinyq.graph.ops.tflite_sigmoid import TfliteSigmoid
from tinyq.graph.ops.tflite_softmax import TfliteSoftmax
from tinyq.graph.ops.tflite_wide_softmax import TfliteWideSoftmax
from tinyq.graph.ops.transpose_conv2d import TransposeConv2D
from tinyq.graph.ops.window import Window
from tinyq.numerics.fixed_point import (
    interpolation_table,
    quantize_multiplier,
    sigmoid_table,
    softmax_exponentials,
)


def draw_twice(drawing) -> RequantizeTwice:
    """A stage with TFLite's rounding."""
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


def _code(drawing) -> int:
    return drawing.integer(-128, 127)


def _partner(drawing, source: str) -> str:
    """Another tensor of the same type, or a table of the first one."""
    x = drawing.type(source)
    others = [name for name in drawing.tensors if drawing.type(name) == x and name != source]
    return (
        str(drawing.choose(others))
        if others and drawing.chance(0.7)
        else _add_lookup(drawing, source)
    )


def _add_lookup(drawing, source: str) -> str:
    table = drawing.rng.integers(-128, 128, 256)
    if drawing.chance(0.3):
        table = np.clip(np.arange(-128, 128), _code(drawing), 127)
    name = drawing.constant("table", table, "s8")
    return drawing.apply(Lookup(0.5, _code(drawing)), source, name)


def _add_multiply(drawing, source: str) -> str:
    other = _partner(drawing, source)
    stage = drawing.stage()
    reach = np.full(drawing.type(source).shape[-1], 255 * 255, np.int64)
    constants = drawing.stage_constants(stage, reach)
    return drawing.apply(Multiply(stage, _code(drawing), _code(drawing)), source, other, *constants)


def _add_tflite_add(drawing, source: str) -> str:
    other = _partner(drawing, source)
    stage = drawing.stage()
    pairs = [quantize_multiplier(float(drawing.rng.uniform(0.001, 0.5))) for _ in range(2)]
    reach = np.full(drawing.type(source).shape[-1], 2 * (255 << 20), np.int64)
    constants = drawing.stage_constants(stage, reach)
    zeros = _code(drawing), _code(drawing)
    sign = int(drawing.choose((1, -1)))
    operation = TfliteAdd(stage, *pairs[0], *pairs[1], sign, 20, *zeros)
    return drawing.apply(operation, source, other, *constants)


def _add_average_pool(drawing, source: str) -> str:
    height, width, _ = drawing.type(source).shape
    size = drawing.integer(1, height), drawing.integer(1, width)
    padding = tuple(drawing.integer(0, size[axis // 2] - 1) for axis in range(4))
    window = Window(size, (drawing.integer(1, 2), drawing.integer(1, 2)), (1, 1), padding)
    lo = _code(drawing)
    return drawing.apply(TfliteAveragePool2D(window, lo, drawing.integer(lo, 127)), source)


def _exponentials(drawing) -> tuple[float, str]:
    scale = float(10.0 ** drawing.rng.uniform(-2, 0.5))
    return scale, drawing.constant("table", softmax_exponentials(scale, 1.0)[0], "s32")


def _add_softmax(drawing, source: str) -> str:
    return drawing.apply(TfliteSoftmax(), source, _exponentials(drawing)[1])


def _add_log_softmax(drawing, source: str) -> str:
    scale, table = _exponentials(drawing)
    _, multiplier, exponent, least = softmax_exponentials(scale, 1.0)
    reverse = quantize_multiplier(2.0 ** (31 - exponent) / multiplier)
    operation = TfliteLogSoftmax(multiplier, exponent, *reverse, least)
    return drawing.apply(operation, source, table)


def _add_strided_copy(drawing, source: str) -> str:
    """A transpose of the axes, some of them reversed or repeated."""
    shape = drawing.type(source).shape
    steps = [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
    order = [int(axis) for axis in drawing.rng.permutation(len(shape))]
    sizes, strides, start = [], [], 0
    for axis in order:
        turned = drawing.chance(0.3)
        sizes.append(shape[axis])
        strides.append(-steps[axis] if turned else steps[axis])
        start += steps[axis] * (shape[axis] - 1) if turned else 0
    if drawing.chance(0.2):
        sizes.insert(0, 2)
        strides.insert(0, 0)
    return drawing.apply(StridedCopy(tuple(sizes), tuple(strides), start), source)


def _add_pick(drawing, source: str) -> str:
    tables = [
        drawing.constant(name, drawing.rng.integers(0, side, drawing.integer(1, 7)), "u16")
        for name, side in zip(("rows", "columns"), drawing.type(source).shape, strict=False)
    ]
    return drawing.apply(PickPixels(), source, *tables)


def _add_interpolate(drawing, source: str) -> str:
    tables = []
    for name, side in zip(("rows", "columns"), drawing.type(source).shape, strict=False):
        rows = drawing.rng.integers(0, side, (drawing.integer(1, 7), 3))
        rows[:, 2] = drawing.rng.integers(0, 1025, len(rows))
        tables.append(drawing.constant(name, rows, "s16"))
    return drawing.apply(Interpolate(), source, *tables)


def _add_prelu(drawing, source: str) -> str:
    gains = [float(drawing.rng.uniform(0.001, 2.0)) for _ in range(2)]
    zeros = [_code(drawing) for _ in range(3)]
    if drawing.chance(0.5):
        pairs = [quantize_multiplier(gain) for gain in gains]
        operation = TflitePrelu(*pairs[0], *pairs[1], *zeros, 0.5)
    else:
        pairs = [(int(gain * 2**20), 20) for gain in gains]
        operation = Prelu(*pairs[0], *pairs[1], *zeros, 0.5)
    slopes = drawing.rng.integers(-128, 128, drawing.type(source).shape[-1])
    return drawing.apply(operation, source, drawing.constant("slopes", slopes, "s8"))


def _add_transpose_conv(drawing, source: str) -> str:
    x = drawing.type(source)
    size = drawing.integer(1, 3), drawing.integer(1, 3)
    stride = drawing.integer(1, 3), drawing.integer(1, 3)
    padding = tuple(drawing.integer(0, size[axis // 2] - 1) for axis in range(4))
    grown = [
        (length - 1) * step + reach - before - after + drawing.integer(0, step - 1)
        for length, step, reach, (before, after) in zip(
            x.shape[:2], stride, size, (padding[:2], padding[2:]), strict=True
        )
    ]
    if min(grown) < 1:
        padding, grown = (
            (0, 0, 0, 0),
            [
                (length - 1) * step + reach
                for length, step, reach in zip(x.shape[:2], stride, size, strict=True)
            ],
        )
    stage, channels = drawing.stage(), drawing.integer(1, 9)
    number_format = str(drawing.choose(("s8", "s4")))
    half = 128 if number_format == "s8" else 8
    weights = drawing.rng.integers(-half, half, (channels, *size, x.shape[2]))
    reach = np.abs(weights).sum(axis=(1, 2, 3)) * 255
    name = drawing.constant("weights", weights, number_format)
    constants = drawing.stage_constants(stage, reach)
    window = Window(size, stride, (1, 1), padding)
    operation = TransposeConv2D(stage, window, (grown[0], grown[1]), _code(drawing))
    return drawing.apply(operation, source, name, *constants)


def _add_matrix_multiply(drawing, source: str) -> str:
    """Each matrix times itself or times a table of it."""
    x = drawing.type(source)
    other = source if drawing.chance(0.5) else _add_lookup(drawing, source)
    stage = drawing.stage()
    reach = np.full(x.shape[1], 255 * 255 * x.shape[2], np.int64)
    constants = drawing.stage_constants(stage, reach)
    operation = MatrixMultiply(stage, _code(drawing), _code(drawing))
    return drawing.apply(operation, source, other, *constants)


def _add_svdf(drawing, source: str) -> str:
    """Features within int16, so that the sums of a few of them stay within int32."""
    inputs, rank = drawing.type(source).shape[-1], drawing.integer(1, 3)
    units, stage = drawing.integer(1, 9), drawing.stage()
    weights = drawing.rng.integers(-128, 128, (units * rank, inputs))
    time = drawing.rng.integers(-(2**13), 2**13, units * rank)
    names = drawing.constant("weights", weights, "s8"), drawing.constant("time", time, "s16")
    reach = np.abs(time).reshape(units, rank).sum(axis=1) * 2**15
    constants = drawing.stage_constants(stage, reach)
    scale = quantize_multiplier(float(drawing.rng.uniform(0.01, 2.0)))
    operation = Svdf(stage, rank, *scale, _code(drawing))
    return drawing.apply(operation, source, *names, *constants)


def _add_lstm(drawing, source: str) -> str:
    steps, inputs = drawing.type(source).shape
    cells = drawing.integer(1, 6)
    shapes = (4, cells, inputs), (4, cells, cells)
    names = [
        drawing.constant(f"weights_{place}", drawing.rng.integers(-128, 128, shape), "s8")
        for place, shape in enumerate(shapes)
    ]
    bias = drawing.rng.integers(-(2**16), 2**16, (4, cells))
    names.append(drawing.constant("bias", bias, "s32"))
    scales = [
        sum((quantize_multiplier(float(drawing.rng.uniform(0.01, 1.0))) for _ in range(4)), ())
        for _ in range(2)
    ]
    hidden = quantize_multiplier(2.0 ** float(drawing.rng.uniform(-24, -21)))
    clip = int(drawing.choose((0, 2000)))
    operation = TfliteLstm(
        *scales,
        hidden,
        drawing.integer(0, 6),
        clip,
        _code(drawing),
        _code(drawing),
        0.5,
        _code(drawing),
    )
    return drawing.apply(operation, source, *names)


def _add_widened(drawing, source: str) -> str:
    """A change of scale to 16 bits and a function of them, back to 8 bits or not."""
    channels = drawing.type(source).shape[-1]
    zero = _code(drawing)
    gains = drawing.rng.uniform(1.0, 300.0, channels)
    stage = RequantizeWide("s16", 0.001, 0, -32768, 32767)
    mantissas = [int(gain * 2**53) for gain in gains]
    tables = (
        drawing.rng.integers(-(2**20), 2**20, channels) // 2**12,
        np.zeros(channels, np.int64),
        [mantissa >> 32 for mantissa in mantissas],
        [(mantissa + 2**31) % 2**32 - 2**31 for mantissa in mantissas],
        np.full(channels, 21),
    )
    names = [
        drawing.constant(name, codes, "s32")
        for name, codes in zip(stage.names, tables, strict=True)
    ]
    wide = drawing.apply(Rescale(stage, zero), source, *names)
    if drawing.chance(0.5):
        tables16 = (
            interpolation_table(np.exp, -10.0, 0.0),
            interpolation_table(lambda x: np.float32(1) / (np.float32(1) + x), 0.0, 1.0),
        )
        names = [
            drawing.constant(name, codes, "s16")
            for name, codes in zip(("exponentials", "reciprocals"), tables16, strict=True)
        ]
        scale = quantize_multiplier(float(drawing.rng.uniform(0.1, 20.0)))
        return drawing.apply(TfliteWideSoftmax(*scale), wide, *names)
    table = drawing.constant("sigmoid", sigmoid_table(), "u16")
    operation = TfliteSigmoid(
        drawing.integer(2**14, 2**15 - 1), drawing.integer(0, 8), drawing.integer(0, 1)
    )
    return drawing.apply(operation, wide, table)


def _is_codes(x: TensorType) -> bool:
    return x.format.name == "s8" and int(np.prod(x.shape)) <= 1500


def _is_image(x: TensorType) -> bool:
    return _is_codes(x) and len(x.shape) == 3


def _is_sequence(x: TensorType) -> bool:
    return _is_codes(x) and len(x.shape) == 2 and int(np.prod(x.shape)) <= 200


def _is_addressed(x: TensorType) -> bool:
    return x.format.name in ("s8", "u8", "s32") and int(np.prod(x.shape)) <= 1500


IMPORTED_STEPS = (
    (_is_codes, _add_lookup),
    (_is_codes, _add_multiply),
    (_is_codes, _add_tflite_add),
    (_is_image, _add_average_pool),
    (_is_codes, _add_softmax),
    (_is_codes, _add_log_softmax),
    (_is_addressed, _add_strided_copy),
    (_is_image, _add_pick),
    (_is_image, _add_interpolate),
    (_is_codes, _add_prelu),
    (_is_image, _add_transpose_conv),
    (_is_image, _add_matrix_multiply),
    (_is_codes, _add_svdf),
    (_is_sequence, _add_lstm),
    (_is_codes, _add_widened),
)
