"""Integer arithmetic against exact rational numbers, in Python and in C."""

from __future__ import annotations

import ctypes
import math
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tinyq.numerics import fixed_point, interpolation
from tinyq.numerics.rounding import (
    BIAS_LIMIT,
    INT32_MAX,
    INT32_MIN,
    MAX_SHIFT,
    compare,
    count_steps,
    divide_half_up,
    fold_affine,
    fold_even,
    fold_threshold,
    requantize,
    requantize_even,
    requantize_wide,
    softmax,
    softmax_table,
)
from tinyq.support.resources import TEMPLATES

HALF = Fraction(1, 2)
int32s = st.integers(INT32_MIN, INT32_MAX) | st.sampled_from((INT32_MIN, INT32_MAX, 0, 1, -1))
gains = st.floats(-1.0, 1.0).filter(lambda value: value == 0 or abs(value) > 2.0**-40)


def one(value: int) -> np.ndarray:
    return np.array([value], np.int32)


@given(int32s, int32s, int32s, st.integers(1, MAX_SHIFT))
def test_requantize_is_exact_rational_rounding(total, bias, multiplier, shift):
    acc = min(max(total - bias, INT32_MIN), INT32_MAX)
    assume(INT32_MIN <= acc + bias <= INT32_MAX)
    exact = math.floor(Fraction((acc + bias) * multiplier, 2**shift) + HALF)
    assert requantize(one(acc), one(bias), one(multiplier), one(shift)).tolist() == [exact]


@given(int32s, int32s, int32s | st.sampled_from((2**20, -(2**20))), st.integers(1, MAX_SHIFT))
def test_requantize_even_is_exact_rational_rounding(total, bias, multiplier, shift):
    acc = min(max(total - bias, INT32_MIN), INT32_MAX)
    assume(INT32_MIN <= acc + bias <= INT32_MAX)
    real = Fraction((acc + bias) * multiplier, 2**shift)
    for even, exact in ((1, round(real)), (0, math.floor(real + HALF))):  # Python takes the even
        found = requantize_even(one(acc), one(bias), one(multiplier), one(shift), one(even))
        assert found.tolist() == [exact]


@given(st.integers(1, 20), st.integers(-(2**24), 2**24), st.integers(-4000, 4000))
def test_fold_even_is_exact_for_powers_of_two(power, acc, eighths):
    gain = 2.0**-power
    offset = eighths / 8 * gain  # the bias is no whole number of accumulator units
    folded, even = fold_even(np.array([gain]), np.array([offset]))
    found = requantize_even(one(acc), folded.bias, folded.multiplier, folded.shift, even)
    assert found.tolist() == [round(Fraction(8 * acc + eighths, 8 * 2**power))]


@given(int32s, int32s, st.integers(0, 1))
def test_compare(acc, threshold, flip):
    expected = 1 if (acc >= threshold) != bool(flip) else -1
    assert compare(one(acc), one(threshold), one(flip)).tolist() == [expected]


@given(st.integers(-(2**40), 2**40), st.integers(1, 2**20))
def test_mean_is_exact_rational_rounding(total, count):
    exact = math.floor(Fraction(total, count) + HALF)
    assert int(divide_half_up(np.int64(total), count)) == exact


@given(
    st.lists(st.tuples(gains, st.floats(-(2.0**20), 2.0**20)), min_size=1, max_size=4),
    st.integers(-(2**24), 2**24),
)
@example([(1.0 - 2.0**-53, 0.0)], 0)
def test_fold_affine_stays_within_its_rounding_errors(channels, acc):
    """The three roundings, of multiplier, bias and result, bound the distance to the real map.

    A channel whose multiplier was raised for its bias has an error of at most that raise.
    """
    folded = fold_affine([gain for gain, _ in channels], [offset for _, offset in channels])
    assert (np.abs(folded.bias.astype(np.int64)) <= BIAS_LIMIT).all()
    assert len(set(folded.shift.tolist())) == 1
    codes = requantize(np.int64(acc), folded.bias, folded.multiplier, folded.shift)
    for index, (gain, offset) in enumerate(channels):
        unit = Fraction(1, 2 ** int(folded.shift[index]))
        multiplier = int(folded.multiplier[index])
        real = Fraction(gain) * acc + Fraction(offset)
        error_of_gain = abs(multiplier * unit - Fraction(gain)) * abs(acc)
        error_of_bias = abs(multiplier) * unit * HALF
        # The quotient offset / multiplier is rounded to float64 before it is rounded to an integer.
        error_of_quotient = abs(Fraction(offset)) * Fraction(1, 2**50)
        limit = error_of_gain + error_of_bias + error_of_quotient + HALF
        assert abs(int(codes[index]) - real) <= limit
        raised = math.ceil(abs(Fraction(offset)) / unit / BIAS_LIMIT)
        assert abs(multiplier * unit - Fraction(gain)) <= max(
            unit * HALF, unit * raised + abs(Fraction(gain)) if raised else 0
        )


@given(
    st.lists(st.floats(2.0**-12, 1.0), min_size=1, max_size=4),
    st.floats(-300.0, 300.0),
    st.integers(-(2**18), 2**18),
    st.booleans(),
)
def test_a_layer_with_ordinary_gains_is_within_one_code(sizes, offset, acc, negative):
    channels = [-size if negative else size for size in sizes]
    folded = fold_affine(channels, [offset] * len(channels))
    codes = requantize(np.int64(acc), folded.bias, folded.multiplier, folded.shift)
    for gain, code in zip(channels, codes.tolist(), strict=True):
        assert abs(code - (Fraction(gain) * acc + Fraction(offset))) <= 1 + Fraction(1, 1000)


@given(
    st.floats(-1e6, 1e6).filter(lambda value: abs(value) > 1e-200)
    | st.sampled_from((0.0, 1.0, -1.0, 0.5, -0.125)),
    st.floats(-1e6, 1e6) | st.integers(-1000, 1000).map(float),
    st.integers(-(2**30), 2**30) | st.none(),
    st.integers(-2, 2),
)
def test_fold_threshold_is_the_sign_of_exact_arithmetic(gain, offset, acc, near):
    crossing = None if gain == 0 else -Fraction(offset) / Fraction(gain)
    if acc is None:  # look where it matters: beside the crossing
        acc = near + (0 if crossing is None else math.floor(crossing))
    assume(INT32_MIN < acc < INT32_MAX - 1)
    exact = Fraction(gain) * acc + Fraction(offset)
    if crossing is not None and Fraction(float(crossing)) != crossing:
        assume(abs(acc - crossing) > abs(crossing) * Fraction(1, 2**52))
    threshold, flip = fold_threshold([gain], [offset])
    assert compare(one(acc), threshold, flip).tolist() == [1 if exact >= 0 else -1]


@given(
    st.lists(st.integers(-128, 127), min_size=1, max_size=40),
    st.floats(1e-4, 20.0),
)
def test_softmax_is_the_formula_and_near_the_real_one(codes, scale):
    table = softmax_table(scale)
    found = softmax(np.array(codes, np.int32), table).tolist()
    powers = [int(table[max(codes) - code]) for code in codes]
    total = sum(powers)
    assert found == [min((256 * e + total // 2) // total - 128, 127) for e in powers]
    real = [math.exp(scale * (code - max(codes))) for code in codes]
    for code, part in zip(found, real, strict=True):
        wanted = min(256 * part / sum(real) - 128, 127)
        assert abs(code - wanted) <= 0.5 + 256 * len(codes) / 65535


class Twins:
    """templates/runtime as a library: each function ends the process where C is undefined."""

    def __init__(self, folder: Path) -> None:
        library = folder / "arithmetic.so"
        source = Path(__file__).with_name("arithmetic_twins.c")
        flags = ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
        subprocess.run(
            ["gcc", "-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", *flags]
            + ["-I", str(TEMPLATES / "runtime"), str(source), "-o", str(library)],
            check=True,
        )
        self._library = ctypes.CDLL(str(library))

    def __call__(self, name: str, *values: int, result=ctypes.c_int32, wide: bool = False) -> int:
        function = getattr(self._library, name)
        function.restype = result
        first = ctypes.c_int64 if wide else ctypes.c_int32
        return function(first(values[0]), *(ctypes.c_int32(value) for value in values[1:]))

    def steps(self, acc: int, thresholds: list[int], flip: int) -> int:
        array = (ctypes.c_int32 * len(thresholds))(*thresholds)
        return self._library.count_steps(acc, array, len(thresholds), flip)

    def interpolate(self, table: np.ndarray, x: int) -> int:
        return self._library.interpolate16(table.ctypes.data_as(ctypes.c_void_p), x)


@pytest.fixture(scope="module")
def c(tmp_path_factory) -> Twins:
    return Twins(tmp_path_factory.mktemp("twins"))


INT64 = {"result": ctypes.c_int64}
needs_gcc = pytest.mark.requires("gcc")


@needs_gcc
@given(int32s, int32s, int32s, st.integers(1, MAX_SHIFT), st.integers(0, 1))
def test_requantize_in_c(c, total, bias, multiplier, shift, even):
    acc = min(max(total - bias, INT32_MIN), INT32_MAX)
    assume(INT32_MIN <= acc + bias <= INT32_MAX)
    arguments = acc, bias, multiplier, shift
    assert c("requantize", *arguments, **INT64) == requantize(*map(one, arguments))[0]
    expected = requantize_even(*map(one, (*arguments, even)))[0]
    assert c("requantize_even", *arguments, even, **INT64) == expected


@needs_gcc
@given(st.integers(-999, 999), st.integers(-999, 999), st.integers(1, 20), st.integers(0, 1))
def test_ties_in_c(c, quotient, bias, shift, even):
    """Products that lie exactly between two codes, which random numbers hardly ever do."""
    acc = (2 * quotient + 1) * 2 ** (shift - 1) - bias
    assume(INT32_MIN <= acc + bias <= INT32_MAX)
    arguments = acc, bias, 1, shift
    assert c("requantize", *arguments, **INT64) == quotient + 1
    nearest = round(Fraction(2 * quotient + 1, 2)) if even else quotient + 1
    assert c("requantize_even", *arguments, even, **INT64) == nearest


@needs_gcc
@given(
    st.integers(1 - 2**46, 2**46 - 1),
    st.integers(0, INT32_MAX),
    int32s,
    st.integers(17, MAX_SHIFT),
)
def test_requantize_wide_in_c(c, acc, multiplier, low, shift):
    exact = math.floor(Fraction(acc * (multiplier * 2**32 + low % 2**32), 2 ** (shift + 32)) + HALF)
    expected = requantize_wide(np.array([acc]), *map(one, (multiplier, low, shift)))[0]
    found = c("requantize_wide", acc, multiplier, low, shift, wide=True, **INT64)
    assert found == expected == exact


@needs_gcc
@given(int32s, st.lists(int32s, min_size=1, max_size=5), st.integers(0, 1))
def test_comparisons_in_c(c, acc, thresholds, flip):
    assert c("compare", acc, thresholds[0], flip) == compare(*map(one, (acc, thresholds[0], flip)))
    rows = np.array(thresholds, np.int32)[:, None]
    assert c.steps(acc, thresholds, flip) == count_steps(one(acc), rows, one(flip))[0]


@needs_gcc
@given(st.integers(1 - 2**29, 2**29 - 1), st.integers(1, 2**29) | st.integers(1, 50))
def test_means_in_c(c, total, count):
    assert c("divide_half_up", total, count) == math.floor(Fraction(total, count) + HALF)
    assert c("divide_away", total, count) == fixed_point.divide_away(np.int64(total), count)


@needs_gcc
@given(st.integers(-(2**20), 2**20), st.integers(1, 200))
def test_halves_of_means_in_c(c, quotient, half):
    count, total = 2 * half, quotient * 2 * half + half
    assume(abs(total) < 2**29)
    assert c("divide_half_up", total, count) == quotient + 1
    away = quotient + 1 if total > 0 else quotient
    assert c("divide_away", total, count) == away


@needs_gcc
@given(int32s, st.integers(0, INT32_MAX), st.integers(-31, 30), st.integers(0, 31))
def test_the_two_roundings_in_c(c, x, multiplier, exponent, bits):
    wide = np.int64(x)
    assert c("multiply_high", x, multiplier) == fixed_point.multiply_high(wide, multiplier)
    assert c("divide_by_power", x, bits) == fixed_point.divide_by_power(wide, bits)
    expected = fixed_point.scale_twice(np.array([wide]), multiplier, exponent)[0]
    assert c("scale_twice", x, multiplier, exponent) == expected


@needs_gcc
@given(st.integers(2**19, INT32_MAX), st.integers(0, INT32_MAX), st.integers(0, 2**32 - 1))
def test_functions_in_c(c, raw, fraction, word):
    assert c("logarithm", raw) == fixed_point.logarithm(np.array([raw], np.int64))[0]
    expected = fixed_point.reciprocal_of_one_plus(np.array([fraction], np.int64))[0]
    assert c("reciprocal_of_one_plus", fraction) == expected
    assert c("popcount", word) == word.bit_count()


@needs_gcc
@given(st.integers(0, 2**32 - 1), st.integers(-(2**15), 2**15 - 1))
def test_interpolation_in_c(c, seed, x):
    table = np.random.default_rng(seed).integers(-(2**15), 2**15, 513).astype(np.int16)
    expected = interpolation.interpolate16(table.astype(np.int32), np.array([x], np.int64))[0]
    assert c.interpolate(table, x) == expected
