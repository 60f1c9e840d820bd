"""Numbers that are trained as multiples of their first value."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinyq.quantizers.learned_activations import ClipQuantizer, StepQuantizer
from tinyq.quantizers.parts.learned import SMALLEST_SHARE, LearnedNumber


def learned(value, shape=()):
    number = LearnedNumber()
    number.build(shape)
    number.set(value)
    return number


def train(number, optimizer, slope, steps):
    """Steps on a loss whose derivative by the number is ``slope``."""
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = slope * tf.reduce_sum(number.value())
        factor = number.factor.value
        optimizer.apply([tape.gradient(loss, factor)], [number.factor])
    return np.asarray(number.value())


@pytest.mark.parametrize("value", [0.01, 1.0, 30.0])
def test_gradient_descent_moves_it_like_the_variable_itself(value):
    moved = train(learned(value), keras.optimizers.SGD(1e-3), 0.5, 4)
    assert moved == pytest.approx(value - 4 * 1e-3 * 0.5, rel=1e-5)


@pytest.mark.parametrize("value", [1e-4, 0.01, 30.0])
def test_adam_moves_it_in_proportion(value):
    moved = train(learned(value), keras.optimizers.Adam(0.002), 3.0, 10)
    assert moved == pytest.approx(value * (1 - 10 * 0.002), rel=1e-4)


def test_it_stays_positive_and_comes_back():
    number = learned(0.01)
    down, up = keras.optimizers.SGD(1.0), keras.optimizers.SGD(1.0)
    assert train(number, down, 0.02, 1) == pytest.approx(0.01 * SMALLEST_SHARE, rel=1e-5)
    assert train(number, up, -0.02, 1) == pytest.approx(0.01, rel=1e-5)


@pytest.mark.parametrize("build", [StepQuantizer, ClipQuantizer])
def test_a_batch_without_positive_values_sets_nothing(build, rng):
    quantizer = build(4)
    values = rng.normal(0, 0.02, (32, 8)).astype(np.float32)
    still = np.asarray(quantizer(-np.abs(values), training=True))
    assert not still.any() and not np.asarray(quantizer.learned.known())
    quantizer(values, training=True)
    scale = float(quantizer.encoding().scale)
    assert 0 < scale < 0.05 and np.asarray(quantizer.learned.known())


def test_each_value_of_a_tensor_is_its_own():
    first = np.array([0.1, 0.0, 4.0], np.float32)
    number = learned(first, (3,))
    number.observe(lambda: tf.constant([9.0, 0.5, 9.0]))
    np.testing.assert_allclose(np.asarray(number.value()), [0.1, 0.5, 4.0])
