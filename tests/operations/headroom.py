"""How far a frame can be shifted up within int16, and the shift."""

from __future__ import annotations

from math import floor

from tests.drawing.formulas import clip, map_rows
from tests.drawing.graphs import is_codes
from tests.drawing.registry import bench_case, bench_tables, formula, step
from tests.operations.curve import wrap16
from tests.operations.tflite_wide_softmax import add_wide
from tinyq.graph.ops.headroom import Headroom, LevelCorrection, ShiftUp


@step(is_codes)
def draw_step(drawing, source: str) -> str:
    wide = add_wide(drawing, source)
    bits = drawing.apply(Headroom(drawing.integer(0, 1)), wide)
    shifted = drawing.apply(ShiftUp(), wide, bits)
    return drawing.apply(draw_correction(drawing), shifted, bits)


def draw_correction(draw):
    octave = draw.integer(-(2**26), 2**26)
    offset, lowest = draw.integer(-(2**29), 2**29), draw.integer(-(2**15), 2**15 - 1)
    return LevelCorrection(octave, draw.integer(0, 30), offset, lowest)


@bench_case("headroom")
def draw_headroom(draw, kernel):
    return Headroom(draw.integer(0, 1)), [((draw.size(4), draw.channels()), "s16")]


@bench_tables("headroom")
def scale_rows(draw, op, codes):
    """Rows of all sizes, some with the code that has no magnitude."""
    shifts = draw.rng.integers(0, 17, (len(codes[0]), 1))
    lowest = draw.rng.random(codes[0].shape) < 0.1
    codes[0] = (codes[0] >> shifts).astype(codes[0].dtype)
    codes[0][lowest] = -(2**15)


@bench_case("shiftup")
def draw_shift(draw, kernel):
    rows = draw.size(3)
    return ShiftUp(), [((rows, draw.channels()), "s16"), ((rows, 1), "s32")]


@bench_case("levelcorrection")
def draw_level(draw, kernel):
    rows = draw.size(3)
    return draw_correction(draw), [((rows, draw.channels()), "s16"), ((rows, 1), "s32")]


@bench_tables("shiftup", "levelcorrection")
def draw_bits(draw, op, codes):
    codes[1] %= 16


@formula("Headroom")
def compute(op, x):
    def row(codes):
        """MaxAbs16 of TFLite Micro, and that of its micro frontend."""
        most = 0
        for code in codes:
            if op.negated:
                most = code if code > most else wrap16(-code) if -code > most else most
            else:
                most = max(most, wrap16(abs(code)))
        return [max(15 - (most % 2**32).bit_length(), 0)]

    return map_rows(row, x)


@formula("ShiftUp")
def shift_up(op, x, bits):
    return map_rows(lambda row, by: [wrap16(code << by[0]) for code in row], x, bits)


@formula("LevelCorrection")
def correct(op, x, bits):
    def row(codes, by):
        half = 0.5 if op.shift else 0
        level = floor((by[0] * op.octave + op.offset) / 2**op.shift + half)
        return [clip(code - level, op.lowest, 2**15 - 1) for code in codes]

    return map_rows(row, x, bits)
