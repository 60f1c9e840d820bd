"""Many operators in one converted network, each layer of it against LiteRT's kernels."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest

from tests.bitexact.litert import run_litert
from tests.bitexact.tflite_files import Case, compare, convert, normal, plain, rewrite
from tests.bitexact.tflite_weighted import dense
from tests.harness import check_graph
from tests.requirements import require_module
from tinyq.graph import Graph, reference
from tinyq.graph.passes import simplify
from tinyq.importers.tflite import import_tflite
from tinyq.importers.tflite.litert import run_layers
from tinyq.importers.tflite.reader import read_model

require_module("ai_edge_litert")
SAMPLES = 12


def check_layers(content: bytes, rng, wanted: set[str], rounding: str = "tflite") -> Graph:
    """Check that the file has the operators and that no layer differs in one code."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        present = {operator.name for operator in read_model(path).operators}
        assert wanted <= present, f"{wanted - present} are not in the file"
        graph = import_tflite(path, rounding)
        limits = graph.input.type.format
        codes = rng.integers(limits.lo, limits.hi + 1, (SAMPLES, *graph.input.type.shape))
        codes[0], codes[1] = limits.lo, limits.hi
        values = {}
        reference.run(graph, codes, values.__setitem__)
        layers = run_layers(path, graph, codes)
        assert layers
        for name, expected in layers.items():
            if name != graph.input.name:
                wrong = int((values[name] != expected).sum())
                assert wrong == 0, f"{name}: {wrong} of {expected.size} codes differ"
        half_up = reference.run(import_tflite(path, "half_up"), codes)
        assert half_up.shape == values[graph.outputs[0]].shape
    return graph


def joined(*functions, axis=-1):
    """All functions of one tensor side by side."""
    return plain(lambda tf, x: tf.concat([function(tf, x) for function in functions], axis))


FUNCTIONS = joined(
    lambda tf, x: tf.exp(x),
    lambda tf, x: tf.abs(x),
    lambda tf, x: tf.nn.gelu(x),
    lambda tf, x: tf.nn.gelu(tf.nn.tanh(x), approximate=True),
    lambda tf, x: tf.math.rsqrt(tf.nn.relu(x) + 0.05),
    lambda tf, x: tf.math.log(tf.nn.relu(x) + 0.01),
    lambda tf, x: tf.nn.softplus(x),
)
ISLANDS = joined(
    lambda tf, x: tf.nn.tanh(-x),
    lambda tf, x: tf.nn.tanh(tf.square(x)),
    lambda tf, x: tf.nn.tanh(tf.sin(x)),
    lambda tf, x: tf.nn.tanh(tf.cos(tf.reshape(x, [1, 4, 16, 1]))[:, :, 4:8] * 0.7 + x[..., :1]),
    lambda tf, x: tf.nn.tanh(tf.floor(x * 1.3)),
)
MOVES = joined(
    lambda tf, x: tf.tile(x[:, :2], [1, 2, 1, 1]),
    lambda tf, x: tf.gather(x, [0, 3, 1, 1], axis=2),
    lambda tf, x: tf.gather(x, [3, 2, 1, 0], axis=1),
    lambda tf, x: tf.reverse(x, [1]),
    lambda tf, x: tf.pad(x[:, :2, :3], [[0, 0], [1, 1], [0, 1], [0, 0]], "REFLECT"),
    lambda tf, x: tf.pad(x[:, :2, :2], [[0, 0], [2, 0], [1, 1], [0, 0]], "SYMMETRIC"),
    lambda tf, x: tf.broadcast_to(x[:, :1], [1, 4, 4, 4]),
)
REDUCTIONS = joined(
    lambda tf, x: tf.reduce_max(x, [1, 2]),
    lambda tf, x: tf.reduce_min(x, [1, 2]),
    lambda tf, x: tf.reduce_max(x, [1, 3]),
    lambda tf, x: tf.reduce_min(x, 2)[:, 1],
)
WIDE_REDUCTIONS = joined(
    lambda tf, x: tf.reduce_max(x, [1, 2]), lambda tf, x: tf.reduce_max(x, [1, 3])
)
CHOICES = joined(
    lambda tf, x: tf.maximum(x, tf.reverse(x, [1])),
    lambda tf, x: tf.minimum(x, 0.25),
    lambda tf, x: tf.maximum(x, tf.constant([0.1, -0.2, 0.3, 0.0])),
    lambda tf, x: tf.where(x > tf.reverse(x, [1]), x, tf.nn.relu(x)),
    lambda tf, x: tf.where(tf.logical_and(x >= -0.3, x <= 0.2), x, tf.reverse(x, [2])),
    lambda tf, x: tf.where(tf.logical_or(x < -0.3, x > 0.2), x, tf.reverse(x, [2])),
)
COMPARISONS = joined(
    lambda tf, x: tf.where(tf.equal(x, tf.reverse(x, [1])), x, tf.nn.relu(x)),
    lambda tf, x: tf.where(x <= tf.reverse(x, [1]), x, tf.nn.relu(x)),
    lambda tf, x: tf.where(x[:, :1] > 0.1, x, tf.nn.relu(x)),
    lambda tf, x: tf.where(
        tf.logical_or(tf.logical_not(tf.logical_and(x < -0.1, x > -0.4)), x >= tf.reverse(x, [2])),
        x,
        tf.nn.relu(x),
    ),
)
EXTREMES = joined(
    lambda tf, x: tf.maximum(x, tf.reverse(x, [1])),
    lambda tf, x: tf.minimum(x, tf.constant([0.1, -0.2, 0.3, 0.0])),
)
NORMALIZATIONS = joined(
    lambda tf, x: tf.math.squared_difference(x, tf.reduce_mean(x, -1, keepdims=True)),
    lambda tf, x: tf.math.squared_difference(tf.nn.sigmoid(x), x),
    lambda tf, x: tf.math.l2_normalize(x, -1),
)
SUMS = joined(
    lambda tf, x: tf.reduce_sum(x, [1, 2]),
    lambda tf, x: 0.3 * tf.reduce_sum(x, [1, 3]),
)
SHAPE = (1, 4, 4, 4)
NETWORKS = {
    "functions": (FUNCTIONS, 8, {"EXP", "ABS", "GELU", "RSQRT", "LOG"}),
    "functions wide": (FUNCTIONS, 16, {"EXP", "ABS", "GELU", "RSQRT", "LOG"}),
    "moves": (MOVES, 8, {"TILE", "GATHER", "REVERSE_V2", "MIRROR_PAD", "BROADCAST_TO"}),
    "moves wide": (MOVES, 16, {"TILE", "GATHER", "REVERSE_V2", "MIRROR_PAD", "BROADCAST_TO"}),
    "blocks": (
        plain(lambda tf, x: tf.nn.depth_to_space(tf.nn.space_to_depth(x, 2), 4)),
        8,
        {"DEPTH_TO_SPACE", "SPACE_TO_DEPTH"},
    ),
    "reductions": (REDUCTIONS, 8, {"REDUCE_MAX", "REDUCE_MIN"}),
    "reductions wide": (WIDE_REDUCTIONS, 16, {"REDUCE_MAX"}),
    "choices": (CHOICES, 8, {"MAXIMUM", "MINIMUM", "GREATER", "SELECT", "LOGICAL_AND"}),
    "comparisons": (
        COMPARISONS,
        8,
        {"EQUAL", "LESS", "LESS_EQUAL", "GREATER_EQUAL", "LOGICAL_OR", "LOGICAL_NOT", "SELECT_V2"},
    ),
    "extremes wide": (EXTREMES, 16, {"MAXIMUM", "MINIMUM"}),
    "normalizations": (NORMALIZATIONS, 8, {"SQUARED_DIFFERENCE", "L2_NORMALIZATION"}),
    "sums": (SUMS, 8, {"SUM"}),
    "sums wide": (SUMS, 16, {"SUM"}),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_equal_litert(name, rng):
    build, bits, wanted = NETWORKS[name]
    check_layers(convert(Case("", SHAPE, build), rng, bits), rng, wanted)


def test_not_equal(rng):
    """The converter leaves it in floating point; LiteRT runs it on codes."""

    def rename(schema, model):
        kinds = schema.BuiltinOperator
        code = next(it for it in model.operatorCodes if it.builtinCode == kinds.EQUAL)
        code.builtinCode = code.deprecatedBuiltinCode = kinds.NOT_EQUAL
        (node,) = (
            it for it in model.subgraphs[0].operators if model.operatorCodes[it.opcodeIndex] is code
        )
        node.builtinOptionsType = schema.BuiltinOptions.NotEqualOptions
        node.builtinOptions = schema.NotEqualOptionsT()

    build = plain(lambda tf, x: tf.where(tf.equal(x, tf.reverse(x, [1])), x, tf.nn.relu(x)))
    content = rewrite(convert(Case("", SHAPE, build), rng), rename)
    check_layers(content, rng, {"NOT_EQUAL"})


def test_relu_to_one(tmp_path, rng):
    """The converter writes none; LiteRT has it."""

    def rename(schema, model):
        number = schema.BuiltinOperator.RELU_0_TO_1
        model.operatorCodes[0].builtinCode, model.operatorCodes[0].version = number, 1
        model.operatorCodes[0].deprecatedBuiltinCode = min(number, 127)

    case = Case("RELU6", SHAPE, plain(lambda tf, x: tf.nn.relu6(x)))
    compare(rewrite(convert(case, rng), rename), "RELU_0_TO_1", tmp_path, rng)


def test_square_roots(tmp_path, rng):
    """TFLite stops at a negative code, which a sigmoid never gives."""
    case = Case("SQRT", SHAPE, plain(lambda tf, x: tf.sqrt(tf.nn.sigmoid(x))))
    compare(convert(case, rng), "SQRT", tmp_path, rng)


def test_functions_between_floats_are_tables(rng):
    """What the converter leaves in floating point between one DEQUANTIZE and one QUANTIZE."""
    content = convert(Case("", SHAPE, ISLANDS), rng, allow_floats=True)
    graph = check_layers(content, rng, {"DEQUANTIZE", "NEG", "SQUARE", "SIN", "FLOOR"})
    assert {type(node.op).__name__ for node in graph.nodes} <= {
        "Lookup",
        "Concatenate",
        "Reshape",
    } | MOVES_AND_SUMS


@pytest.mark.parametrize("name", ["ELU", "CEIL"])
def test_functions_that_the_reference_kernels_lack(name, tmp_path, rng):
    def build(tf, x):
        return tf.nn.relu6((tf.nn.elu(x) if name == "ELU" else tf.math.ceil(x * 1.3)) + 0.5)

    case = Case(name, SHAPE, plain(build))
    compare(convert(case, rng, allow_floats=True), name, tmp_path, rng)


def test_softmax_of_16_bits_over_many_codes(rng):
    content = convert(Case("SOFTMAX", (1, 3), plain(lambda tf, x: tf.nn.softmax(x)), 3.0), rng, 16)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        codes = rng.integers(-(2**15), 2**15, (4000, 3))
        codes[1000:] //= 4
        found = reference.run(import_tflite(path, "tflite"), codes)
        assert (found == run_litert(content, codes)[:, 0]).all()


def test_dense_columns_of_all_magnitudes(tmp_path, rng):
    """Units that regularization has left near zero have steps that take 63 bits to be exact."""

    def build(tf, rng):
        tiny = tf.constant((10.0 ** rng.uniform(-9, 0, (8, 24))).astype(np.float32))
        last = dense(5)(tf, rng)
        bias = normal(rng, 24)
        return lambda x: last(tf.nn.relu(tf.matmul(x, tiny * tiny) + bias))

    graph = compare(
        convert(Case("FULLY_CONNECTED", (1, 8), build), rng), "FULLY_CONNECTED", tmp_path, rng
    )
    epilogues = {type(getattr(node.op, "output", None)).__name__ for node in graph.nodes}
    assert "RequantizeWide" in epilogues
    check_graph(graph, rng.integers(-128, 128, (8, 8)))


MOVES_AND_SUMS = {"StridedCopy", "TfliteAdd", "Multiply"}


def from_keras(model, shape, rng) -> bytes:
    """The model as int8, its batch left open as Keras has it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow as tf

        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([normal(rng, 1, *shape)] for _ in range(8))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        return converter.convert()


def sequences(layers):
    return (24, 5), [
        layers.Conv1D(6, 3, dilation_rate=2, padding="causal", activation="relu"),
        layers.Conv1D(4, 3, dilation_rate=4, padding="same"),
        layers.UpSampling1D(2),
        layers.MaxPooling1D(3),
        layers.Flatten(),
        layers.Dense(4),
        layers.RepeatVector(3),
        layers.Dense(5, activation="softmax"),
    ]


def images(layers):
    return (13, 11, 3), [
        layers.Conv2D(6, 3, dilation_rate=2, padding="same", activation="relu"),
        layers.DepthwiseConv2D(3, dilation_rate=(2, 3), depth_multiplier=2),
        layers.Conv2DTranspose(4, 3, strides=2, padding="same"),
        layers.UpSampling2D(2),
        layers.Cropping2D(3),
        layers.ReLU(max_value=1.5),
        layers.Reshape((-1, 2)),
        layers.Dense(3),
        layers.GlobalMaxPooling1D(),
    ]


@pytest.mark.parametrize("make", [sequences, images])
def test_networks_of_an_open_batch(make, rng):
    """SHAPE arithmetic, convolutions taken apart by their dilation, shapes left open."""
    keras = require_module("keras")
    keras.utils.set_random_seed(1)
    shape, layers = make(keras.layers)
    content = from_keras(keras.Sequential([keras.Input(shape), *layers]), shape, rng)
    wanted = {"SHAPE", "PACK", "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"}
    graph = simplify(check_layers(content, rng, wanted))
    check_graph(graph, rng.integers(-128, 128, (3, *shape)))


def test_attention_of_an_open_batch(rng):
    keras = require_module("keras")
    keras.utils.set_random_seed(2)
    x = given = keras.Input((6, 4))
    x = keras.layers.Add()([keras.layers.MultiHeadAttention(2, 3)(x, x), x])
    x = keras.layers.Dense(4, activation="gelu")(keras.layers.LayerNormalization()(x))
    content = from_keras(keras.Model(given, x), (6, 4), rng)
    check_layers(content, rng, {"BATCH_MATMUL", "SQUARED_DIFFERENCE", "RSQRT", "GELU"})
