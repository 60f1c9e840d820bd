"""What every method of `METHODS` promises."""

from __future__ import annotations

import dataclasses
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from sklearn.datasets import load_digits

import tinyq
from tests.small_models import L, functional, normed, scramble
from tinyq.graph.storage import digest
from tinyq.quantizers import METHODS
from tinyq.quantizers.catalogue import load_catalogue
from tinyq.training import calibrate
from tinyq.training.lowering.agreement import compare_layers
from tinyq.training.lowering.network import load_keras, lower_keras
from tinyq.training.schedule import advance

WEIGHTS = [name for name, method in METHODS.items() if method.weights is not None]
ACTIVATIONS = [name for name, method in METHODS.items() if method.activations is not None]
KERNELS = {"conv": ((3, 3, 4, 6), (0, 1, 2)), "depthwise": ((3, 3, 6, 2), (0, 1))}


def array(tensor):
    return ops.convert_to_numpy(tensor)


def weight_quantizer(name, shape, axes):
    quantizer = METHODS[name].weights.build(axes)
    quantizer.build(shape)
    return quantizer


def deployed(codes, kernel):
    """Codes in the order of the device: output channels first, but for depthwise kernels."""
    whole = codes.astype(np.int64)
    return whole.transpose(3, 0, 1, 2) if kernel == "conv" else whole.reshape(*whole.shape[:2], -1)


def weights_where(condition):
    """Parametrization over the methods of weights whose parts meet a condition."""
    return pytest.mark.parametrize(
        "name", [name for name in WEIGHTS if condition(METHODS[name].weights)]
    )


@pytest.mark.parametrize("kernel", KERNELS)
class TestWeights:
    def kernels(self, kernel, rng):
        shape, _ = KERNELS[kernel]
        yield rng.normal(0, 0.3, shape).astype(np.float32)
        yield (10.0 ** rng.uniform(-6, 3, shape) * rng.choice([-1, 0, 1], shape)).astype(np.float32)
        yield np.zeros(shape, np.float32)

    @pytest.mark.parametrize("name", WEIGHTS)
    def test_codes_lie_in_the_format(self, name, kernel, rng):
        for values in self.kernels(kernel, rng):
            quantizer = weight_quantizer(name, *KERNELS[kernel])
            codes, scale = quantizer.split(values)
            grouped = (name, kernel) != ("fgq", "depthwise")
            wanted = METHODS[name].weights.format if grouped else "t2"
            assert quantizer.format(values).name == wanted
            assert quantizer.format(values).contains(deployed(array(codes), kernel))
            np.testing.assert_array_equal(array(codes), np.round(array(codes)))
            assert (array(scale) >= 0).all() and np.isfinite(array(scale)).all()

    @weights_where(lambda parts: parts.procedure.forward == "quantized")
    def test_value_is_codes_times_scale(self, name, kernel, rng):
        for values in self.kernels(kernel, rng):
            quantizer = weight_quantizer(name, *KERNELS[kernel])
            procedure = METHODS[name].weights.procedure
            trained = array(quantizer(values))
            codes, scale = (array(part) for part in quantizer.split(values))
            if procedure.draw is None:
                np.testing.assert_array_equal(trained, codes * scale)
            else:
                drawn = trained / scale
                np.testing.assert_allclose(drawn, np.round(drawn), atol=1e-5)
                level_set = METHODS[name].weights.levels
                assert level_set.lo <= np.round(drawn).min()
                assert np.round(drawn).max() <= level_set.hi

    @weights_where(lambda parts: parts.projection)
    def test_quantizing_twice_changes_no_code(self, name, kernel, rng):
        values = next(self.kernels(kernel, rng))
        quantizer = weight_quantizer(name, *KERNELS[kernel])
        quantizer(values)
        once, scale = quantizer.split(values)
        twice, again = quantizer.split(array(once) * array(scale))
        np.testing.assert_array_equal(array(once), array(twice))
        np.testing.assert_allclose(array(scale), array(again), rtol=1e-5)

    @pytest.mark.parametrize("name", WEIGHTS)
    def test_scale_is_per_channel(self, name, kernel, rng):
        shape, axes = KERNELS[kernel]
        _, scale = weight_quantizer(name, shape, axes).split(next(self.kernels(kernel, rng)))
        assert tuple(scale.shape) == tuple(
            1 if axis in axes else length for axis, length in enumerate(shape)
        )


@pytest.mark.parametrize("name", ACTIVATIONS)
class TestActivations:
    def quantizer(self, name, rng):
        quantizer = METHODS[name].activations.build(name="quantizer")
        x = rng.normal(0.2, 1.5, (64, 10)).astype(np.float32)
        quantizer(x, training=True)
        return quantizer, x

    def test_codes_lie_in_the_format(self, name, rng):
        quantizer, x = self.quantizer(name, rng)
        encoding = quantizer.encoding()
        codes = array(encoding.codes(3 * x)).astype(np.int64)
        assert encoding.format.name == METHODS[name].activations.format
        assert encoding.format.contains(codes)
        assert len(np.unique(codes)) > 1

    def test_training_values_lie_on_the_grid(self, name, rng):
        quantizer, x = self.quantizer(name, rng)
        quantizer.advance(1.0)
        y = array(quantizer(x, training=True))
        encoding = quantizer.encoding()
        if getattr(quantizer, "draws", False):  # any code of the format
            y, x = np.sort(np.unique(y)), np.array([-1.0, 1.0], np.float32)
        np.testing.assert_allclose(y, array(encoding.real(encoding.codes(x))), atol=1e-6)

    def test_codes_survive_the_way_through_real_numbers(self, name, rng):
        quantizer, x = self.quantizer(name, rng)
        encoding = quantizer.encoding()
        codes = array(encoding.codes(x))
        real = encoding.real(codes)
        np.testing.assert_array_equal(array(encoding.codes(real)), codes)
        centered = array(encoding.centered(real)) + array(encoding.zero_point)
        np.testing.assert_array_equal(centered, codes)

    def test_gradient_is_finite_and_somewhere_positive(self, name, rng):
        quantizer, x = self.quantizer(name, rng)
        x = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = quantizer(x, training=True)
        gradient = tape.gradient(y, x).numpy()
        assert np.isfinite(gradient).all() and gradient.min() >= 0 and gradient.max() > 0

    def test_no_code_is_above_the_bound(self, name, rng):
        quantizer, x = self.quantizer(name, rng)
        encoding = quantizer.encoding()
        assert array(encoding.codes(1e6 * x)).max() == encoding.highest
        whole = encoding.highest == encoding.format.hi and not np.any(array(quantizer.shift()))
        whole = whole and not encoding.levels
        assert METHODS[name].activations.whole == (
            whole and not type(quantizer).__name__.startswith(("Shifted", "Offset"))
        )


CHUNK = 8
SHAPE = (5, 4, 2)
CHUNKS = range(-(-len(WEIGHTS) // CHUNK))


def chunk(number):
    """Some weight methods, each with an activation method; every one is in some chunk."""
    pairs = list(zip(WEIGHTS, itertools.cycle(ACTIVATIONS), strict=False))
    return {f"layer{n}": pair for n, pair in enumerate(pairs[CHUNK * number :][:CHUNK])}


def chain(length):
    """A network of as many layers between two more: dense, convolutional and depthwise ones."""

    def body(x):
        x = normed(x, L.Conv2D(6, 3, padding="same", name="stem"))
        for n in range(length):
            if n % 4 == 3:
                layer = L.DepthwiseConv2D(3, padding="same", name=f"layer{n}")
            else:
                layer = L.Conv2D(6, 1 + n % 3, padding="same", name=f"layer{n}")
            x = normed(x, layer)
        return L.Dense(3, name="head")(L.Flatten(name="flat")(x))

    return body


def revive(model, rng):
    """BatchNorms that let values of both signs through, so that no layer is dead."""
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            shape = layer.gamma.shape
            layer.gamma.assign(rng.uniform(0.7, 1.5, shape))
            layer.beta.assign(rng.normal(0.2, 0.2, shape))
            layer.moving_mean.assign(rng.normal(0, 0.2, shape))
            layer.moving_variance.assign(rng.uniform(0.5, 1.5, shape))


def quantized_chain(rules, rng):
    """A model with one layer per rule."""
    model = functional(SHAPE, chain(len(rules)))
    scramble(model, rng)
    revive(model, rng)
    layers = {name: {"weights": w, "activations": a} for name, (w, a) in rules.items()}
    return tinyq.quantize(model, {"layers": layers})


@pytest.mark.parametrize("number", CHUNKS)
def test_methods_in_a_model(number, rng, tmp_path):
    """A step moves the master weights; exported codes are the layer's, inference the reference's.

    The file holds everything that inference depends on.
    """
    rules = chunk(number)
    quantized = quantized_chain(rules, rng)
    x = rng.normal(0, 1, (64, *SHAPE)).astype(np.float32)
    before = {name: array(quantized.get_layer(name).kernel).copy() for name in rules}
    quantized.compile(keras.optimizers.Adam(0.01), "mse", run_eagerly=True)
    for progress in (0.0, 0.5, 1.0):
        advance(quantized, progress)
        quantized.train_on_batch(x, rng.normal(0, 1, (64, 3)))
    for name, (w, a) in rules.items():
        layer = quantized.get_layer(name)
        assert np.isfinite(array(layer.kernel)).all(), name
        assert (array(layer.kernel) != before[name]).any(), (name, w, a)

    calibrate(quantized, x)
    graph = lower_keras(quantized)
    differing = {entry.layer: entry.differing for entry in compare_layers(quantized, graph, x)}
    assert {rules.get(name, name): count for name, count in differing.items() if count} == {}
    for name in rules:
        codes = graph.tensors[f"{name}_weights"]
        assert codes.type.format == quantized.get_layer(name).weight_format()
        assert codes.type.format.contains(codes.codes)
        wanted = np.sort(quantized.get_layer(name).weight_codes().ravel())
        np.testing.assert_array_equal(np.sort(codes.codes.ravel()), wanted)
    quantized.save(tmp_path / "model.keras")
    again = lower_keras(load_keras(tmp_path / "model.keras"))
    assert digest(dataclasses.replace(again, name=graph.name)) == digest(graph)


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    return (x[:256] / 16.0).astype(np.float32), y[:256]


def losses_on_digits(digits, kernel_of, activate, variables, update, steps=20):
    """Losses of a hidden layer and a float one, trained together."""
    x, y = digits
    generator = np.random.default_rng(3)
    first = tf.Variable(generator.normal(0, 0.12, (64, 24)).astype(np.float32))
    last = tf.Variable(generator.normal(0, 0.2, (24, 10)).astype(np.float32))
    trained = [first, last, *variables]
    optimizer = keras.optimizers.Adam(0.01)
    found = []
    for _ in range(steps):
        with tf.GradientTape() as tape:
            hidden = tf.matmul(x, kernel_of(first))
            mean, variance = tf.nn.moments(hidden, axes=[0])
            hidden = activate((hidden - mean) / tf.sqrt(variance + 1e-3))
            scores = tf.matmul(hidden, last)
            entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=scores)
            loss = tf.reduce_mean(entropy)
        slopes = tape.gradient(loss, trained)
        pairs = zip(slopes, trained, strict=True)
        optimizer.apply([tf.zeros_like(v) if g is None else g for g, v in pairs], trained)
        first.assign(update(first))
        found.append(float(loss))
    return found


@pytest.mark.parametrize("name", WEIGHTS)
def test_loss_falls_with_quantized_weights(name, digits):
    quantizer = weight_quantizer(name, (64, 24), (0,))
    variables = [variable.value for variable in quantizer.trainable_variables]
    losses = losses_on_digits(digits, quantizer, tf.nn.relu, variables, quantizer.updated)
    assert np.mean(losses[-3:]) < 0.85 * losses[0]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_loss_falls_with_quantized_activations(name, digits):
    quantizer = METHODS[name].activations.build(name="quantizer")
    quantizer.build((None, 24))
    variables = [variable.value for variable in quantizer.trainable_variables]

    def activate(x):
        return quantizer(x, training=True)

    losses = losses_on_digits(digits, lambda kernel: kernel, activate, variables, tf.identity)
    assert np.mean(losses[-3:]) < 0.85 * losses[0]


def test_the_catalogue_states_the_formats():
    for row in load_catalogue().values():
        for name, number_format in row.weights.items():
            assert METHODS[name].weights.format == number_format, name
        for name, number_format in row.activations.items():
            assert METHODS[name].activations.format == number_format, name


def test_every_row_has_methods_or_a_reason():
    rows = load_catalogue().values()
    assert sorted(row.wave for row in rows if row.wave != "-") == sorted(
        "A" * 9 + "B" * 18 + "C" * 33 + "D" * 27 + "E" * 20
    )
    for row in rows:
        assert bool(row.missing) != row.trains, row.id
        assert row.title and row.summary and row.reference, row.id
        assert row.formulas, row.id
