"""What needs the order of the weights, computed by NumPy.

Its sort is six times as fast on a CPU as TensorFlow's, and a graph gives what a call gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops


def call_numpy(function: Callable[..., np.ndarray], inputs: Sequence[Any], shape: Any) -> Any:
    """The result of a NumPy function, at once or as a part of a graph; without gradient.

    Args:
        function: Takes the inputs as arrays, which it must not write to, and returns float32.
        inputs: Tensors.
        shape: Shape of the result.

    Returns:
        float32 tensor.
    """
    fixed = [ops.stop_gradient(value) for value in inputs]
    result = tf.numpy_function(function, fixed, tf.float32, stateful=False)
    result.set_shape(shape)
    return result


def find_ranked(values: Any, rank: Any) -> Any:
    """The value that stands at a place of the ascending order along the last axis.

        y = sort(values)[rank]

    Args:
        values: float32, shape (..., count).
        rank: 0 .. count - 1, an int or an int32 tensor without axes.

    Returns:
        float32, shape (...).
    """

    def find(array: np.ndarray, place: np.ndarray) -> np.ndarray:
        return np.asarray(np.partition(array, int(place), axis=-1)[..., int(place)])

    place = ops.convert_to_tensor(rank, "int32")
    return call_numpy(find, [values, place], values.shape[:-1])
