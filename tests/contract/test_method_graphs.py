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
