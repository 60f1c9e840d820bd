"""Ranks that NumPy finds within a graph."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tinyq.quantizers.parts.sorting import find_ranked


@pytest.mark.parametrize("rank", [0, 7, 19])
def test_a_rank_is_a_place_in_the_sorted_order(rank, rng):
    values = rng.normal(size=(3, 20)).astype(np.float32)
    for function in (find_ranked, tf.function(find_ranked, autograph=False)):
        found = function(tf.constant(values), tf.constant(rank))
        assert found.shape == (3,)
        np.testing.assert_array_equal(np.asarray(found), np.sort(values)[:, rank])


def test_a_rank_has_no_gradient():
    values = tf.Variable([3.0, 1.0, 2.0])
    with tf.GradientTape() as tape:
        found = find_ranked(values, 1) * values[0]
    np.testing.assert_array_equal(
        np.asarray(tf.convert_to_tensor(tape.gradient(found, values))), [2.0, 0, 0]
    )
