"""NumPy and Keras integers are equal bit for bit, compiled and not."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tinyq.numerics import rounding
from tinyq.training import integer

CASES = 3000


def numpy_of(*tensors):
    return tuple(ops.convert_to_numpy(tensor) for tensor in tensors)


def random_map(rng, channels):
    """Gains and offsets over many magnitudes, with zeros, both signs, and exact powers of two."""
    spread = rng.uniform(0, 6)
    gain = rng.choice([-1, 1], channels) * 10.0 ** (
        rng.uniform(-8, 2) - spread * rng.random(channels)
    )
    gain[rng.random(channels) < 0.1] = 0.0
    if rng.random() < 0.2:
        below = rng.choice([0.0, 2.0**-53, 2.0**-32, 2.0**-31], channels)
        gain = np.exp2(np.round(np.log2(np.abs(gain) + 1e-9))) * (1.0 - below)
    offset = rng.normal(0, 10.0 ** rng.uniform(-3, 3), channels)
    offset[rng.random(channels) < 0.1] = 0.0
    return gain, offset


def fold_in_keras(gain, offset):
    folded = integer.fold_affine(gain, offset)
    threshold, flip = integer.fold_threshold(gain, offset)
    ones = ops.ones_like(folded.bias)
    return folded.bias, folded.multiplier, folded.shift * ones, threshold, ops.cast(flip, "int64")


@pytest.fixture(params=["eager", "graph"])
def fold(request):
    if request.param == "eager":
        return fold_in_keras
    spec = tf.TensorSpec((None,), tf.float64)
    return tf.function(fold_in_keras, input_signature=[spec, spec])


def test_folding(fold, rng):
    cases = CASES if fold is not fold_in_keras else CASES // 10
    for _ in range(cases):
        gain, offset = random_map(rng, int(rng.integers(1, 9)))
        found = numpy_of(*fold(tf.constant(gain), tf.constant(offset)))
        folded = rounding.fold_affine(gain, offset)
        threshold, flip = rounding.fold_threshold(gain, offset)
        expected = (folded.bias, folded.multiplier, folded.shift, threshold, flip)
        for left, right in zip(found, expected, strict=True):
            np.testing.assert_array_equal(left, right, err_msg=f"{gain=} {offset=}")


def test_requantize(rng):
    for _ in range(300):
        channels = int(rng.integers(1, 9))
        gain, offset = random_map(rng, channels)
        folded = rounding.fold_affine(gain, offset)
        acc = rng.integers(-(2**24), 2**24, (50, channels))
        expected = rounding.requantize(acc, folded.bias, folded.multiplier, folded.shift)
        wide = (ops.cast(part, "int64") for part in (folded.bias, folded.multiplier, folded.shift))
        (found,) = numpy_of(integer.requantize(ops.cast(acc, "int64"), integer.Affine(*wide)))
        np.testing.assert_array_equal(found, expected)


def test_requantize_halves_round_up():
    one = ops.ones((1,), "int64")
    folded = integer.Affine(0 * one, one, one)
    acc = ops.convert_to_tensor(np.arange(-5, 6), "int64")
    (found,) = numpy_of(integer.requantize(acc, folded))
    assert found.tolist() == [-2, -2, -1, -1, 0, 0, 1, 1, 2, 2, 3]


def test_requantize_even(rng):
    acc = rng.integers(-300, 300, (200, 6))
    for _ in range(20):
        gain = np.where(rng.random(6) < 0.8, 2.0 ** -rng.integers(-1, 4, 6), rng.random(6))
        offset = rng.integers(-99, 99, 6) / 16
        folded, even = rounding.fold_even(gain, offset)
        expected = rounding.requantize_even(acc, folded.bias, folded.multiplier, folded.shift, even)
        tensors = integer.fold_even(*(ops.convert_to_tensor(part) for part in (gain, offset)))
        (found,) = numpy_of(integer.requantize_even(ops.cast(acc, "int64"), *tensors))
        np.testing.assert_array_equal(found, expected)
        exact = gain == 2.0 ** np.round(np.log2(gain))
        exact &= gain <= 0.5
        np.testing.assert_array_equal(found[:, exact], np.rint(acc * gain + offset)[:, exact])


def test_compare(rng):
    acc = rng.integers(-9, 9, (100, 6))
    threshold, flip = rng.integers(-9, 9, 6), rng.integers(0, 2, 6)
    expected = rounding.compare(acc, threshold.astype(np.int32), flip.astype(np.int32))
    (found,) = numpy_of(
        integer.compare(
            ops.cast(acc, "int64"), ops.cast(threshold, "int64"), ops.convert_to_tensor(flip != 0)
        )
    )
    np.testing.assert_array_equal(found, expected)


def test_steps(rng):
    for _ in range(50):
        channels = int(rng.integers(1, 9))
        gain, offset = random_map(rng, channels)
        borders = np.sort(rng.normal(0, 10.0 ** rng.uniform(-2, 2), int(rng.integers(1, 16))))
        threshold, flip = rounding.fold_steps(gain, offset, borders)
        folded = integer.fold_steps(*map(tf.constant, (gain, offset, borders)))
        for left, right in zip(numpy_of(*folded), (threshold, flip), strict=True):
            np.testing.assert_array_equal(left, right, err_msg=f"{gain=} {offset=} {borders=}")
        near = rng.choice(threshold.reshape(-1), (40, channels)) + rng.integers(-2, 3)
        acc = np.clip(near, -(2**31), 2**31 - 1)
        (found,) = numpy_of(integer.count_steps(ops.cast(acc, "int64"), *folded))
        np.testing.assert_array_equal(found, rounding.count_steps(acc, threshold, flip))


def test_exponent_at_powers_of_two():
    powers = np.ldexp(1.0, np.arange(-31, 63))
    for values, shift in ((powers, 0), (np.nextafter(powers[1:], 0), -1)):
        expected = rounding.exponent(values)
        (found,) = numpy_of(integer.exponent(ops.convert_to_tensor(values, "float64")))
        np.testing.assert_array_equal(found, expected)
        assert found[0] == -31 and shift in (0, -1)


def test_divide_half_up(rng):
    total, count = rng.integers(-(2**20), 2**20, 1000), rng.integers(1, 99, 1000)
    (found,) = numpy_of(integer.divide_half_up(ops.cast(total, "int64"), ops.cast(count, "int64")))
    np.testing.assert_array_equal(found, rounding.divide_half_up(total, count))


def test_softmax(rng):
    for scale in 10.0 ** rng.uniform(-4, 0.5, 200):
        scale = float(np.float32(scale))
        table = rounding.softmax_table(scale)
        (found,) = numpy_of(integer.softmax_table(ops.convert_to_tensor(scale, "float64")))
        np.testing.assert_array_equal(found, table)
        codes = rng.integers(-128, 128, (20, 11))
        (probable,) = numpy_of(
            integer.softmax(ops.cast(codes, "int64"), ops.convert_to_tensor(found, "int64"))
        )
        np.testing.assert_array_equal(probable, rounding.softmax(codes.astype(np.int32), table))


@pytest.mark.parametrize("normalized", [True, False])
def test_compiled_constants_equal_eager_ones(rng, normalized):
    """Graph optimizers must not change a rounding on the way from variables to integers."""
    from tinyq.training import QuantizedConv2D, QuantizedInput

    norm = {"epsilon": 1e-3} if normalized else None
    inputs = keras.Input((5, 5, 3))
    codes = QuantizedInput(name="codes")(inputs)
    layer = QuantizedConv2D(16, 3, batch_norm=norm, name="conv")
    layer(codes)
    source = layer.source()

    def constants():
        gain, offset = layer.code_map()
        weights, _ = layer.weight_quantizer.split(layer.kernel)
        folded = integer.fold_affine(gain, offset)
        zero_point = layer.encoding().zero_point
        return gain, offset, weights, folded.bias, folded.multiplier, folded.shift, zero_point

    compiled = tf.function(constants)
    for _ in range(200):
        for variable in (*layer.weights, *source.weights):
            value = rng.normal(0, 1, variable.shape)
            positive = any(word in variable.name for word in ("variance", "high"))
            variable.assign(np.abs(value) + 1e-3 if positive else value)
        for low in (layer.output_quantizer.low, source.output_quantizer.low):
            low.assign(-np.abs(rng.normal()))
        for left, right in zip(constants(), compiled(), strict=True):
            np.testing.assert_array_equal(left.numpy(), right.numpy())
