"""Models of one sum, product, mean or function of each element."""

from __future__ import annotations

from tests.bitexact.tflite_files import Case, normal, plain, randomly

ARITHMETIC = {
    "mean": Case("MEAN", (1, 7, 5, 6), plain(lambda tf, x: tf.reduce_mean(x, [1, 2]))),
    "mean keep": Case(
        "MEAN", (1, 3, 4, 6), plain(lambda tf, x: tf.reduce_mean(x, [1, 2], keepdims=True)), 9.0
    ),
    "mean apart": Case("MEAN", (1, 5, 4, 6), plain(lambda tf, x: tf.reduce_mean(x, [1, 3])), 3.0),
    "mean last": Case("MEAN", (1, 4, 9), plain(lambda tf, x: tf.reduce_mean(x, -1))),
    "mean middle": Case("MEAN", (1, 5, 7, 3), plain(lambda tf, x: tf.reduce_mean(x, 1))),
    "add": Case("ADD", (1, 6, 5, 4), plain(lambda tf, x: x + tf.nn.relu(x) * 0.37)),
    "add constant": Case(
        "ADD", (1, 6, 5, 4), randomly(lambda tf, rng, x: x + normal(rng, 6, 5, 4))
    ),
    "add channels": Case("ADD", (1, 6, 5, 4), randomly(lambda tf, rng, x: x + normal(rng, 4))),
    "add broadcast": Case(
        "ADD", (1, 6, 5, 4), plain(lambda tf, x: x + tf.nn.max_pool2d(x, (6, 1), 1, "VALID"))
    ),
    "add relu": Case("ADD", (1, 6, 5, 4), plain(lambda tf, x: tf.nn.relu(x + tf.nn.tanh(x)))),
    "sub": Case("SUB", (1, 6, 5, 4), plain(lambda tf, x: tf.nn.sigmoid(x) - x)),
    "sub scalar": Case("SUB", (1, 9), plain(lambda tf, x: 1.0 - x)),
    "mul": Case("MUL", (1, 6, 5, 4), plain(lambda tf, x: x * tf.nn.tanh(x))),
    "mul gate": Case(
        "MUL",
        (1, 6, 5, 4),
        plain(lambda tf, x: x * tf.nn.sigmoid(tf.reduce_mean(x, [1, 2], keepdims=True))),
    ),
    "softmax": Case("SOFTMAX", (1, 13), plain(lambda tf, x: tf.nn.softmax(x)), 4.0),
    "softmax rows": Case("SOFTMAX", (1, 3, 200), plain(lambda tf, x: tf.nn.softmax(x)), 0.1),
    "softmax wide": Case("SOFTMAX", (1, 2), plain(lambda tf, x: tf.nn.softmax(x)), 60.0),
    "log softmax": Case("LOG_SOFTMAX", (1, 11), plain(lambda tf, x: tf.nn.log_softmax(x)), 3.0),
    "log softmax wide": Case(
        "LOG_SOFTMAX", (1, 40), plain(lambda tf, x: tf.nn.log_softmax(x)), 40.0
    ),
    "logistic": Case("LOGISTIC", (1, 300), plain(lambda tf, x: tf.nn.sigmoid(x)), 4.0),
    "tanh": Case("TANH", (1, 300), plain(lambda tf, x: tf.nn.tanh(x)), 2.0),
    "relu": Case("RELU", (1, 300), plain(lambda tf, x: tf.nn.relu(x))),
    "relu6": Case("RELU6", (1, 300), plain(lambda tf, x: tf.nn.relu6(x)), 5.0),
    "relu1": Case(
        "RELU_N1_TO_1", (1, 300), plain(lambda tf, x: tf.maximum(-1.0, tf.minimum(x, 1.0))), 2.0
    ),
    "leaky relu": Case("LEAKY_RELU", (1, 300), plain(lambda tf, x: tf.nn.leaky_relu(x, 0.23))),
    "leaky relu negative": Case(
        "LEAKY_RELU", (1, 300), plain(lambda tf, x: tf.nn.leaky_relu(x, -0.4))
    ),
    "prelu": Case(
        "PRELU",
        (1, 6, 5, 4),
        randomly(lambda tf, rng, x: tf.nn.relu(x) + -normal(rng, 1, 1, 4) * tf.nn.relu(-x)),
    ),
    "hard swish": Case(
        "HARD_SWISH", (1, 300), plain(lambda tf, x: x * tf.nn.relu6(x + 3.0) / 6.0), 3.0
    ),
    "hard swish wide": Case(
        "HARD_SWISH", (1, 300), plain(lambda tf, x: x * tf.nn.relu6(x + 3.0) / 6.0), 30.0
    ),
    "argmax": Case("ARG_MAX", (1, 12), plain(lambda tf, x: tf.argmax(x, -1, tf.int32))),
    "argmax rows": Case("ARG_MAX", (1, 4, 5, 6), plain(lambda tf, x: tf.argmax(x, 2, tf.int32))),
}
