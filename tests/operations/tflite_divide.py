"""Quotient of two tensors in TFLite's fixed point."""

from __future__ import annotations

from tests.drawing.bench import draw_rows
from tests.drawing.formulas import high, inverse, pairs, power
from tests.drawing.graphs import draw_code, is_codes
from tests.drawing.partners import draw_partner
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph.ops.tflite_divide import TfliteDivide
from tinyq.numerics.fixed_point import quantize_multiplier


@step(is_codes)
def draw_step(drawing, source: str) -> str:
    other = draw_partner(drawing, source)
    scale = quantize_multiplier(float(2.0 ** drawing.rng.uniform(-3, 8)))
    zeros = [draw_code(drawing) for _ in range(3)]
    lo = drawing.integer(-128, 0)
    return drawing.apply(TfliteDivide(*scale, *zeros, 0.25, lo, 127), source, other)


@bench_case("tflitedivide")
def draw_case(draw, kernel):
    shape = draw_rows(draw)
    zeros = [draw.zero_point("s8") for _ in range(3)]
    scale = int(draw.rng.integers(2**30, 2**31)), draw.integer(-31, 23)
    return TfliteDivide(*scale, *zeros, 0.5, -128, 127), [(shape, "s8"), (shape, "s8")]


@formula("TfliteDivide")
def compute(op, x, y):
    def divide(a, b):
        n, d = a - op.x_zero, (b - op.y_zero) or 1
        n, d = (n, d) if d > 0 else (-n, -d)
        digits = d.bit_length() - 1
        fraction = d * 2 ** (31 - digits) - 2**31
        headroom = 31 - (n if n >= 0 else -n - 1).bit_length()
        quotient = high(n * 2**headroom if n else 0, inverse(fraction))
        shift = headroom + digits - op.exponent
        found = power(high(quotient, op.multiplier), shift) if shift <= 31 else 0
        return min(max(found + op.z_zero, op.lo), op.hi)

    return pairs(divide, x, y)
