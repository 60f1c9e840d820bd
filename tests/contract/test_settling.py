"""BatchNorm's averages at the end of ``fit``, and by ``tinyq.settle``."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import tinyq
from tests.small_models import L
from tinyq.errors import DataError
from tinyq.training.lowering.agreement import compare_layers
from tinyq.training.lowering.network import lower_keras

SHAPE, SAMPLES = (6, 6, 3), 90


def array(tensor):
    return ops.convert_to_numpy(tensor)


@pytest.fixture
def data(rng):
    x = rng.normal(0.4, 1.0, (SAMPLES, *SHAPE)).astype(np.float32)
    return x, rng.integers(0, 4, SAMPLES)


def quantized_model(weights="ternary", seed=5):
    keras.utils.set_random_seed(seed)
    image = keras.Input(SHAPE)
    x = L.Conv2D(6, 3, name="first")(image)
    x = L.ReLU()(L.BatchNormalization(name="first_norm")(x))
    x = L.Dropout(0.5)(x)
    x = L.BatchNormalization()(L.Conv2D(5, 2, use_bias=False, name="second")(x))
    model = keras.Model(image, L.Dense(4, name="scores")(L.Flatten()(L.ReLU()(x))))
    quantized = tinyq.quantize(model, {"weights": weights, "input": {"range": [-4.0, 4.0]}})
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    quantized.compile(keras.optimizers.Adam(1e-2), loss)
    return quantized


def statistics(model):
    return {
        layer.name: (array(layer.batch_norm.moving_mean), array(layer.batch_norm.moving_variance))
        for layer in model.layers
        if getattr(layer, "batch_norm", None) is not None
    }


def wanted_statistics(model, x, name="first"):
    """Of the sums of the first layer, by NumPy, with the weights of the device."""
    layer = model.get_layer(name)
    codes, scale = (array(part) for part in layer.weight_quantizer.split(layer.kernel))
    values = layer.source()(x)
    sums = array(layer.accumulate(values, codes * scale)).astype(np.float64) + array(layer.bias)
    return sums.mean(axis=(0, 1, 2)), sums.var(axis=(0, 1, 2))


def assert_close(found, wanted):
    for left, right in zip(found, wanted, strict=True):
        np.testing.assert_allclose(left, right, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("weights", ["int8", "ternary", "inq2", "ternaryconnect", "proxquant2"])
def test_averages_are_those_of_the_samples_and_the_weights_of_the_device(weights, data):
    model = quantized_model(weights)
    model.train_on_batch(*data)
    before = [array(variable) for variable in model.trainable_variables]
    assert tinyq.settle(model, data[0], batch_size=20) == SAMPLES
    assert_close(statistics(model)["first"], wanted_statistics(model, data[0]))
    for variable, old in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(array(variable), old)
    once = statistics(model)["second"][0]
    tinyq.settle(model, data[0], batch_size=20)
    # No dropout, which would move it by far more than the ranges do that go on following.
    np.testing.assert_allclose(statistics(model)["second"][0], once, atol=5e-3)
    norm = model.get_layer("first").batch_norm
    assert norm.momentum == 0.99 and not model.get_layer("first").computes_with_codes


class Batches(keras.utils.PyDataset):
    """Batches by number; ``x`` is something else than what the model reads."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = 100.0 * x, y

    def __len__(self):
        return 3

    def __getitem__(self, index):
        part = slice(30 * index, 30 * index + 30)
        return self.x[part] / 100.0, self.y[part]


def generate(x, y):
    while True:
        yield from ((x[i : i + 30], y[i : i + 30]) for i in range(0, SAMPLES, 30))


FORMS = {
    "array": lambda x, y: x,
    "wide array": lambda x, y: x.astype(np.float64),
    "tensor": lambda x, y: tf.constant(x),
    "named": lambda x, y: {"image": x},
    "list": lambda x, y: [x],
    "pair": lambda x, y: (x, y),
    "batches": lambda x, y: tf.data.Dataset.from_tensor_slices((x, y)).batch(30),
    "inputs alone": lambda x, y: tf.data.Dataset.from_tensor_slices(x).batch(30),
    "by number": Batches,
    "generator": generate,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_data(form, data):
    model = quantized_model()
    model.train_on_batch(*data)
    given = FORMS[form](*data)
    assert tinyq.settle(model, given, batch_size=30, batches=3) == SAMPLES
    assert_close(statistics(model)["first"], wanted_statistics(model, data[0]))


@pytest.mark.parametrize("form", ["array", "batches", "by number", "generator"])
def test_fit_settles_at_its_end_and_says_so(form, data, capsys):
    model = quantized_model()
    given = FORMS[form](*data)
    labels = {"y": data[1], "batch_size": 30} if form == "array" else {}
    model.fit(given, **labels, epochs=2, steps_per_epoch=3, shuffle=False, verbose=2)
    assert "settled on" in capsys.readouterr().out
    mean, _ = wanted_statistics(model, data[0])
    np.testing.assert_allclose(statistics(model)["first"][0], mean, rtol=0.05, atol=0.02)
    found = compare_layers(model, lower_keras(model), data[0][:16])
    assert all(layer.differing == 0 for layer in found)


def test_fit_settles_on_no_validation_sample(data):
    x, y = data
    x = np.concatenate([x, x + 50.0])
    model = quantized_model()
    model.fit(x, np.tile(y, 2), batch_size=30, validation_split=0.5, verbose=0)
    assert_close(statistics(model)["first"], wanted_statistics(model, data[0]))


def test_fit_leaves_them_where_it_is_told(data, capsys):
    settled, left = quantized_model(), quantized_model()
    for model, option in ((settled, True), (left, False)):
        model.fit(*data, batch_size=30, epochs=2, shuffle=False, verbose=2, settle=option)
        assert ("settled" in capsys.readouterr().out) == option
    for one, other in zip(settled.trainable_variables, left.trainable_variables, strict=True):
        np.testing.assert_array_equal(array(one), array(other))
    lagging = statistics(left)["first"][0] - wanted_statistics(left, data[0])[0]
    assert np.abs(lagging).max() > 0.05


def test_a_norm_that_does_not_train_is_left_alone(data):
    model = quantized_model()
    model.train_on_batch(*data)
    model.get_layer("second").batch_norm.trainable = False
    before = statistics(model)["second"]
    tinyq.settle(model, data[0])
    for left, right in zip(statistics(model)["second"], before, strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_fault_changes_nothing(data):
    model = quantized_model()
    model.train_on_batch(*data)
    before = statistics(model)

    def broken():
        yield data[0][:30]
        raise OSError("the disk is gone")

    for given, error in ((broken(), OSError), (data[0][:0], DataError)):
        with pytest.raises(error):
            tinyq.settle(model, given)
        for name, parts in statistics(model).items():
            for left, right in zip(parts, before[name], strict=True):
                np.testing.assert_array_equal(left, right)
    assert model.get_layer("first").batch_norm.momentum == 0.99
