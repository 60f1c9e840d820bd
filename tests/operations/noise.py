"""Noise in channels of energy: its estimate over time, and what is left without it."""

from __future__ import annotations

import math

from tests.drawing.formulas import pairs, wrap
from tests.drawing.graphs import is_codes
from tests.drawing.registry import bench_case, bench_tables, formula, step
from tests.operations.filter_bank import draw_words
from tests.operations.spectrum import add_energy
from tinyq.graph.ops.noise import NoiseEstimate, SpectralSubtraction
from tinyq.graph.ops.reshape import Reshape

WORD = 2**32


@step(is_codes)
def draw_step(drawing, source: str) -> str:
    energy, estimate = add_estimate(drawing, source)
    return drawing.apply(draw_subtraction(drawing), energy, estimate)


def add_estimate(drawing, source: str) -> tuple[str, str]:
    """Energy of steps, and its estimate behind a drawn first one."""
    energy = add_energy(drawing, source)
    shape = drawing.type(energy).shape
    energy = drawing.apply(Reshape((math.prod(shape[:-1]), shape[-1])), energy)
    first = drawing.constant("first", draw_words(drawing, shape[-1:]), "s32")
    return energy, drawing.apply(draw_estimate(drawing), energy, first)


def draw_estimate(draw):
    bits = draw.integer(0, 30)
    speeds = [draw.integer(0, 1 << bits) for _ in range(2)]
    return NoiseEstimate(*speeds, draw.integer(0, 31), bits, draw.integer(0, 1))


def draw_subtraction(draw):
    bits = draw.integer(0, 30)
    return SpectralSubtraction(draw.integer(0, 31), draw.integer(0, 1 << bits), bits)


@bench_case("noiseestimate")
def draw_case(draw, kernel):
    channels = draw.channels()
    shape = (channels,) if draw.integer(0, 1) else (draw.size(4), channels)
    return draw_estimate(draw), [(shape, "s32"), ((channels,), "s32")]


@bench_case("spectralsubtraction")
def draw_pair(draw, kernel):
    shape = (draw.size(3), draw.channels())
    return draw_subtraction(draw), [(shape, "s32"), (shape, "s32")]


@bench_tables("noiseestimate", "spectralsubtraction")
def make_words(draw, op, codes):
    codes[:] = [draw_words(draw, each.shape) for each in codes]


@formula("NoiseEstimate")
def compute(op, x, estimate):
    def advance(energies, before):
        after = []
        for channel, (energy, last) in enumerate(zip(energies, before, strict=True)):
            fine = (energy << op.smoothing_bits) % WORD
            speed = op.odd if channel % 2 else op.even
            new = ((fine * speed + last % WORD * (2**op.bits - speed)) >> op.bits) % WORD
            after.append(wrap(min(new, fine) if op.clamped else new))
        return after

    if not isinstance(x[0], list):
        return advance(x, estimate)
    found = [estimate]
    for energies in x:
        found.append(advance(energies, found[-1]))
    return found[1:]


@formula("SpectralSubtraction")
def subtract(op, x, estimate):
    def one(energy, noise):
        fine = (energy << op.smoothing_bits) % WORD
        rest = (fine - min(noise % WORD, fine)) >> op.smoothing_bits
        return wrap(max(rest, (energy % WORD * op.least >> op.bits) % WORD))

    return pairs(one, x, estimate)
