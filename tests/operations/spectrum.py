"""From a frame of samples to the energy of its frequencies."""

from __future__ import annotations

import cmath
import math

import numpy as np

from tests.drawing.formulas import clip, map_rows, rows, wrap
from tests.drawing.graphs import is_codes
from tests.drawing.registry import bench_case, bench_tables, formula, step
from tests.operations.curve import wrap16
from tests.operations.tflite_wide_softmax import add_wide
from tinyq.graph.ops.spectrum import PowerSpectrum, RealFourier, WindowFrame
from tinyq.numerics.fourier import make_roots


@step(is_codes)
def draw_step(drawing, source: str) -> str:
    return add_energy(drawing, source)


def add_energy(drawing, source: str) -> str:
    """Power spectra of the rows of a tensor of s8."""
    wide = add_wide(drawing, source)
    length = drawing.type(wide).shape[-1]
    window = drawing.rng.integers(-(2**15), 2**15, length)
    names = drawing.constant("window", window, "s16")
    framed = drawing.apply(WindowFrame(drawing.integer(0, 15)), wide, names)
    points = 1 << max((length - 1).bit_length(), 2) + drawing.integer(0, 1)
    roots = drawing.constant("roots", make_roots(points), "s16")
    spectrum = drawing.apply(RealFourier(points), framed, roots)
    first = drawing.integer(0, 2)
    end = drawing.integer(first, points // 2 + 1)
    return drawing.apply(PowerSpectrum(first, end), spectrum)


@bench_case("windowframe")
def draw_window(draw, kernel):
    length = draw.channels()
    return WindowFrame(draw.integer(0, 30)), [((draw.size(3), length), "s16"), ((length,), "s16")]


@bench_case("realfourier")
def draw_fourier(draw, kernel):
    points = 1 << draw.integer(2, 9)
    length = draw.integer(1, points)
    shapes = (draw.size(2), length), (3 * points // 4, 2)
    return RealFourier(points), [(shape, "s16") for shape in shapes]


@bench_tables("realfourier")
def make_tables(draw, op, codes):
    """Now and then a square wave as large as can be: sums wrap there."""
    codes[1] = make_roots(op.points)
    if draw.rng.random() < 0.5:
        place = np.arange(codes[0].shape[-1]) * draw.integer(1, op.points // 2) / op.points
        codes[0][:] = np.where(np.sin(2 * math.pi * place + draw.rng.random()) < 0, -32768, 32767)


@bench_case("powerspectrum")
def draw_power(draw, kernel):
    bins = draw.channels()
    first = draw.integer(0, bins)
    op = PowerSpectrum(first, draw.integer(first, bins))
    return op, [((draw.size(3), 2 * bins), "s16")]


@formula("WindowFrame")
def compute_window(op, x, w):
    def row(codes):
        products = [(a * b) >> op.shift for a, b in zip(codes, w, strict=True)]
        return [clip(product, -32768, 32767) for product in products]

    return rows(row, x)


def multiply(a, b):
    """S_MUL of kissfft."""
    return wrap16((a * b + 2**14) >> 15)


def turn(z, root):
    """C_MUL of kissfft."""
    real = wrap16((z[0] * root[0] - z[1] * root[1] + 2**14) >> 15)
    return real, wrap16((z[0] * root[1] + z[1] * root[0] + 2**14) >> 15)


def unit(numerator, points):
    """KISS_FFT_COS and KISS_FFT_SIN."""
    root = cmath.exp(-2j * math.pi * numerator / points)
    return math.floor(0.5 + 32767 * root.real), math.floor(0.5 + 32767 * root.imag)


def transform(z):
    """Decimation in time by four where that goes, else by two, as a recursion."""
    points = len(z)
    if points == 1:
        return z
    radix = 2 if points % 4 else 4
    parts = [transform(z[start::radix]) for start in range(radix)]
    result = [None] * points
    for k in range(points // radix):
        terms = [
            turn(tuple(multiply(part, 32767 // radix) for part in parts[i][k]), unit(i * k, points))
            if i
            else tuple(multiply(part, 32767 // radix) for part in parts[0][k])
            for i in range(radix)
        ]
        for j in range(radix):
            # (-i)**(i * j) turns by quarters, exactly.
            quarters = [(-1j) ** (4 // radix * i * j) for i in range(radix)]
            total = sum(
                complex(*term) * complex(round(q.real), round(q.imag))
                for term, q in zip(terms, quarters, strict=True)
            )
            place = k + j * points // radix
            result[place] = wrap16(int(total.real)), wrap16(int(total.imag))
    return result


@formula("RealFourier")
def compute_fourier(op, x, roots):
    half = op.points // 2

    def row(codes):
        samples = codes + [0] * (op.points - len(codes))
        z = transform([(samples[2 * i], samples[2 * i + 1]) for i in range(half)])
        first = [multiply(part, 16383) for part in z[0]]
        bins = [None] * (half + 1)
        bins[0], bins[half] = (first[0] + first[1], 0), (first[0] - first[1], 0)
        for k in range(1, half // 2 + 1):
            a = [multiply(part, 16383) for part in z[k]]
            b = [multiply(z[half - k][0], 16383), multiply(wrap16(-z[half - k][1]), 16383)]
            t = turn((a[0] - b[0], a[1] - b[1]), unit(k + half // 2, op.points))
            bins[k] = (a[0] + b[0] + t[0]) >> 1, (a[1] + b[1] + t[1]) >> 1
            bins[half - k] = (a[0] + b[0] - t[0]) >> 1, (t[1] - a[1] - b[1]) >> 1
        return [part for pair in bins for part in pair]

    return rows(row, x)


@formula("PowerSpectrum")
def compute_power(op, x):
    def row(codes):
        powers = [a * a + b * b for a, b in zip(codes[::2], codes[1::2], strict=True)]
        return [wrap(p) if op.first <= k < op.end else 0 for k, p in enumerate(powers)]

    return map_rows(row, x)
