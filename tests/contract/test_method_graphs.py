"""Codes and scales do not depend on whether TensorFlow computes them at once or in a graph.

Graph optimizers replace quotients by constants, and more; export computes at once, inference in a
graph, and both must find the same codes.
"""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tinyq.quantizers import METHODS

WEIGHTS = [name for name, method in METHODS.items() if method.weights is not None]
ACTIVATIONS = [name for name, method in METHODS.items() if method.activations is not None]
SHAPE, AXES = (3, 3, 32, 64), (0, 1, 2)


def draw(seed):
    return tf.constant(np.random.default_rng(seed).normal(0, 0.1, SHAPE), tf.float32)


@pytest.mark.parametrize("name", WEIGHTS)
def test_graph_and_eager_codes_are_the_same(name):
    quantizer = METHODS[name].weights.build(AXES)
    quantizer.build(SHAPE)
    quantizer(draw(0))  # fits steps and tables that are learned
    in_graph = tf.function(quantizer.split, autograph=False)
    for seed in (8, 10, 12):  # some have two thresholds that are nearly as good
        kernel = draw(seed)
        for eager, compiled in zip(quantizer.split(kernel), in_graph(kernel), strict=True):
            np.testing.assert_array_equal(
                ops.convert_to_numpy(eager), ops.convert_to_numpy(compiled)
            )


def draw_batch(seed, quantizer=None):
    """Random values; with a quantizer that has seen some, those on the borders of its codes too."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0.2, 1.5, (61, 24)).astype(np.float32)
    if quantizer is not None:
        encoding = quantizer.encoding()
        borders = np.float32(encoding.scale) * np.arange(-20, 21).astype(np.float32)
        borders = borders + np.float32(0.5) * np.float32(encoding.scale)
        above, below = (np.nextafter(borders, np.float32(end)) for end in (np.inf, -np.inf))
        values = np.concatenate([values.ravel(), borders, above, below, -values[:, 0]])
        values = values[: values.size // 24 * 24].reshape(-1, 24)
    return tf.constant(values)


def follow_training(name, wrap):
    """All that a quantizer says in the course of two batches and afterwards."""
    quantizer = METHODS[name].activations.build(name="quantizer")
    quantizer.build((None, 24))

    def infer(x):
        code = quantizer.encoding()
        codes = code.codes(x)
        return quantizer(x, training=False), code.scale, code.zero_point, codes, code.real(codes)

    train, infer = wrap(lambda x: quantizer(x, training=True)), wrap(infer)
    yield train(draw_batch(0))
    quantizer.advance(0.5)
    yield train(draw_batch(1, quantizer))
    yield from infer(draw_batch(2, quantizer))
    yield from (variable.value for variable in quantizer.variables)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_graph_and_eager_activations_are_the_same(name):
    eager = follow_training(name, lambda function: function)
    compiled = follow_training(name, lambda function: tf.function(function, autograph=False))
    for left, right in zip(eager, compiled, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(left), ops.convert_to_numpy(right))
