"""Generated C computes the survey's products of few-bit numbers: equations 55 to 61.

Each equation is written out on bits or exponents that come from its real values, not from tinyq's
packing, and must give the accumulators of the generic kernel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from tests.harness import compile_models, pack_rows
from tinyq.codegen import emit
from tinyq.graph import GraphBuilder, TensorType
from tinyq.graph.epilogues import Raw
from tinyq.graph.ops.dense import Dense
from tinyq.memory.planner import plan
from tinyq.numerics.formats import Format, find_format
from tinyq.quantizers import METHODS

DEPTH, CHANNELS, SAMPLES = 70, 5, 6
BASIS = (60, -35, 13)


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """Codes of a dense layer's operands, and what an equation says of them.

    Attributes:
        x: Codes, shape (SAMPLES, DEPTH).
        w: Codes, shape (CHANNELS, DEPTH).
        input: Format of x.
        weights: Format of w, with its table.
        sums: The equation's result, shape (SAMPLES, CHANNELS).
    """

    x: np.ndarray
    w: np.ndarray
    input: Format
    weights: Format
    sums: np.ndarray


def word(bits):
    """Some bits as one Python integer, whose bit_count counts them."""
    return sum(1 << place for place, bit in enumerate(bits) if bit)


def pairs(equation, x, w):
    """The equation of each row of x with each row of w."""
    return np.array([[equation(row, channel) for channel in w] for row in x])


def count_equal(a, b):
    """Bits of xnor(a, b): the positions where two rows of signs agree."""
    return (~(word(a > 0) ^ word(b > 0)) & ((1 << len(a)) - 1)).bit_count()


def shift_by_codes(rng):
    """Eq. 55: activations shift by the exponents of the weights."""
    x = rng.integers(-128, 128, (SAMPLES, DEPTH))
    exponents = rng.integers(-1, 7, (CHANNELS, DEPTH))  # -1 for a weight of 0
    signs = rng.choice([-1, 1], exponents.shape)
    w = np.where(exponents < 0, 0, signs << np.maximum(exponents, 0))

    def equation(row, channel):
        kept = zip(row, exponents[channel], signs[channel], strict=True)
        return sum(int(s) * (int(value) << int(e)) for value, e, s in kept if e >= 0)

    sums = pairs(equation, x, np.arange(CHANNELS))
    return Product(x, w, find_format("s8"), find_format("p4"), sums)


def add_exponents(rng):
    """Eq. 57: sign(w) 2**(w~ + x~) over real weights and activations, zeros skipped."""
    real_w = rng.normal(0, 0.4, (DEPTH, CHANNELS)).astype(np.float32)
    real_x = rng.normal(0, 1.3, (SAMPLES, DEPTH)).astype(np.float32)
    weights = METHODS["miyashita4"].weights.build((0,))
    weights.build(real_w.shape)
    activations = METHODS["miyashita2"].activations.build(name="quantizer")
    activations(real_x, training=True)
    code = activations.encoding()
    w, scale = (np.asarray(part) for part in weights.split(real_w))
    with np.errstate(divide="ignore"):
        log_w, log_x = np.round(np.log2(np.abs(real_w.T))), np.round(np.log2(real_x.clip(0)))
    log_w, log_x = np.minimum(log_w, log_w.max()), np.clip(log_x, log_x.max() - 2, log_x.max())
    grain = np.log2(float(scale.max()) * float(code.scale))  # of the accumulators, a power of two

    def equation(row, channel):
        total = 0
        for at in range(DEPTH):
            if real_x[row, at] > 0 and log_w[channel, at] > log_w.max() - 7:
                exponent = int(log_w[channel, at] + log_x[row, at] - grain)
                total += (1 << exponent) * int(np.sign(real_w[at, channel]))
        return total

    assert grain == round(grain)
    sums = pairs(equation, np.arange(SAMPLES), np.arange(CHANNELS))
    x = np.asarray(code.codes(real_x)).astype(int)
    return Product(x, w.T.astype(int), find_format("u4"), find_format("p4"), sums)


def count_planes(rng):
    """Eq. 58 and 59: 2**(m + n) times the common bits of planes; the sign's plane is negative."""
    x = rng.integers(0, 4, (SAMPLES, DEPTH))
    w = rng.integers(-4, 4, (CHANNELS, DEPTH))

    def equation(row, channel):
        return sum(
            (-1 if m == 2 else 1)
            * 2 ** (m + n)
            * (word((channel >> m) & 1) & word((row >> n) & 1)).bit_count()
            for m in range(3)
            for n in range(2)
        )

    return Product(x, w, find_format("u2"), find_format("s3"), pairs(equation, x, w))


def count_signs(rng):
    """Eq. 60: 2 p - n for p equal signs of n."""
    x = rng.choice([-1, 1], (SAMPLES, DEPTH))
    w = rng.choice([-1, 1], (CHANNELS, DEPTH))
    b1 = find_format("b1")
    return Product(x, w, b1, b1, pairs(lambda r, c: 2 * count_equal(r, c) - DEPTH, x, w))


def weigh_bases(rng):
    """Eq. 61: v_i (2 p_i - n) summed over the bases."""
    x = rng.choice([-1, 1], (SAMPLES, DEPTH))
    signs = rng.choice([-1, 1], (CHANNELS, len(BASIS), DEPTH))

    def equation(row, channel):
        return sum(
            v * (2 * count_equal(row, plane) - DEPTH)
            for v, plane in zip(BASIS, channel, strict=True)
        )

    weights = find_format("d3").with_basis([BASIS] * CHANNELS)
    w = np.tensordot(np.array(BASIS), signs, (0, 1))
    return Product(x, w, find_format("b1"), weights, pairs(equation, x, signs))


def weigh_planes(rng):
    """Eq. 61 with planes of 0 and 1 for activations: v_i 2**n (2 and-count - count of x_n)."""
    x = rng.integers(0, 4, (SAMPLES, DEPTH))
    signs = rng.choice([-1, 1], (CHANNELS, 2, DEPTH))

    def equation(row, channel):
        total = 0
        for v, plane in zip(BASIS, channel, strict=False):
            for n in range(2):
                bits = word((row >> n) & 1)
                total += v * 2**n * (2 * (word(plane > 0) & bits).bit_count() - bits.bit_count())
        return total

    weights = find_format("d2").with_basis([BASIS[:2]] * CHANNELS)
    w = np.tensordot(np.array(BASIS[:2]), signs, (0, 1))
    return Product(x, w, find_format("u2"), weights, pairs(equation, x, signs))


EQUATIONS = {
    "eq_55": shift_by_codes,
    "eq_57": add_exponents,
    "eq_58_and_59": count_planes,
    "eq_60": count_signs,
    "eq_61": weigh_bases,
    "eq_61_on_planes": weigh_planes,
}


def dense_of(name, product):
    """A graph of one dense layer that ends in its accumulators."""
    builder = GraphBuilder.start(name, TensorType((DEPTH,), product.input))
    w = builder.constant("w", product.w, product.weights)
    bias = builder.constant("bias", np.zeros(CHANNELS, int), find_format("s32"))
    return builder.build(builder.apply("sums", Dense(Raw()), "input", w, bias))


@pytest.mark.requires("gcc")
def test_accumulators_of_generated_c_are_the_equations(rng):
    products = {name: draw(rng) for name, draw in EQUATIONS.items()}
    graphs = [dense_of(name, product) for name, product in products.items()]
    programs = compile_models([emit(graph, plan(graph)) for graph in graphs])
    for graph, program, product in zip(graphs, programs, products.values(), strict=True):
        packed = pack_rows(product.input.pack(product.x.astype(np.int32)), SAMPLES)
        sums = program(packed).view("<i4").reshape(SAMPLES, CHANNELS)
        np.testing.assert_array_equal(sums, product.sums, err_msg=graph.name)
        assert len(np.unique(sums)) > CHANNELS, graph.name
