"""LSTM over a sequence with 8-bit weights and outputs and 16-bit gates and cells, as in TFLite."""

from __future__ import annotations

import numpy as np

from tests.drawing.formulas import clip, power, truncate, twice
from tests.drawing.graphs import draw_code, is_codes
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph import TensorType
from tinyq.graph.ops.tflite_lstm import TfliteLstm, TfliteLstmStates
from tinyq.numerics.fixed_point import quantize_multiplier


def is_sequence(x: TensorType) -> bool:
    return is_codes(x) and len(x.shape) == 2 and int(np.prod(x.shape)) <= 200


@step(is_sequence)
def draw_step(drawing, source: str) -> str:
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
    fields = (
        *scales,
        hidden,
        drawing.integer(0, 6),
        clip,
        draw_code(drawing),
        draw_code(drawing),
        0.5,
        draw_code(drawing),
    )
    if drawing.chance(0.5):
        return drawing.apply(TfliteLstm(*fields), source, *names)
    state = drawing.rng.integers(-128, 128, (3, cells))
    names.append(drawing.constant("state", state, "s8"))
    return drawing.apply(TfliteLstmStates(*fields), source, *names)


@bench_case("tflitelstm")
def draw_case(draw, kernel):
    return draw_layer(draw, TfliteLstm)


@bench_case("tflitelstmstates")
def draw_states_case(draw, kernel):
    op, operands = draw_layer(draw, TfliteLstmStates)
    return op, [*operands, ((3, operands[1][0][1]), "s8")]


def draw_layer(draw, layer):
    steps, inputs, cells = draw.size(5), draw.channels(), draw.size(9)
    scales = [
        tuple(
            int(draw.rng.integers(2**30, 2**31)) if place % 2 == 0 else draw.integer(-8, 1)
            for place in range(8)
        )
        for _ in range(2)
    ]
    hidden = int(draw.rng.integers(2**30, 2**31)), draw.integer(-24, -20)
    clip = draw.integer(0, 1) * draw.integer(1, 32767)
    zeros = draw.zero_point("s8"), draw.zero_point("s8")
    op = layer(*scales, hidden, draw.integer(0, 6), clip, *zeros, 0.5, draw.zero_point("s8"))
    shapes = (steps, inputs), (4, cells, inputs), (4, cells, cells), (4, cells)
    return op, list(zip(shapes, ("s8", "s8", "s8", "s32"), strict=True))


def high16(a, b):
    """SaturatingRoundingDoublingHighMul of int16."""
    if a == b == -(2**15):
        return 2**15 - 1
    product = a * b
    return truncate(product + (2**14 if product >= 0 else 1 - 2**14), 2**15)


def constant16(value):
    """A constant of gemmlowp's, written in 32 bits, for int16."""
    return power(value, 16)


def exp16(a, bits):
    """exp_on_negative_values of a FixedPoint<int16_t, bits>."""
    if a == 0:
        return 32767
    if bits > 5 and a < constant16(-(1 << (36 - bits))):
        return 0
    quarter = 1 << (15 - bits - 2)
    modulo = (a & (quarter - 1)) - quarter
    x = clip(modulo << bits, -32768, 32767) + (1 << 12)
    x2 = high16(x, x)
    x3, x4 = high16(x2, x), high16(x2, x2)
    series = power(high16(power(x4, 2) + x3, constant16(715827883)) + x2, 1)
    center = constant16(1895147668)
    result = clip(center + high16(center, x + series), -32768, 32767)
    factors = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
    for exponent, factor in enumerate(factors, -2):
        if bits > exponent and (modulo - a) & (1 << (15 - bits + exponent)):
            result = high16(result, constant16(factor))
    return result


def inverse16(a):
    """The loop that one_over_one_plus_x and one_minus_x_over_one_plus_x share."""
    half = truncate(a + 32767 + 1, 2)
    x = constant16(1515870810) + high16(half, constant16(-1010580540))
    for _ in range(3):
        x += clip(high16(x, 8192 - high16(half, x)) << 2, -32768, 32767)
    return x


def logistic16(a, bits):
    if a == 0:
        return constant16(1 << 30)
    positive = clip(inverse16(exp16(-abs(a), bits)) << 1, -32768, 32767)
    return positive if a > 0 else 32767 - positive


def tanh16(a, bits):
    if a == 0:
        return 0
    t = clip((inverse16(exp16(-abs(a), bits + 1)) - 8192) << 2, -32768, 32767)
    return t if a > 0 else -t


@formula("TfliteLstm")
def compute(op, x, w, r, b):
    """From zeros."""
    return unroll(op, x, w, r, b, [op.h_zero] * len(r[0]), [0] * len(r[0]))[0]


@formula("TfliteLstmStates")
def compute_states(op, x, w, r, b, state):
    """From the two bytes of a cell, each 128 less, to these."""
    hidden, low, high = state
    cells = [
        int.from_bytes((a + 128, b & 255), "little", signed=True)
        for a, b in zip(low, high, strict=True)
    ]
    rows, cells = unroll(op, x, w, r, b, hidden, cells)
    ends = [value.to_bytes(2, "little", signed=True) for value in cells]
    signed = [end[1] - 256 * (end[1] > 127) for end in ends]
    return [*rows, [end[0] - 128 for end in ends], signed]


def unroll(op, x, w, r, b, hidden, cell):
    """LstmStepInteger8x8_16 for each step, without projection, peepholes and normalization."""

    def product(weights, codes, zero, bias):
        return bias + sum(a * (code - zero) for a, code in zip(weights, codes, strict=True))

    def gate(place, c, codes, hidden):
        scales = op.input_scales[2 * place :], op.recurrent_scales[2 * place :]
        value = twice(product(w[place][c], codes, op.x_zero, b[place][c]), *scales[0][:2])
        value = clip(value, -32768, 32767)
        value += twice(product(r[place][c], hidden, op.h_zero, 0), *scales[1][:2])
        value = clip(value, -32768, 32767)
        return tanh16(value, 3) if place == 2 else logistic16(value, 3)

    cell, result = list(cell), []
    for codes in x:
        row = []
        for c in range(len(cell)):
            i, f, z, o = (gate(place, c, codes, hidden) for place in range(4))
            state = power(f * cell[c], 15) + power(i * z, 15 + op.cell_bits)
            state = clip(state, -32768, 32767)
            cell[c] = clip(state, -op.cell_clip, op.cell_clip) if op.cell_clip else state
            shown = twice(o * tanh16(cell[c], op.cell_bits), *op.hidden_scale)
            row.append(clip(shown + op.zero_point))
        result.append(row)
        hidden = row
    return result, cell
