"""Formulas of imported models' operations a second time: step by step as TFLite's C++ has them."""

from __future__ import annotations

from fractions import Fraction
from math import floor

INT32 = 2**32


def wrap(value):
    """Two's complement of the low 32 bits."""
    return (value + 2**31) % INT32 - 2**31


def saturate(value):
    return min(max(value, -(2**31)), 2**31 - 1)


def truncate(value, divisor):
    """C's division, to zero."""
    return value // divisor if value >= 0 else -(-value // divisor)


def high(a, b):
    """SaturatingRoundingDoublingHighMul."""
    if a == b == -(2**31):
        return 2**31 - 1
    product = a * b
    nudge = 2**30 if product >= 0 else 1 - 2**30
    return truncate(product + nudge, 2**31)


def power(x, exponent):
    """RoundingDivideByPOT."""
    mask = (1 << exponent) - 1
    remainder = x & mask
    threshold = (mask >> 1) + (1 if x < 0 else 0)
    return (x >> exponent) + (1 if remainder > threshold else 0)


def twice(x, multiplier, exponent):
    """MultiplyByQuantizedMultiplier."""
    left, right = max(exponent, 0), max(-exponent, 0)
    return power(high(wrap(x << left), multiplier), right)


def inverse(raw):
    """one_over_one_plus_x_for_x_in_0_1."""
    half_denominator = truncate(raw + 2**31 - 1 + 1, 2)
    x = 1515870810 + high(half_denominator, -1010580540)
    for _ in range(3):
        x += saturate(high(x, 2**29 - high(half_denominator, x)) << 2)
    return saturate(x << 1)


def zeros(value):
    return 32 - value.bit_length()


def log(raw):
    """log_x_for_x_greater_than_or_equal_to_1 from Q12 to Q5, accumulated in Q6."""
    headroom = zeros(raw)
    r_a = saturate(high(saturate(raw << (headroom - 1)), 1518500250) << 1)
    a_power = saturate(saturate((12 - headroom) << 25) + power(536870912, 6))
    z_b = high(raw, 1518500250)
    b_headroom = zeros(z_b) - 1
    r_b = saturate(raw << b_headroom)
    b_power = saturate(saturate((12 - b_headroom) << 25) - power(536870912, 6))
    r, z = min(r_a, r_b), max(a_power, b_power)
    total = r + 1805811301
    p = truncate(total + (1 if total >= 0 else -1), 2)
    q = (r - 1805811301) * 2
    square = high(q, q)
    numerator = high(q, r) + high(high(q, square), 117049297)
    denominator = high(p, 1057819769 + q + high(127690142, square)) + high(638450708, q)
    quotient = high(power(numerator, 6), inverse(denominator))
    return saturate((high(z, 1488522236) + quotient) << 1)


def rows(function, x):
    """Apply to every innermost list."""
    if isinstance(x[0], list):
        return [rows(function, part) for part in x]
    return function(x)


def pairs(function, x, y):
    if isinstance(x, list):
        return [pairs(function, *parts) for parts in zip(x, y, strict=True)]
    return function(x, y)


def flatten(x):
    return [value for part in x for value in flatten(part)] if isinstance(x, list) else [x]


def clip(value, lo=-128, hi=127):
    return min(max(value, lo), hi)


def tflite_add(op, x, y):
    def code(a, b):
        first = twice((a - op.x_zero) << op.left_shift, op.x_multiplier, op.x_exponent)
        second = twice((b - op.y_zero) << op.left_shift, op.y_multiplier, op.y_exponent)
        return first + op.y_sign * second

    return pairs(code, x, y)


def tflite_average_pool(op, x):
    from tests.contract.test_ops import map_windows

    def pixel(taps):
        return [
            clip(_mean(sum(x[r][c][k] for _, _, r, c in taps), len(taps)), op.lo, op.hi)
            for k in range(len(x[0][0]))
        ]

    return map_windows(pixel, op.window, x)


def _mean(total, count):
    return truncate(total + count // 2, count) if total > 0 else truncate(total - count // 2, count)


def tflite_softmax(op, x, table):
    def row(codes):
        powers = [table[max(codes) - code] for code in codes]
        total = sum(power(value, 12) for value in powers)
        headroom = zeros(total)
        scale = inverse((total << headroom) - 2**31)
        return [clip(power(high(scale, value), 12 - headroom + 23) - 128) for value in powers]

    return rows(row, x)


def lookup16(value, table):
    """generic_int16_table_lookup."""
    index, offset = 256 + (value >> 7), value & 0x7F
    return table[index] + ((table[index + 1] - table[index]) * offset + 64 >> 7)


def wide_softmax(op, x, exponentials, reciprocals):
    def row(codes):
        powers = []
        for code in codes:
            scaled = twice(code - max(codes), op.multiplier, op.exponent)
            powers.append(lookup16(clip(scaled + 32767, -32768, 32767), exponentials))
        headroom = zeros(sum(powers))
        shifted = ((sum(powers) << (headroom - 1)) + (1 << 13)) >> 14
        share = lookup16(clip(shifted - (1 << 15) - (1 << 16), -32768, 32767), reciprocals)
        shift = 31 - headroom
        return [clip((one * share + (1 << (shift - 1))) >> shift, 0, 32767) for one in powers]

    return rows(row, x)


def sigmoid(op, x, table):
    """Logistic and Tanh of int16, apart as TFLite has them."""

    def logistic(value):
        place, rest = abs(value) >> 9, abs(value) & 0x1FF
        total = 0x7FFF << 10
        if place < 255:
            total = (table[place] << 9) + rest * (table[place + 1] - table[place])
        return (total + 512 if value >= 0 else (1 << 25) - total + 511) >> 10

    def tangent(value):
        place, rest = abs(value) >> 8, abs(value) & 0xFF
        total = 0xFFFF << 8
        if place < 255:
            total = (table[place] << 8) + rest * (table[place + 1] - table[place])
        middle = 1 << 23
        return (total - middle + 128 if value >= 0 else middle - total + 127) >> 8

    def row(codes):
        half = 1 << (op.shift - 1) if op.shift > 0 else 0
        scaled = [(code * op.multiplier + half) >> op.shift for code in codes]
        return [tangent(value) if op.hyperbolic else logistic(value) for value in scaled]

    return rows(row, x)


def tflite_log_softmax(op, x, table):
    def row(codes):
        differences = [code - max(codes) for code in codes]
        logarithm = log(sum(power(table[-value], 12) for value in differences))
        reach = twice(logarithm - 2**31, op.reverse_multiplier, op.reverse_exponent)
        least = max(op.least - 1, reach)
        return [
            clip(power(twice(value, op.multiplier, op.exponent) - logarithm, 22) + 127)
            if value > least
            else -128
            for value in differences
        ]

    return rows(row, x)


def prelu(op, x, a):
    def scaled(value, multiplier, shift):
        if type(op).__name__ == "TflitePrelu":
            return twice(value, multiplier, shift)
        return floor(Fraction(value * multiplier, 2**shift) + Fraction(1, 2))

    def row(codes):
        result = []
        for code, slope in zip(codes, a, strict=True):
            d = code - op.x_zero
            value = (
                scaled(d, op.positive_multiplier, op.positive_shift)
                if d >= 0
                else scaled(d * (slope - op.a_zero), op.negative_multiplier, op.negative_shift)
            )
            limits = (-128, 127) if op.format == "s8" else (-32768, 32767)
            result.append(clip(value + op.y_zero, *limits))
        return result

    return rows(row, x)


def strided_copy(op, x):
    flat = flatten(x)

    def box(sizes, strides, start):
        if not sizes:
            return flat[start]
        return [box(sizes[1:], strides[1:], start + i * strides[0]) for i in range(sizes[0])]

    return box(op.shape, op.strides, op.start)


def interpolate(op, x, row_table, column_table):
    def pixel(row, column):
        weights = [
            (r, c, down * across)
            for r, down in ((row[0], 1024 - row[2]), (row[1], row[2]))
            for c, across in ((column[0], 1024 - column[2]), (column[1], column[2]))
        ]
        sums = [sum(x[r][c][k] * w for r, c, w in weights) for k in range(len(x[0][0]))]
        return [truncate(total + (2**19 if total > 0 else -(2**19)), 2**20) for total in sums]

    return [[pixel(row, column) for column in column_table] for row in row_table]


def transpose_conv(op, x, w):
    top, _, left, _ = op.window.padding
    down, across = op.window.stride
    height, width = op.size
    acc = [[[0] * len(w) for _ in range(width)] for _ in range(height)]
    for r, line in enumerate(x):
        for c, codes in enumerate(line):
            for o, kernel in enumerate(w):
                for i, kernel_row in enumerate(kernel):
                    for j, weights in enumerate(kernel_row):
                        row, column = r * down + i - top, c * across + j - left
                        if 0 <= row < height and 0 <= column < width:
                            acc[row][column][o] += sum(
                                weight * (code - op.x_zero)
                                for weight, code in zip(weights, codes, strict=True)
                            )
    return acc


def matrix_multiply(op, x, y):
    return [
        [
            [
                sum((a - op.x_zero) * (b - op.y_zero) for a, b in zip(one, other, strict=True))
                for other in second
            ]
            for one in first
        ]
        for first, second in zip(x, y, strict=True)
    ]


def svdf(op, x, w, time):
    def row(codes):
        features = []
        for weights in w:
            total = sum(a * (b - op.x_zero) for a, b in zip(weights, codes, strict=True))
            features.append(clip(twice(total, op.multiplier, op.exponent), -32768, 32767))
        products = [a * b for a, b in zip(time, features, strict=True)]
        return [sum(products[at : at + op.rank]) for at in range(0, len(products), op.rank)]

    return rows(row, x)


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


def lstm(op, x, w, r, b):
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

    hidden, cell, result = [op.h_zero] * len(r[0]), [0] * len(r[0]), []
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
    return result


IMPORTED_FORMULAS = {
    "Interpolate": interpolate,
    "Lookup": lambda op, x, table: rows(lambda row: [table[code + 128] for code in row], x),
    "MatrixMultiply": matrix_multiply,
    "Multiply": lambda op, x, y: pairs(lambda a, b: (a - op.x_zero) * (b - op.y_zero), x, y),
    "PickPixels": lambda op, x, r, c: [[x[i][j] for j in c] for i in r],
    "Prelu": prelu,
    "StridedCopy": strided_copy,
    "Svdf": svdf,
    "TfliteAdd": tflite_add,
    "TfliteAveragePool2D": tflite_average_pool,
    "TfliteLogSoftmax": tflite_log_softmax,
    "TfliteLstm": lstm,
    "TflitePrelu": prelu,
    "TfliteSigmoid": sigmoid,
    "TfliteSoftmax": tflite_softmax,
    "TfliteWideSoftmax": wide_softmax,
    "TransposeConv2D": transpose_conv,
}
