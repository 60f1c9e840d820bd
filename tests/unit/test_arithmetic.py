from __future__ import annotations

import math

import numpy as np
import pytest

from tinyq.errors import TinyqError
from tinyq.numerics.rounding import (
    BIAS_LIMIT,
    INT32_MAX,
    INT32_MIN,
    compare,
    count_steps,
    divide_half_up,
    exponent,
    fold_affine,
    fold_steps,
    fold_threshold,
    requantize,
    requantize_even,
    softmax,
    softmax_table,
)


def i32(*values):
    return np.array(values, np.int32)


@pytest.mark.parametrize(
    ("acc", "expected"), [(3, 2), (1, 1), (-1, 0), (-3, -1), (2, 1), (-2, -1), (0, 0)]
)
def test_half_rounds_up(acc, expected):
    assert requantize(i32(acc), i32(0), i32(1), i32(1)).tolist() == [expected]


def test_requantize_holds_at_the_ends_of_int32():
    ends = i32(INT32_MIN, INT32_MAX)
    assert requantize(ends, i32(0, 0), i32(INT32_MIN, INT32_MIN), i32(62, 62)).tolist() == [1, -1]
    assert requantize(ends, i32(0, 0), i32(INT32_MIN, INT32_MAX), i32(1, 1)).tolist() == [
        2**61,
        (INT32_MAX**2 + 1) >> 1,
    ]


def test_requantize_adds_the_bias_before_scaling():
    assert requantize(i32(5), i32(-7), i32(3), i32(2)).tolist() == [(-2 * 3 + 2) >> 2]


def test_compare_at_the_threshold():
    acc = i32(-1, 0, 1)
    assert compare(acc, i32(0, 0, 0), i32(0, 0, 0)).tolist() == [-1, 1, 1]
    assert compare(acc, i32(0, 0, 0), i32(1, 1, 1)).tolist() == [1, -1, -1]
    assert compare(i32(INT32_MIN), i32(INT32_MIN), i32(0)).tolist() == [1]


@pytest.mark.parametrize("value", [1.0, 0.5, 0.75, 2.0**-1022, 2.0**-1074, 3.0, 2.0**31])
def test_exponent_is_the_floor_of_the_logarithm(value):
    found = int(exponent(np.array(value)))
    assert 2.0**found <= value
    assert value / 2.0**found < 2


def test_fold_affine_worked_example():
    folded = fold_affine([0.5, -0.25], [3.0, 1.0])
    assert folded.shift.tolist() == [31, 31]
    assert folded.multiplier.tolist() == [2**30, -(2**29)]
    assert folded.bias.tolist() == [6, -4]


@pytest.mark.parametrize("below", [2.0**-53, 2.0**-40, 2.0**-32, 2.0**-32 + 2.0**-50, 2.0**-31])
def test_a_gain_that_rounds_up_to_a_power_of_two_loses_nothing(below):
    """Half a unit of the multiplier is the bound, also where that has 31 bits all set."""
    gain = 1.0 - below
    folded = fold_affine([gain], [0.0])
    unit = 2.0 ** -float(folded.shift[0])
    assert abs(int(folded.multiplier[0]) * unit - gain) <= unit / 2


def test_fold_affine_of_nothing_is_nothing():
    folded = fold_affine([0.0], [0.0])
    assert (folded.bias.tolist(), folded.multiplier.tolist()) == ([0], [0])


def test_a_dead_channel_gives_its_offset():
    folded = fold_affine([0.0, 1.0], [-100.25, 0.0])
    codes = requantize(i32(1000, 1000), folded.bias, folded.multiplier, folded.shift)
    assert codes.tolist() == [-100, 1000]
    assert abs(int(folded.bias[0])) <= BIAS_LIMIT


@pytest.mark.parametrize(
    ("gain", "offset", "text"),
    [
        ([1.0, math.nan], [0.0, 0.0], r"a gain is not a finite number \(channel 1\)"),
        ([1.0], [math.inf], "an offset is not a finite number"),
        ([1.0], [1e300], "offset is too large"),
        ([2.0**31], [0.0], "gain is too large"),
        ([1e300], [0.0], "gain is too large"),
    ],
)
def test_fold_affine_refuses(gain, offset, text):
    with pytest.raises(TinyqError, match=text):
        fold_affine(gain, offset)


@pytest.mark.parametrize(
    ("gain", "offset", "threshold", "flip"),
    [
        (2.0, -5.0, 3, 0),  # 2 * acc >= 5
        (2.0, -6.0, 3, 0),  # 2 * acc >= 6: sign(0) = +1
        (-2.0, 6.0, 4, 1),  # 2 * acc <= 6
        (-2.0, 5.0, 3, 1),
        (0.0, 0.0, INT32_MIN, 0),
        (0.0, -1e-30, INT32_MIN, 1),
        (0.0, 7.0, INT32_MIN, 0),
        (1e-300, -1e300, INT32_MAX - 1, 0),
        (1e-300, 1e300, INT32_MIN, 0),
        (-1e-300, 1e300, INT32_MAX, 1),
    ],
)
def test_fold_threshold(gain, offset, threshold, flip):
    found = fold_threshold([gain], [offset])
    assert (found[0].tolist(), found[1].tolist()) == ([threshold], [flip])


def test_count_steps_counts_what_is_reached():
    threshold = np.array([[-3, 5], [0, 2], [4, 2**31 - 1]], np.int32)
    acc = np.array([[-4, -4], [-3, 1], [0, 2], [3, 4], [4, 5]])
    flips = np.array([0, 1], np.int32)
    assert count_steps(acc, threshold, flips).tolist() == [[0, 3], [1, 3], [2, 2], [2, 2], [3, 1]]


@pytest.mark.parametrize("gain", [0.25, -0.25, 0.3, -7.0, 0.0])
def test_fold_steps_counts_borders_that_the_map_reaches(gain):
    borders = [-1.5, -0.25, 0.0, 0.5, 2.0]
    acc = np.arange(-40, 41)[:, None]
    threshold, flip = fold_steps([gain], [0.25], borders)
    assert threshold.shape == (5, 1)
    wanted = [
        sum(gain * float(value) + 0.25 >= border for border in borders) for value in acc[:, 0]
    ]
    assert count_steps(acc, threshold, flip)[:, 0].tolist() == wanted


def test_fold_threshold_refuses_nan():
    with pytest.raises(TinyqError, match="an offset is not a finite number"):
        fold_threshold([1.0], [math.nan])


@pytest.mark.parametrize(
    ("total", "count", "expected"),
    [(7, 2, 4), (-7, 2, -3), (5, 3, 2), (-5, 3, -2), (-1, 2, 0), (0, 5, 0), (1, 3, 0)],
)
def test_mean_rounds_half_up(total, count, expected):
    assert int(divide_half_up(np.int64(total), count)) == expected


def test_softmax_table_starts_at_one_and_falls():
    table = softmax_table(0.1)
    assert table.shape == (256,)
    assert table[0] == 65535
    assert (np.diff(table) <= 0).all()
    assert table[10] == math.floor(math.exp(-1.0) * 65535 + 0.5)


def test_softmax_worked_example():
    table = softmax_table(math.log(2.0))
    # Powers 65535, 32768 (half of it, rounded up): two thirds and one third of 256.
    assert softmax(i32(5, 4), table).tolist() == [171 - 128, 85 - 128]


def test_a_single_class_saturates():
    assert softmax(i32(-128), softmax_table(1.0)).tolist() == [127]


@pytest.mark.parametrize(
    ("acc", "up", "even"), [(1, 1, 0), (3, 2, 2), (5, 3, 2), (-1, 0, 0), (-3, -1, -2), (2, 1, 1)]
)
def test_halves_go_up_or_to_the_even_code(acc, up, even):
    """Channel by channel: acc / 2."""
    both = np.array([[acc, acc]], np.int32)
    found = requantize_even(both, i32(0, 0), i32(1, 1), i32(1, 1), i32(0, 1))
    assert found.tolist() == [[up, even]]
