"""Models of one operator with weights, products of matrices, and pools."""

from __future__ import annotations

import numpy as np

from tests.bitexact.tflite_files import Case, normal, plain


def conv(filters, kernel, strides=1, padding="SAME", dilation=1, bias=True, activation=None):
    def build(tf, rng):
        height, width = kernel

        def apply(x):
            weights = tf.constant(normal(rng, height, width, x.shape[-1], filters))
            # One channel that is nearly zero, so that multipliers differ widely.
            y = tf.nn.conv2d(
                x, weights * make_scale(tf, filters), strides, padding, dilations=dilation
            )
            y = y + normal(rng, filters) if bias else y
            return getattr(tf.nn, activation)(y) if activation else y

        return apply

    return build


def grouped(filters, groups):
    def build(tf, rng):
        def apply(x):
            weights = tf.constant(normal(rng, 3, 3, x.shape[-1] // groups, filters))
            return tf.nn.conv2d(x, weights, 1, "SAME") + normal(rng, filters)

        return apply

    return build


def make_scale(tf, channels):
    return tf.constant(np.geomspace(0.01, 1.0, channels), tf.float32)


def depthwise(kernel, strides=1, padding="SAME", multiplier=1, dilation=1, activation=None):
    def build(tf, rng):
        def apply(x):
            weights = tf.constant(normal(rng, *kernel, x.shape[-1], multiplier))
            y = tf.nn.depthwise_conv2d(
                x, weights, [1, strides, strides, 1], padding, dilations=[dilation, dilation]
            )
            y = y + normal(rng, y.shape[-1])
            return getattr(tf.nn, activation)(y) if activation else y

        return apply

    return build


def dense(units, activation=None):
    def build(tf, rng):
        def apply(x):
            y = tf.matmul(x, tf.constant(normal(rng, x.shape[-1], units))) + normal(rng, units)
            return getattr(tf.nn, activation)(y) if activation else y

        return apply

    return build


def transposed(filters, kernel, stride, padding, size):
    def build(tf, rng):
        weights = None

        def apply(x):
            nonlocal weights
            weights = tf.constant(normal(rng, *kernel, filters, x.shape[-1]))
            shape = [1, *size, filters]
            return tf.nn.conv2d_transpose(x, weights, shape, stride, padding)

        return apply

    return build


WEIGHTED = {
    "conv 3x3": Case("CONV_2D", (1, 9, 7, 3), conv(8, (3, 3))),
    "conv 1x1 relu": Case("CONV_2D", (1, 5, 6, 17), conv(5, (1, 1), activation="relu")),
    "conv stride relu6": Case(
        "CONV_2D", (1, 11, 8, 4), conv(6, (3, 2), 2, activation="relu6"), 4.0
    ),
    "conv valid": Case("CONV_2D", (1, 10, 6, 2), conv(3, (5, 3), (1), "VALID", bias=False)),
    "conv dilated": Case("CONV_2D", (1, 12, 12, 3), conv(4, (3, 3), 1, "SAME", 2)),
    "conv groups": Case("CONV_2D", (1, 7, 6, 8), grouped(6, 2)),
    "depthwise": Case("DEPTHWISE_CONV_2D", (1, 9, 8, 5), depthwise((3, 3))),
    "depthwise stride": Case(
        "DEPTHWISE_CONV_2D", (1, 10, 9, 6), depthwise((3, 3), 2, "VALID", activation="relu6"), 3.0
    ),
    "depthwise multiplier": Case(
        "DEPTHWISE_CONV_2D", (1, 6, 6, 3), depthwise((3, 3), 1, "SAME", 4)
    ),
    "dense": Case("FULLY_CONNECTED", (1, 37), dense(11)),
    "dense relu": Case("FULLY_CONNECTED", (1, 64), dense(16, "relu"), 3.0),
    "dense rows": Case("FULLY_CONNECTED", (1, 5, 12), dense(7)),
    "average pool": Case(
        "AVERAGE_POOL_2D", (1, 9, 7, 5), plain(lambda tf, x: tf.nn.avg_pool2d(x, 3, 2, "SAME"))
    ),
    "average pool valid": Case(
        "AVERAGE_POOL_2D",
        (1, 6, 8, 3),
        plain(lambda tf, x: tf.nn.avg_pool2d(x, (6, 8), 1, "VALID")),
    ),
    "average pool relu": Case(
        "AVERAGE_POOL_2D",
        (1, 8, 8, 3),
        plain(lambda tf, x: tf.nn.relu(tf.nn.avg_pool2d(x, 2, 2, "VALID"))),
    ),
    "max pool": Case(
        "MAX_POOL_2D", (1, 9, 7, 5), plain(lambda tf, x: tf.nn.max_pool2d(x, (3, 2), 2, "SAME"))
    ),
    "matmul": Case(
        "BATCH_MATMUL",
        (1, 3, 4, 5),
        plain(lambda tf, x: tf.matmul(x, tf.nn.tanh(x), transpose_b=True)),
    ),
    "matmul left": Case(
        "BATCH_MATMUL",
        (1, 3, 4, 5),
        plain(lambda tf, x: tf.matmul(tf.nn.relu(x), x, transpose_a=True)),
    ),
    "transposed conv": Case(
        "TRANSPOSE_CONV", (1, 4, 5, 3), transposed(4, (3, 3), 2, "SAME", (8, 10))
    ),
    "transposed conv valid": Case(
        "TRANSPOSE_CONV", (1, 4, 3, 2), transposed(3, (4, 2), 3, "VALID", (13, 8))
    ),
    "transposed conv crop": Case(
        "TRANSPOSE_CONV", (1, 4, 3, 2), transposed(3, (5, 5), 1, "SAME", (4, 3))
    ),
}
