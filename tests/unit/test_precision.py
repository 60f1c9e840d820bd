"""16-bit floats beside quantized layers, and compiled steps."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

import tinyq
from tests.small_models import L, functional, normed
from tinyq.errors import TinyqError
from tinyq.quantizers import METHODS
from tinyq.training import calibrate

SHAPE = (6, 6, 2)
# A sample of the methods: each compilation takes seconds.
COMPILED = ("int8", "lsq4", "dorefa2")


def body(x):
    x = normed(x, L.Conv2D(4, 3, padding="same", name="first"))
    x = L.MaxPooling2D(2, name="pool")(x)
    x = L.Conv2D(4, 3, padding="same", name="second")(x)
    return L.Dense(3, name="last")(L.Flatten(name="flat")(x))


@pytest.fixture
def half_policy():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.fixture
def data(rng):
    return rng.normal(size=(32, *SHAPE)).astype(np.float32), rng.integers(0, 3, 32)


def test_quantized_layers_stay_whole(half_policy, data):
    half = functional(SHAPE, body)
    assert half.get_layer("pool").compute_dtype == "float16"
    quantized = tinyq.quantize(half, {"weights": "int4"})
    assert {layer.compute_dtype for layer in quantized.layers} == {"float32"}
    assert keras.config.dtype_policy().name == "mixed_float16"
    calibrate(quantized, data[0])
    keras.config.set_dtype_policy("float32")
    whole = functional(SHAPE, body)
    whole.set_weights(half.get_weights())
    same = tinyq.quantize(whole, {"weights": "int4"})
    calibrate(same, data[0])
    for one, other in zip(quantized.weights, same.weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))
    np.testing.assert_array_equal(
        quantized.predict(data[0], verbose=0), same.predict(data[0], verbose=0)
    )


@pytest.mark.filterwarnings("ignore::tinyq.errors.TinyqWarning")
def test_a_teacher_may_have_half_the_bits(half_policy, data):
    teacher = functional(SHAPE, body)
    phase = {"epochs": 1, "teacher": "float", "losses": [{}, {"kind": "l2", "taps": ["second"]}]}
    trained = tinyq.train(teacher, {"weights": "int4", "phases": [phase]}, data=data)
    assert np.isfinite(trained.best.training_loss)
    assert {layer.compute_dtype for layer in trained.model.layers} == {"float32"}


@pytest.mark.parametrize("name", COMPILED)
def test_a_compiled_step_is_the_step(name, data):
    losses = []
    for compiled in (False, True):
        keras.utils.set_random_seed(0)
        recipe = {"weights": name, "input": {"range": [-4.0, 4.0]}}
        if METHODS[name].activations is not None:
            recipe["activations"] = name
        model = tinyq.quantize(functional(SHAPE, body), recipe)
        model.compile(
            keras.optimizers.SGD(0.01),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=compiled,
        )
        losses.append([float(model.train_on_batch(*data)) for _ in range(2)])
    np.testing.assert_allclose(*losses, rtol=2e-2)


def test_what_no_compiler_takes_is_said(data):
    model = tinyq.quantize(functional(SHAPE, body), {"weights": "twn_exact"})
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, jit_compile=True)
    with pytest.raises(TinyqError, match="XLA"):
        model.train_on_batch(*data)


def test_inference_is_never_compiled(data):
    model = tinyq.quantize(functional(SHAPE, body), {"weights": "int4"})
    calibrate(model, data[0])
    wanted = model.predict(data[0], verbose=0)
    model.compile("sgd", "mse", jit_compile=True)
    np.testing.assert_array_equal(model.predict(data[0], verbose=0), wanted)
    assert model.jit_compile is False
