"""Which layers become one, who emits which format, and where a change of format is put."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import tinyq
from tests.small_models import L, functional, normed, scramble
from tinyq.errors import TinyqWarning
from tinyq.training import QuantizedActivation, QuantizedConv2D, calibrate
from tinyq.training.lowering.network import lower_keras
from tinyq.training.patterns import find_fused_layers
from tinyq.training.rewriting import rewrite

SHAPE = (8, 8, 3)


def chain(x):
    x = normed(x, L.Conv2D(4, 3, name="conv1"))
    x = L.MaxPooling2D(name="pool")(x)
    x = normed(x, L.Conv2D(5, 1, name="conv2"), "relu6")
    x = L.Dropout(0.1, name="drop")(L.Flatten(name="flat")(x))
    return L.Dense(3, activation="softmax", name="head")(x)


def fork(x):
    x = normed(x, L.Conv2D(4, 3, name="conv1"))
    y = L.Conv2D(4, 1, name="conv2")(x)
    z = L.Conv2D(4, 1, name="conv3")(x)
    return L.Conv2D(2, 1, name="head")(L.Add(name="add")([y, z]))


def names(model):
    return [layer.name for layer in model.layers]


def methods(model):
    return {
        layer.name: layer.output_method for layer in model.layers if hasattr(layer, "output_method")
    }


def test_units_of_a_chain():
    fused_layers = {
        fused.name: fused for fused in find_fused_layers(rewrite(functional(SHAPE, chain)).model)
    }
    names = ["image", "conv1", "pool", "conv2", "flat", "drop", "head", "head_softmax"]
    assert list(fused_layers) == names
    assert fused_layers["conv1"].batch_norm.name == "conv1_norm"
    assert (fused_layers["conv1"].activation, fused_layers["conv2"].activation) == ("relu", "relu6")
    assert fused_layers["head"].activation == "linear" and fused_layers["pool"].inputs == ("conv1",)


def test_nothing_is_fused_across_a_second_reader():
    def body(x):
        x = L.Conv2D(4, 3, name="conv")(x)
        return L.Add(name="add")([x, L.ReLU(name="relu")(x)])

    fused_layers = {
        fused.name: fused for fused in find_fused_layers(rewrite(functional(SHAPE, body)).model)
    }
    assert fused_layers["conv"].activation == "linear" and "relu" in fused_layers


def test_the_producer_emits_what_its_reader_wants():
    recipe = {"layers": {"conv2": {"activations": "uint4"}, "head": {"activations": "binary"}}}
    model = tinyq.quantize(functional(SHAPE, chain), recipe)
    expected = {"image_codes": "int8", "conv1": "uint4", "conv2": "binary", "head": "int8"}
    assert methods(model) == expected
    assert model.get_layer("conv2").activation_name == "linear"
    assert names(model)[-2:] == ["head", "head_softmax"]


def test_readers_that_differ_get_an_activation_of_their_own():
    model = tinyq.quantize(functional(SHAPE, fork), {"layers": {"conv2": {"activations": "uint4"}}})
    assert methods(model)["conv1"] == "int8"
    assert isinstance(model.get_layer("conv1_uint4"), QuantizedActivation)
    assert model.get_layer("conv2").source().name == "conv1_uint4"
    assert model.get_layer("conv3").source().name == "conv1"


def test_a_relu_waits_behind_the_sign_of_another_reader():
    model = tinyq.quantize(functional(SHAPE, fork), {"layers": {"conv2": "binary"}})
    assert model.get_layer("conv1").activation_name == "linear"
    assert model.get_layer("conv1_binary").activation_name == "linear"
    assert model.get_layer("conv1_int8").activation_name == "relu"
    assert model.get_layer("conv3").source().name == "conv1_int8"


def test_sequential_models_and_the_float_model_stays(rng):
    model = tinyq_sequential()
    before = model.get_weights()
    quantized = tinyq.quantize(model, {})
    assert isinstance(quantized.layers[2], QuantizedConv2D)
    calibrate(quantized, rng.normal(0, 1, (16, *SHAPE)))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def tinyq_sequential():
    import keras

    return keras.Sequential(
        [
            keras.Input(SHAPE),
            L.Conv2D(4, 3),
            L.BatchNormalization(),
            L.ReLU(),
            L.Flatten(),
            L.Dense(2),
        ]
    )


def test_int8_stays_near_the_float_model(rng):
    model = functional(SHAPE, chain)
    scramble(model, rng)
    x = rng.normal(0, 1, (256, *SHAPE)).astype(np.float32)
    quantized = tinyq.quantize(model, {})
    calibrate(quantized, x)
    difference = np.abs(quantized.predict(x, verbose=0) - model.predict(x, verbose=0))
    assert difference.mean() < 0.01


def test_calibration_changes_no_weight(rng):
    model = functional(SHAPE, chain)
    scramble(model, rng)
    quantized = tinyq.quantize(model, {})
    kept = [v for layer in quantized.layers for v in layer.weights if "quantizer" not in v.path]
    before = [v.numpy().copy() for v in kept]
    calibrate(quantized, rng.normal(0, 1, (64, *SHAPE)))
    for variable, old in zip(kept, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), old, err_msg=variable.path)
    assert quantized.get_layer("drop").rate == 0.1
    assert quantized.get_layer("conv1").batch_norm.trainable


def test_identical_names_in_c_are_told_apart(rng):
    def body(x):
        x = L.Conv2D(2, 1, name="a.b")(x)
        return L.Conv2D(2, 1, name="a_b")(x)

    model = tinyq.quantize(functional(SHAPE, body), {})
    calibrate(model, rng.normal(0, 1, (16, *SHAPE)))
    assert [node.name for node in lower_keras(model).nodes] == ["a_b", "a_b_2"]


def test_names_that_the_user_has_taken(rng):
    def body(x):
        x = L.Conv2D(2, 1, name="image_codes")(x)
        x = L.Conv2D(2, 1, activation="tanh", name="image_codes_tanh_table")(x)
        x = L.Conv2D(2, 1, activation="softmax", name="conv")(x)
        x = L.Conv2D(2, 1, name="conv_weights")(x)
        return L.Conv2D(2, 1, name="conv_softmax")(x)

    model = tinyq.quantize(functional(SHAPE, body), {})
    calibrate(model, rng.normal(0, 1, (16, *SHAPE)))
    nodes = [node.name for node in lower_keras(model).nodes]
    assert len(set(nodes)) == len(nodes)
    assert {"image_codes", "conv", "conv_softmax_2", "conv_weights", "conv_softmax"} <= set(nodes)


@pytest.mark.parametrize("method", ["int8", "uint4", "binary"])
def test_one_by_one_input(method, rng):
    model = functional((1, 1, 1), lambda x: L.Conv2D(1, 1, name="conv")(x))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "image: the model's input", TinyqWarning)
        quantized = tinyq.quantize(
            model, {"first": {"activations": method}, "last": {"activations": method}}
        )
    calibrate(quantized, rng.normal(0, 1, (16, 1, 1, 1)))
    assert lower_keras(quantized).input.type.format.name == {"int8": "s8", "uint4": "u4"}.get(
        method, "b1"
    )
