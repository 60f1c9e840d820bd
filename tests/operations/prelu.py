"""ReLU with a learned slope per channel, with tinyq's rounding or TFLite's."""

from __future__ import annotations

from fractions import Fraction
from math import floor

from tests.drawing.bench import draw_mantissa, draw_rows
from tests.drawing.formulas import clip, rows, twice
from tests.drawing.graphs import draw_code, is_codes
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph.ops.prelu import Prelu, TflitePrelu
from tinyq.numerics.fixed_point import quantize_multiplier


@step(is_codes)
def draw_step(drawing, source: str) -> str:
    gains = [float(drawing.rng.uniform(0.001, 2.0)) for _ in range(2)]
    zeros = [draw_code(drawing) for _ in range(3)]
    if drawing.chance(0.5):
        pairs = [quantize_multiplier(gain) for gain in gains]
        operation = TflitePrelu(*pairs[0], *pairs[1], *zeros, 0.5)
    else:
        pairs = [(int(gain * 2**20), 20) for gain in gains]
        operation = Prelu(*pairs[0], *pairs[1], *zeros, 0.5)
    slopes = drawing.rng.integers(-128, 128, drawing.type(source).shape[-1])
    return drawing.apply(operation, source, drawing.constant("slopes", slopes, "s8"))


@bench_case("prelu")
def draw_case(draw, kernel):
    pairs = [(int(draw.rng.integers(-(2**31), 2**31)), draw.integer(20, 45)) for _ in range(2)]
    return _case(Prelu, pairs, draw, kernel)


@bench_case("tfliteprelu")
def draw_tflite_case(draw, kernel):
    return _case(TflitePrelu, [draw_mantissa(draw), draw_mantissa(draw)], draw, kernel)


def _case(operation, pairs, draw, kernel):
    x, a = kernel.formats
    zeros = [draw.zero_point(each) for each in (a, x, x)]
    shape = draw_rows(draw)
    op = operation(*pairs[0], *pairs[1], *zeros, 0.5, x)
    return op, [(shape, x), (shape[-1:], a)]


@formula("Prelu", "TflitePrelu")
def compute(op, x, a):
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
