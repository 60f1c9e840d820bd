"""Sums of signs, groups, and gradients of few bits, against plain NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf

import tinyq
from tests.small_models import L, functional
from tinyq.quantizers import METHODS, backward, bases
from tinyq.quantizers.catalogue import load_catalogue
from tinyq.quantizers.curves import name_parts
from tinyq.training.recipe import RecipeError, read_recipe, resolve

ALL = (0,)


def column(values):
    return np.asarray(values, np.float32)[:, None]


def array(tensor):
    return np.asarray(tensor)


@pytest.mark.parametrize("numbers", [(0.7, 0.3), (0.5, 0.5), (0.6, 0.5, 0.2), (1.0, 0.4, 0.3)])
def test_eq_7_signs_of_the_nearest_sum(numbers, rng):
    weights = column(rng.normal(0, 1, 300))
    basis = np.asarray(numbers, np.float32)[:, None, None]
    signs = array(bases.nearest_signs(weights, basis, ALL))
    assert set(np.unique(signs)) == {-1.0, 1.0}
    found = (signs * basis).sum(axis=0)
    sums = [np.dot(e, numbers) for e in itertools.product((-1, 1), repeat=len(numbers))]
    least = np.abs(weights - np.array(sums)).min(axis=1)
    np.testing.assert_allclose(np.abs(weights - found)[:, 0], least, atol=1e-6)


def test_eq_21_signs_of_shifted_weights(rng):
    weights = column(rng.normal(0.2, 1, 200))
    signs = array(bases.shifted_signs(weights, np.zeros((3, 1, 1), np.float32), ALL))
    mean, deviation = weights.mean(), weights.std()
    for found, shift in zip(signs, (-1.0, 0.0, 1.0), strict=True):
        np.testing.assert_array_equal(
            found, np.where(weights - mean + shift * deviation < 0, -1, 1)
        )


def test_basis_has_the_least_squared_error(rng):
    weights = rng.normal(0, 1, (150, 4)).astype(np.float32)
    signs = rng.choice([-1.0, 1.0], (3, 150, 4)).astype(np.float32)
    found = array(bases.fit_basis(weights, signs, ALL))
    for channel in range(4):
        best = np.linalg.lstsq(signs[:, :, channel].T, weights[:, channel], rcond=None)[0]
        np.testing.assert_allclose(found[:, 0, channel], best, atol=1e-3)


@pytest.mark.parametrize(("name", "bits"), [("dorefa2", 2), ("dorefa3", 3)])
def test_eq_58_codes_of_signs_are_planes(name, bits, rng):
    """Signed weights: a bit is +1 or -1 rather than 1 or 0."""
    quantizer = METHODS[name].weights.build(ALL)
    quantizer.build((50, 4))
    weights = rng.normal(0, 1, (50, 4)).astype(np.float32)
    codes = array(quantizer.split(weights)[0]).astype(int)
    planes = [((codes + 2**bits - 1) // 2 >> bit) & 1 for bit in range(bits)]
    np.testing.assert_array_equal(codes, sum((2 * p - 1) * 2**m for m, p in enumerate(planes)))
    number_format = quantizer.format(weights)
    assert set(number_format.coding.rows) == {tuple(2**m for m in range(bits))}
    packed = number_format.pack(codes.T)
    np.testing.assert_array_equal(number_format.unpack(packed, 50), codes.T)


def test_a_step_of_training_moves_the_basis_by_a_tenth(rng):
    quantizer = METHODS["lq_nets2"].weights.build(ALL)
    quantizer.build((200, 3))
    weights = rng.normal(0, 1, (200, 3)).astype(np.float32)
    quantizer(weights)
    before = array(quantizer.basis).copy()
    wide = 2 * weights
    wanted = bases.fit_basis(wide, bases.nearest_signs(wide, before, ALL), ALL)
    quantizer(wide)
    expected = 0.9 * before + 0.1 * array(wanted)
    np.testing.assert_allclose(array(quantizer.basis), expected, rtol=1e-4, atol=1e-5)


def test_eq_16_and_17_hold_for_every_group(rng):
    quantizer = METHODS["fgq"].weights.build((0, 1, 2))
    quantizer.build((3, 3, 11, 5))
    kernel = rng.normal(0, 1, (3, 3, 11, 5)).astype(np.float32)
    found = array(quantizer.quantized(kernel))
    for place in ((0, 1, slice(0, 8), 2), (2, 2, slice(8, 11), 4)):
        group, own = kernel[place], found[place]
        order = np.argsort(-np.abs(group))
        sums = np.cumsum(np.abs(group)[order])
        kept = int(np.argmax(np.square(sums) / np.arange(1, len(group) + 1))) + 1
        expected = np.zeros(len(group))
        expected[order[:kept]] = np.sign(group[order[:kept]]) * sums[kept - 1] / kept
        step = float(array(quantizer.split(kernel)[1]).max())
        np.testing.assert_allclose(own, expected, atol=0.51 * step)


def test_eq_20_gradient_of_signs(rng):
    gradient = rng.normal(0, 1, (3, 4, 5)).astype(np.float32)
    found = array(backward.sign_and_largest(gradient, None))
    largest = np.abs(gradient).max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(found, np.where(gradient < 0, -1, 1) * largest)


@pytest.mark.parametrize("bits", [2, 4])
def test_uniform_gradients_lie_on_the_grid_and_keep_their_mean(bits, rng):
    gradient = np.repeat(rng.normal(0, 1, (1, 6)).astype(np.float32), 20_000, axis=0)
    noise = rng.random(gradient.shape).astype(np.float32)
    found = array(backward.uniform_with_noise(gradient, noise, bits))
    largest = np.abs(gradient[0]).max()
    places = (found / (2 * largest) + 0.5) * (2**bits - 1)
    np.testing.assert_allclose(places, np.round(places), atol=1e-3)
    np.testing.assert_allclose(found.mean(axis=0), gradient[0], atol=0.03 * largest)


def test_eq_11_powers_of_gradients(rng):
    gradient = np.array([[8.0, -3.0, 0.0, 1e-9, 0.7]], np.float32)
    found = array(backward.powers_of_two(gradient, None, 3))
    np.testing.assert_allclose(found, [[8.0, -4.0, 0.0, 2.0**-5, 0.5]])


def test_recipes_name_gradients_of_all_layers_but_the_last():
    names = ("conv1", "conv2", "dense")
    found = resolve(read_recipe({"gradients": "dorefa6"}), names, ())
    assert [found[name].gradients for name in names] == ["dorefa6", "dorefa6", None]
    layers = {"dense": {"gradients": "xnor_net"}}
    assert resolve(read_recipe({"layers": layers}), names, ())["dense"].gradients == "xnor_net"
    with pytest.raises(RecipeError, match="no method 'dorefa5' for gradients"):
        read_recipe({"gradients": "dorefa5"})
    with pytest.raises(RecipeError, match="no weights"):
        resolve(read_recipe({"layers": {"add": {"gradients": "qnn6"}}}), names, ("add",))


def test_a_layer_trains_with_rounded_gradients(rng):
    def body(x):
        return L.Dense(2, name="head")(L.Dense(6, name="hidden")(x))

    model = functional((5,), body)
    x = tf.constant(rng.normal(0, 1, (1, 5)).astype(np.float32))
    found = {}
    for method in (None, "xnor_net"):
        recipe = {"weights": "bwn", "first": None, "gradients": method}
        quantized = tinyq.quantize(model, recipe)
        assert tinyq.quantize(model, recipe).get_layer("hidden").gradient_method == method
        copy = type(quantized).from_config(quantized.get_config())
        assert copy.get_layer("hidden").gradient_method == method
        layer = quantized.get_layer("hidden")
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(quantized(x, training=True) ** 2)
        # The bias adds to every sum of the only sample, so that its gradient is that of the sums.
        found[method] = array(tape.gradient(loss, layer.bias.value))
        assert quantized.get_layer("head").gradient_method is None
    largest = np.abs(found[None]).max()
    assert largest > 0 and len(np.unique(np.abs(found[None]))) > 1
    signs = np.where(found[None] < 0, -1.0, 1.0)
    np.testing.assert_allclose(found["xnor_net"], signs * largest, rtol=1e-5)


def test_every_method_names_its_gradient():
    for row in load_catalogue().values():
        for role in ("weights", "activations"):
            for name in getattr(row, role):
                parts = name_parts(name, role)
                assert parts["gradient"].isidentifier(), name
    assert name_parts("pact4", "activations")["gradient by level"] == "clip_slope"
    assert name_parts("lsq3", "weights")["gradient by step"] == "step_slope"
    assert name_parts("ttq", "weights")["gradient"] == "scaled_by_level"
