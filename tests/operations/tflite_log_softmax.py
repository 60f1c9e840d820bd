"""Logarithm of softmax with the fixed-point arithmetic of TFLite's reference kernel."""

from __future__ import annotations

from tests.drawing.bench import draw_rows
from tests.drawing.formulas import clip, log, power, rows, twice
from tests.drawing.graphs import is_codes
from tests.drawing.registry import bench_case, formula, step
from tests.operations.tflite_softmax import draw_exponentials
from tinyq.graph.ops.tflite_log_softmax import TfliteLogSoftmax
from tinyq.numerics.fixed_point import quantize_multiplier, softmax_exponentials


@step(is_codes)
def draw_step(drawing, source: str) -> str:
    scale, table = draw_exponentials(drawing)
    _, multiplier, exponent, least = softmax_exponentials(scale, 1.0)
    reverse = quantize_multiplier(2.0 ** (31 - exponent) / multiplier)
    operation = TfliteLogSoftmax(multiplier, exponent, *reverse, least)
    return drawing.apply(operation, source, table)


@bench_case("tflitelogsoftmax")
def draw_case(draw, kernel):
    scale = float(draw.rng.choice([0.01, 0.05, 0.3, 2.0]))
    _, multiplier, exponent, least = softmax_exponentials(scale, 1.0)
    fraction = 2.0 ** (31 - exponent) / multiplier
    reverse = int(fraction * 2**31), 0
    while reverse[0] < 2**30:
        reverse = reverse[0] * 2, reverse[1] - 1
    op = TfliteLogSoftmax(multiplier, exponent, *reverse, least)
    return op, [(draw_rows(draw), "s8"), ((256,), "s32")]


@formula("TfliteLogSoftmax")
def compute(op, x, table):
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
