"""Recurrent layers that were trained here: LSTM, GRU and the plain one."""

from __future__ import annotations

import math

import numpy as np

from tests.drawing.formulas import clip
from tests.drawing.graphs import draw_codes, draw_table, is_codes
from tests.drawing.registry import bench_case, bench_tables, formula, step
from tests.operations.tflite_wide_softmax import add_wide
from tinyq.graph import TensorType
from tinyq.graph.ops.recurrence import Recurrence, RecurrenceStates
from tinyq.graph.ops.reshape import Reshape
from tinyq.numerics.recurrence import CELLS

WEIGHTS = ("b1", "t2", "s4", "s8", "s2", "s3", "p4", "a4", "c2", "c4", "n2", "d2", "d3", "g2")


def is_small(x: TensorType) -> bool:
    return is_codes(x) and math.prod(x.shape) <= 96


@step(is_small)
def draw_step(drawing, source: str) -> str:
    size = math.prod(drawing.type(source).shape)
    steps = int(drawing.choose([count for count in range(1, 7) if size % count == 0]))
    rows = size // steps
    flat = drawing.apply(Reshape((steps, rows)), source)
    wide = add_wide(drawing, flat)
    cells = [name for name, cell in CELLS.items() if rows % cell.gates == 0]
    name = str(drawing.choose(cells))
    kind, units = CELLS[name], rows // CELLS[name].gates
    number_format = draw_table(drawing.rng, str(drawing.choose(WEIGHTS)), (rows, units))
    constants = (
        ("weights", draw_codes(drawing.rng, number_format, (rows, units)), number_format),
        ("bias", drawing.rng.integers(-(2**12), 2**12, rows), "s32"),
        ("multiplier", drawing.rng.integers(-(2**30), 2**30, rows), "s32"),
        ("curves", draw_curves(drawing.rng, kind.curves), "s16"),
    )
    names = [drawing.constant(*constant) for constant in constants]
    fields = name, drawing.integer(0, 1), drawing.integer(22, 32)
    if drawing.chance(0.5):
        return drawing.apply(Recurrence(*fields), wide, *names)
    words = drawing.rng.integers(-(2**15), 2**15, kind.states * units)
    state = drawing.constant("state", words, "s16")
    return drawing.apply(RecurrenceStates(*fields), wide, *names, state)


def draw_curves(rng, count):
    """Walks, now and then a jump; gates within 0 .. 1."""
    walk = np.cumsum(rng.integers(-900, 901, (count, 513)), axis=1)
    jumps = rng.choice([-(2**15), 2**15 - 1], (count, 513))
    curves = np.clip(np.where(rng.random((count, 513)) < 0.05, jumps, walk), -(2**15), 2**15 - 1)
    curves[:-1] = np.abs(curves[:-1] + 1) // 2 + 2**14 * (rng.random((count - 1, 1)) < 0.5)
    return np.clip(curves, -(2**15), 2**15 - 1).astype(np.int32)


@bench_case("recurrence")
def draw_case(draw, kernel):
    name = str(draw.rng.choice(list(CELLS)))
    kind, units, steps = CELLS[name], draw.channels(), draw.size(5)
    rows = kind.gates * units
    operands = [
        ((steps, rows), "s16"),
        ((rows, units), kernel.formats[1]),
        ((rows,), "s32"),
        ((rows,), "s32"),
        ((kind.curves, 513), "s16"),
    ]
    return Recurrence(name, draw.integer(0, 1), draw.integer(20, 34)), operands


@bench_tables("recurrence", "recurrencestates")
def make_tables(draw, op, codes):
    codes[2] = draw.rng.integers(-(2**14), 2**14, codes[2].shape).astype(np.int32)
    codes[3] = draw.rng.integers(-(2**31), 2**31, codes[3].shape).astype(np.int32)
    codes[4] = draw_curves(draw.rng, len(codes[4]))


@bench_case("recurrencestates")
def draw_states_case(draw, kernel):
    op, operands = draw_case(draw, kernel)
    words = CELLS[op.cell].states * operands[1][0][1]
    return RecurrenceStates(op.cell, op.every, op.shift), [*operands, ((words,), "s16")]


@formula("Recurrence")
def compute(op, gates, w, bias, multiplier, curves):
    """Hidden states from zeros."""
    units = len(w[0])
    found = follow_steps(op, gates, (w, bias, multiplier, curves), ([0] * units, [0] * units))
    return [hidden for hidden, _ in found] if op.every else found[-1][0]


@formula("RecurrenceStates")
def compute_states(op, gates, w, bias, multiplier, curves, state):
    """States from one that is given."""
    units = len(w[0])
    if op.cell.startswith("gru"):
        start = [clip((s + 128) // 256) for s in state], list(state)
        found = follow_steps(op, gates, (w, bias, multiplier, curves), start)
        return [words for _, words in found] if op.every else found[-1][1]
    start = [clip(s) for s in state[:units]], list(state[units:])
    found = follow_steps(op, gates, (w, bias, multiplier, curves), start)
    rows = [hidden + words for hidden, words in found]
    return rows if op.every else rows[-1]


def follow_steps(op, gates, constants, start):
    """Hidden codes and words after each step, unit by unit, with Python's integers."""
    w, bias, multiplier, curves = constants
    units = len(w[0])

    def word(x):
        return clip(x, -32768, 32767)

    def follow(curve, x):
        place, fraction = (x + 32768) // 128, (x + 32768) % 128
        return curve[place] + ((curve[place + 1] - curve[place]) * fraction + 64) // 128

    def product(codes, row):
        total = sum(a * b for a, b in zip(w[row], codes, strict=True)) + bias[row]
        return word((total * multiplier[row] + 2 ** (op.shift - 1)) // 2**op.shift)

    def code(x, bits):
        return clip((x + 2 ** (bits - 1)) // 2**bits)

    (hidden, words), result = start, []
    for x in gates:
        new = []
        if op.cell == "gru_before":
            reset = [
                code(follow(curves[0], word(x[units + c] + product(hidden, units + c))) * s, 23)
                for c, s in enumerate(words)
            ]
        for c in range(units):
            rows = range(c, len(w), units)
            if op.cell == "simple":
                new.append(code(follow(curves[0], word(x[c] + product(hidden, c))), 8))
                continue
            last = reset if op.cell == "gru_before" else hidden
            p = [product(last if n == 2 else hidden, row) for n, row in enumerate(rows)]
            if op.cell == "lstm":
                p = [product(hidden, row) for row in rows]
                i, f, z, o = (word(x[row] + each) for row, each in zip(rows, p, strict=True))
                i, f, o = (follow(curves[0], gate) for gate in (i, f, o))
                added = i * follow(curves[1], z) // 8
                words[c] = word((f * words[c] + added + 2**14) // 2**15)
                new.append(code(o * follow(curves[1], words[c]), 23))
                continue
            keep, opening = (follow(curves[0], word(x[rows[n]] + p[n])) for n in (0, 1))
            term = p[2] if op.cell == "gru_before" else (opening * p[2] + 2**14) // 2**15
            n = follow(curves[1], word(x[2 * units + c] + term))
            words[c] = (keep * words[c] + (32768 - keep) * n + 2**14) // 2**15
            new.append(code(words[c], 8))
        hidden = new
        result.append((new, list(words)))
    return result
