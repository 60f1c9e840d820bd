"""Rows scaled to length 1, as TFLite does it."""

from __future__ import annotations

from tests.drawing.bench import draw_rows
from tests.drawing.formulas import clip, high, power, rows, saturate, twice
from tests.drawing.graphs import draw_code, is_codes
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph.ops.tflite_l2_norm import TfliteL2Norm


@step(is_codes)
def draw_step(drawing, source: str) -> str:
    x = drawing.type(source)
    zero = x.zero_point if drawing.chance(0.5) else draw_code(drawing)
    return drawing.apply(TfliteL2Norm(zero), source)


@bench_case("tflitel2norm")
def draw_case(draw, kernel):
    return TfliteL2Norm(draw.zero_point("s8")), [(draw_rows(draw), "s8")]


def inverse_root(value):
    """GetInvSqrtQuantizedMultiplierExp."""
    if value <= 1:
        return 2**31 - 1, 0
    shift = 11
    while value >= 2**29:
        value //= 4
        shift += 1
    left = (32 - value.bit_length() - 1) // 2 - 1
    shift -= left
    raw = (value << 2 * left) >> 1
    half = power(raw, 1)
    x = 1 << 28
    for _ in range(5):
        cube = saturate(high(high(x, x), x) << 6)
        x = saturate((high(402653184, x) - high(half, cube)) << 3)
    root = high(x, 1518500250)
    return (root << -shift, 0) if shift < 0 else (root, -shift)


@formula("TfliteL2Norm")
def compute(op, x):
    def row(codes):
        mantissa, shift = inverse_root(sum((code - op.x_zero) ** 2 for code in codes))
        return [clip(twice(code - op.x_zero, mantissa, shift + 7)) for code in codes]

    return rows(row, x)
