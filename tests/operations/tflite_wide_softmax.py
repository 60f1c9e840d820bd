"""Softmax of 16-bit codes with the interpolated tables of TFLite's reference kernel."""

from __future__ import annotations

import numpy as np

from tests.drawing.bench import draw_rows
from tests.drawing.formulas import clip, lookup16, rows, twice, zeros
from tests.drawing.graphs import draw_code, is_codes
from tests.drawing.registry import bench_case, bench_tables, formula, step
from tinyq.graph.epilogues import RequantizeWide
from tinyq.graph.ops.rescale import Rescale
from tinyq.graph.ops.tflite_wide_softmax import TfliteWideSoftmax
from tinyq.numerics.fixed_point import quantize_multiplier
from tinyq.numerics.interpolation import interpolation_table

TABLES = (
    interpolation_table(np.exp, -10.0, 0.0),
    interpolation_table(lambda x: 1.0 / (1.0 + x), 0.0, 1.0),
)


def add_wide(drawing, source: str) -> str:
    """A change of scale of 8-bit codes to 16 bits."""
    channels, zero = drawing.type(source).shape[-1], draw_code(drawing)
    epilogue = RequantizeWide("s16", 0.001, 0, -32768, 32767)
    mantissas = [int(gain * 2**53) for gain in drawing.rng.uniform(1.0, 300.0, channels)]
    tables = (
        drawing.rng.integers(-(2**20), 2**20, channels) // 2**12,
        np.zeros(channels, np.int64),
        [mantissa >> 32 for mantissa in mantissas],
        [(mantissa + 2**31) % 2**32 - 2**31 for mantissa in mantissas],
        np.full(channels, 21),
    )
    names = [
        drawing.constant(name, codes, "s32")
        for name, codes in zip(epilogue.names, tables, strict=True)
    ]
    return drawing.apply(Rescale(epilogue, zero), source, *names)


@step(is_codes)
def draw_step(drawing, source: str) -> str:
    wide = add_wide(drawing, source)
    names = [
        drawing.constant(name, codes, "s16")
        for name, codes in zip(("exponentials", "reciprocals"), TABLES, strict=True)
    ]
    scale = quantize_multiplier(float(drawing.rng.uniform(0.1, 20.0)))
    return drawing.apply(TfliteWideSoftmax(*scale), wide, *names)


@bench_case("tflitewidesoftmax")
def draw_case(draw, kernel):
    op = TfliteWideSoftmax(int(draw.rng.integers(2**30, 2**31)), draw.integer(-9, 9))
    return op, [(draw_rows(draw), "s16"), ((513,), "s16"), ((513,), "s16")]


@bench_tables("tflitewidesoftmax")
def make_tables(draw, op, codes):
    codes[1], codes[2] = TABLES


@formula("TfliteWideSoftmax")
def compute(op, x, exponentials, reciprocals):
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
