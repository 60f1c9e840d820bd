"""Dynamics of channels of energy: automatic gain control, logarithm."""

from __future__ import annotations

import math

from tests.drawing.formulas import pairs, rows, wrap
from tests.drawing.graphs import is_codes
from tests.drawing.registry import bench_case, bench_tables, formula, step
from tests.operations.curve import wrap16
from tests.operations.filter_bank import draw_words
from tests.operations.noise import add_estimate
from tinyq.graph.ops.gain_control import GainControl, Logarithm
from tinyq.numerics.signals import make_logarithms

WORD = 2**32


@step(is_codes)
def draw_step(drawing, source: str) -> str:
    energy, estimate = add_estimate(drawing, source)
    gains = drawing.constant("gains", drawing.rng.integers(-(2**15), 2**15, 125), "s16")
    gained = drawing.apply(GainControl(drawing.integer(0, 63)), energy, estimate, gains)
    table = drawing.constant("table", make_logarithms(), "s16")
    return drawing.apply(draw_logarithm(drawing), gained, table)


def draw_logarithm(draw):
    scale = 1 << draw.integer(0, 12) if draw.integer(0, 1) else draw.integer(1, 2**16 - 1)
    return Logarithm(scale, draw.integer(-31, 31) if draw.integer(0, 1) else draw.integer(-3, 3))


@bench_case("gaincontrol")
def draw_case(draw, kernel):
    shape = (draw.size(3), draw.channels())
    op = GainControl(draw.integer(0, 63) if draw.integer(0, 1) else draw.integer(0, 24))
    return op, [(shape, "s32"), (shape, "s32"), ((125,), "s16")]


@bench_tables("gaincontrol")
def make_words(draw, op, codes):
    codes[:2] = [draw_words(draw, each.shape) for each in codes[:2]]


@bench_case("logarithm")
def draw_log(draw, kernel):
    return draw_logarithm(draw), [((draw.size(3), draw.channels()), "s32"), ((129,), "s16")]


@bench_tables("logarithm")
def make_table(draw, op, codes):
    codes[0] = draw_words(draw, codes[0].shape)
    codes[1] = make_logarithms()


@formula("GainControl")
def compute(op, x, estimate, gains):
    def find_gain(noise):
        """WideDynamicFunction of TFLite Micro."""
        if noise <= 2:
            return gains[noise]
        bits = noise.bit_length()
        value, slope, bend = gains[4 * bits - 6 :][:3]
        place = noise << (11 - bits) if bits < 11 else noise >> (bits - 11)
        fraction = place % 2**10
        curve = ((bend * fraction >> 5) + slope * 32) * fraction
        return wrap16(((curve + 2**14) >> 15) + value)

    def one(energy, noise):
        gain = find_gain(noise % WORD) % WORD
        snr = (energy % WORD * gain >> op.shift) % WORD
        return wrap(snr**2 >> 20 if snr < 8192 else (snr >> 6) - 64)

    return pairs(one, x, estimate)


@formula("Logarithm")
def logarithm(op, x, table):
    def one(code):
        value = math.floor((code << max(op.correction, 0)) % WORD / 2 ** max(-op.correction, 0))
        if value < 2:
            return 0
        whole = value.bit_length() - 1
        fraction = math.floor((value - 2**whole) * 2.0 ** (16 - whole))
        segment, rest = divmod(fraction, 512)
        chord = table[segment] + ((table[segment + 1] - table[segment]) * rest >> 16)
        natural = (45426 * (whole * 2**16 + fraction + chord) + 2**15) >> 16
        return min(((op.scale * natural + 2**15) % WORD) >> 16, 2**15 - 1)

    return rows(lambda row: [one(code) for code in row], x)
