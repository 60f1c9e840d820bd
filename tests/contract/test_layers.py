"""Every quantized layer: saves and loads, trains, and infers what the reference computes."""

from __future__ import annotations

import dataclasses
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import tinyq
from tests.small_models import L, functional, normed, scramble
from tinyq.graph.reference import dequantize, quantize_input, run_batched
from tinyq.graph.storage import digest
from tinyq.training import calibrate
from tinyq.training.lowering.agreement import compare_layers
from tinyq.training.lowering.network import import_keras, load_keras, lower_keras

VECTORS = 1000
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*model's input has method:tinyq.errors.TinyqWarning"
)
L_SLOPES = keras.initializers.RandomUniform(-0.5, 1.5, seed=1)
IMAGE = (7, 5, 3)
SEQUENCE = (11, 3)


def stem(x, width=6):
    return normed(x, L.Conv2D(width, 3, padding="same", name="stem"))


def conv(**options):
    def body(x):
        x = normed(stem(x), L.Conv2D(7, name="layer", **options))
        return L.Conv2D(3, 1, name="head")(x)

    return body


def depthwise(**options):
    def body(x):
        x = normed(stem(x), L.DepthwiseConv2D(name="layer", **options))
        return L.Conv2D(3, 1, name="head")(x)

    return body


def signed(x):
    """What may be negative, read by all kinds of layers."""
    x = stem(x)
    y = L.Conv2D(6, 1, name="linear")(x)
    z = L.Add(name="sum")([y, normed(y, L.DepthwiseConv2D(3, padding="same", name="layer"))])
    z = L.MaxPooling2D(2, 1)(L.Conv2D(5, 2, name="reader", activation="tanh")(z))
    z = L.Concatenate()([z, L.AveragePooling2D((2, 2), 1)(L.Conv2D(3, 2, name="other")(x))])
    z = L.Conv2D(4, 2, padding="same", name="both")(z)
    return L.Dense(3, name="head")(L.Flatten()(z))


def conv1d(**options):
    def body(x):
        x = normed(x, L.Conv1D(6, 3, padding="same", name="stem"))
        x = normed(x, L.Conv1D(5, name="layer", **options))
        return L.Conv1D(2, 1, name="head")(x)

    return body


def dense(x):
    x = normed(L.Flatten(name="flat")(x), L.Dense(9, name="stem"))
    x = normed(x, L.Dense(8, use_bias=False, name="layer"), "relu6")
    return L.Dense(4, activation="softmax", name="head")(x)


def rows_dense(x):
    x = L.Reshape((7, 15), name="rows")(x)
    x = normed(x, L.Dense(6, name="layer"))
    return L.Dense(4, name="head")(x)


def lonely(x):
    x = L.Conv2D(6, 3, name="layer")(x)
    x = L.MaxPooling2D(2, name="pool")(x)
    x = L.BatchNormalization(name="alone")(x)
    x = L.ReLU(6.0, name="relu6")(x)
    return L.Conv2D(3, 1, name="head")(x)


def sloped(x):
    x = L.BatchNormalization(name="stem_norm")(L.Conv2D(6, 3, name="stem")(x))
    x = L.PReLU(L_SLOPES, shared_axes=[1, 2], name="slopes")(x)
    x = L.BatchNormalization(name="layer_norm")(L.Conv2D(5, 3, name="layer")(x))
    x = L.PReLU(L_SLOPES, shared_axes=[1, 2], name="slopes_again")(x)
    return L.Conv2D(3, 1, name="head")(x)


def residual(x):
    x = stem(x)
    y = normed(x, L.Conv2D(6, 3, padding="same", name="layer"))
    x = L.Add(name="add")([x, y])
    x = L.ReLU(name="add_relu")(L.BatchNormalization(name="add_norm")(x))
    return L.Conv2D(3, 1, name="head")(x)


def joined(x):
    x = stem(x)
    branches = [normed(x, L.Conv2D(3 + n, 1, name=f"branch{n}")) for n in range(3)]
    x = L.Concatenate(name="join")([x, *branches])
    return L.Conv2D(3, 1, name="layer")(x)


def pooled(x):
    x = L.AveragePooling2D(2, 1, padding="same", name="mean")(stem(x))
    x = L.ZeroPadding2D(((1, 0), (2, 1)), name="pad")(x)
    x = L.MaxPooling2D((3, 2), (2, 1), padding="same", name="max")(x)
    x = normed(x, L.Conv2D(6, 3, name="layer"))
    x = L.AveragePooling2D((2, 3), (2, 1), name="mean_again")(x)
    x = L.GlobalAveragePooling2D(name="global_mean")(x)
    return L.Dense(3, name="head")(L.Dropout(0.2, name="drop")(x))


def strongest(x):
    x = L.GlobalMaxPooling2D(name="strongest")(conv(kernel_size=3)(x))
    return L.Softmax(name="softmax")(x)


def sequence(x):
    x = L.ZeroPadding1D((2, 1), name="pad")(x)
    x = normed(x, L.Conv1D(6, 3, name="stem"))
    x = L.MaxPooling1D(2, padding="same", name="max")(x)
    x = L.AveragePooling1D(2, 1, name="mean")(x)
    x = normed(x, L.Conv1D(5, 2, name="layer"))
    x = L.GlobalAveragePooling1D(keepdims=True, name="global_mean")(x)
    return L.Conv1D(3, 1, name="head")(x)


def padded_signs(x):
    x = L.ZeroPadding2D((2, 1), name="pad")(stem(x))
    x = normed(x, L.Conv2D(7, 3, strides=2, padding="same", name="layer"))
    return L.Conv2D(3, 1, name="head")(x)


def layer_rule(weights, activations):
    return {"layers": {"layer": {"weights": weights, "activations": activations}}}


def planes_of(layer):
    return {"activations": "lsq2_planes", "layers": {layer: {"activations": "hwgq2_planes"}}}


WEIGHTS, INPUTS = ("int8", "int4", "ternary", "binary"), ("int8", "uint4", "binary")
INT8, BINARY = {}, layer_rule("binary", "binary")
CASES = {
    **{
        f"conv-{w}-{a}": (IMAGE, conv(kernel_size=3, padding="same"), layer_rule(w, a))
        for w, a in itertools.product(WEIGHTS, INPUTS)
    },
    **{
        f"depthwise-{w}-{a}": (
            IMAGE,
            depthwise(kernel_size=3, padding="same", depth_multiplier=2),
            layer_rule(w, a),
        )
        for w, a in zip(WEIGHTS, ("uint4", "int8", "binary", "binary"), strict=True)
    },
    "conv-stride": (IMAGE, conv(kernel_size=3, strides=(2, 1), padding="same"), BINARY),
    "conv-dilation": (IMAGE, conv(kernel_size=2, dilation_rate=(2, 1), padding="same"), BINARY),
    "conv-valid": (IMAGE, conv(kernel_size=(3, 2), strides=2, use_bias=False), INT8),
    "depthwise-stride": (IMAGE, depthwise(kernel_size=(3, 2), strides=2), INT8),
    "conv1d-causal": (
        SEQUENCE,
        conv1d(kernel_size=3, dilation_rate=2, padding="causal"),
        layer_rule("ternary", "binary"),
    ),
    "conv1d-stride": (
        SEQUENCE,
        conv1d(kernel_size=4, strides=3, padding="same"),
        layer_rule("int4", "uint4"),
    ),
    "dense": (IMAGE, dense, layer_rule("ternary", "uint4")),
    "dense-binary": (IMAGE, dense, BINARY),
    "dense-rows": (IMAGE, rows_dense, {"first": None, "weights": "int4"}),
    "input-binary": (IMAGE, conv(kernel_size=3), {"first": "binary"}),
    "input-uint4": (
        IMAGE,
        conv(kernel_size=3),
        {"first": {"activations": "uint4"}},
    ),
    "input-range": (IMAGE, conv(kernel_size=3), {"input": {"range": [-2.0, 3.0]}}),
    "input-planes": (IMAGE, conv(kernel_size=3), {"first": {"activations": "lsq2_planes"}}),
    "activation": (IMAGE, lonely, INT8),
    "activation-binary": (IMAGE, lonely, {"last": "binary"}),
    "prelu": (IMAGE, sloped, layer_rule("ternary", "int8")),
    "prelu-binary": (IMAGE, sloped, BINARY),
    "add": (IMAGE, residual, layer_rule("ternary", "int8")),
    "add-binary": (IMAGE, residual, {**BINARY, "last": "binary"}),
    "add-of-signs": (
        IMAGE,
        residual,
        {"layers": {"layer": {"activations": "binary"}, "add": {"activations": "binary"}}},
    ),
    "concatenate": (IMAGE, joined, {"layers": {"branch1": {"activations": "uint4"}}}),
    "concatenate-binary": (
        IMAGE,
        joined,
        {"layers": {"branch*": {"activations": "binary"}, "layer": {"activations": "binary"}}},
    ),
    "pooling": (IMAGE, pooled, layer_rule("int4", "uint4")),
    "pooling-planes": (IMAGE, pooled, layer_rule("int4", "lsq2_planes")),
    "joined-planes": (IMAGE, joined, planes_of("join")),
    "add-planes": (IMAGE, residual, planes_of("add")),
    "global-max": (IMAGE, strongest, BINARY),
    "sequence": (SEQUENCE, sequence, layer_rule("ternary", "uint4")),
    "padded-signs": (IMAGE, padded_signs, BINARY),
    "signed-2": (IMAGE, signed, {"weights": "ternary", "activations": "lsq2_planes"}),
    "signed-3": (IMAGE, signed, {"weights": "int3", "activations": "lsq3"}),
    "signed-4": (IMAGE, signed, {"weights": "int4", "activations": "lsq4"}),
    "signed-6": (IMAGE, signed, {"weights": "int6", "activations": "lsq6"}),
    "signed-clip": (IMAGE, signed, {"weights": "lsq4", "activations": "pact3"}),
    "signed-offset": (IMAGE, signed, {"weights": "lsq5", "activations": "lsq_plus4"}),
    "signed-grid": (IMAGE, signed, {"weights": "int4", "activations": "fixed4_m2"}),
    "signed-offset-2": (IMAGE, signed, {"weights": "int2", "activations": "lsq_plus2"}),
}


def make(case, rng):
    shape, body, recipe = CASES[case]
    model = functional(shape, body)
    probe = rng.normal(0, 1, (64, *shape)).astype(np.float32)
    scramble(model, rng)
    while np.ptp(model(probe).numpy(), axis=0).max() < 1e-3:  # dead by chance: tests nothing
        scramble(model, rng)
    quantized = tinyq.quantize(model, recipe)
    calibrate(quantized, rng.normal(0, 1, (128, *shape)))
    return quantized, rng.normal(0, 1.2, (VECTORS, *shape)).astype(np.float32)


def gradients(model, x):
    with tf.GradientTape() as tape:
        outputs = model(x, training=True)
        loss = tf.reduce_sum(outputs * np.linspace(-1, 1, outputs.shape[-1], dtype=np.float32))
    return tape.gradient(loss, [variable.value for variable in model.trainable_variables])


@pytest.mark.parametrize("case", CASES)
def test_keras_equals_reference(case, rng, tmp_path):
    model, x = make(case, rng)
    lowered = lower_keras(model)
    agreements = compare_layers(model, lowered, x, batch_size=250)
    assert {"image_codes", "layer"} <= {entry.layer for entry in agreements}
    assert [entry for entry in agreements if entry.differing] == []

    graph = import_keras(model)
    codes = quantize_input(x, graph.input.type)
    output = run_batched(graph, codes)
    np.testing.assert_array_equal(output, run_batched(lowered, codes))
    assert (output != output[:1]).any(), "an output that never varies tests nothing"

    model.save(tmp_path / "model.keras")
    loaded = load_keras(tmp_path / "model.keras")
    again = import_keras(loaded)
    assert digest(dataclasses.replace(again, name=graph.name)) == digest(graph)


@pytest.mark.parametrize("case", CASES)
def test_training_reaches_every_kernel(case, rng):
    """In one of three draws: a random network of few bits may be dead behind a ReLU."""
    kernels, reached = set(), set()
    for _ in range(3):
        model, x = make(case, rng)
        found = gradients(model, x[:64])
        for variable, gradient in zip(model.trainable_variables, found, strict=True):
            assert gradient is not None, variable.path
            assert np.isfinite(gradient.numpy()).all(), variable.path
            if "kernel" in variable.name:
                kernels.add(variable.path)
                reached |= {variable.path} if np.abs(gradient.numpy()).max() > 0 else set()
        if reached == kernels:
            return
    assert reached == kernels


@pytest.mark.parametrize("case", ["conv-ternary-uint4", "add-binary", "dense", "sequence"])
def test_fit_moves_weights_and_stays_exact(case, rng, tmp_path):
    model, x = make(case, rng)
    before = [variable.numpy().copy() for variable in model.trainable_variables]
    target = rng.normal(0, 1, (VECTORS, *model.output_shape[1:]))
    model.compile("adam", "mse")
    losses = model.fit(x, target, batch_size=100, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    for variable, old in zip(model.trainable_variables, before, strict=True):
        if "kernel" in variable.name:
            assert np.abs(variable.numpy() - old).max() > 0, variable.path
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    graph = lower_keras(loaded)
    found = loaded.predict(x, batch_size=100, verbose=0)
    output = run_batched(graph, quantize_input(x, graph.input.type))
    np.testing.assert_array_equal(found, dequantize(output, graph.output.type))
    assert not any(entry.differing for entry in compare_layers(model, graph, x))


def test_a_difference_is_counted(rng):
    model, x = make("conv-int8-int8", rng)
    graph = lower_keras(model)
    weights = graph.tensors["layer_weights"]
    codes = weights.codes.copy()
    codes[0] = -codes[0]
    spoiled = {**graph.tensors, "layer_weights": dataclasses.replace(weights, codes=codes)}
    found = {
        entry.layer: entry
        for entry in compare_layers(model, dataclasses.replace(graph, tensors=spoiled), x[:100])
    }
    assert found["stem"].differing == 0
    assert 0 < found["layer"].differing <= found["layer"].elements // 7
    assert found["layer"].largest > 1


def test_wide_sums_use_float64(rng):
    model = functional((600,), lambda x: L.Dense(4, name="layer")(x))
    scramble(model, rng)
    quantized = tinyq.quantize(model, {})
    x = rng.choice([-1.0, 1.0], (200, 600)) * rng.uniform(0.99, 1.0, (200, 600))
    calibrate(quantized, x)
    assert quantized.get_layer("layer").accumulator_dtype() == "float64"
    agreements = compare_layers(quantized, lower_keras(quantized), x)
    assert not any(entry.differing for entry in agreements)
