"""Activations on levels at any distance, and their integer thresholds."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import tinyq
from tests.small_models import L, functional
from tinyq.quantizers import METHODS
from tinyq.quantizers.stepped import fit_integers, lloyd_levels
from tinyq.training import calibrate
from tinyq.training.lowering.agreement import compare_layers
from tinyq.training.lowering.network import lower_keras


def array(tensor):
    return np.asarray(tensor)


def quantized(name, values):
    quantizer = METHODS[name].activations.build(name="quantizer")
    return array(quantizer(np.asarray(values, np.float32), training=True)), quantizer


@pytest.mark.parametrize("count", [3, 7])
def test_eq_37_levels_have_the_least_error(count):
    x = np.linspace(1e-4, 8, 40_000)
    density = np.exp(-(x**2) / 2)

    def error(levels):
        nearest = np.abs(x[:, None] - levels).argmin(axis=1)
        return (density * np.square(x - levels[nearest])).sum()

    levels = np.array(lloyd_levels(count))
    least = error(levels)
    for index in range(count):
        for factor in (0.99, 1.01):
            moved = levels.copy()
            moved[index] *= factor
            assert error(moved) > least
    numbers, scale = fit_integers(lloyd_levels(count))
    assert list(numbers) == sorted(set(numbers)) and numbers[0] >= 1 and numbers[-1] <= 15
    assert error(scale * np.array(numbers)) < 1.15 * least


@pytest.mark.parametrize("name", ["hwgq2", "hwgq3", "hwgq4", "hwgq2_lloyd", "hwgq2_log"])
def test_eq_37_has_no_bin_of_zero_for_small_positive_values(name):
    y, quantizer = quantized(name, [[-3.0, -1e-6, 0.0, 1e-6, 0.2, 99.0]])
    levels = np.array(quantizer.levels) * float(array(quantizer.encoding().scale))
    np.testing.assert_allclose(y[0], levels[[0, 0, 0, 1, 1, -1]], rtol=1e-6)


@pytest.mark.parametrize("bits", [2, 3])
def test_eq_56_rounds_logarithms_within_bounds(bits, rng):
    x = np.concatenate([[0.0, 6.0], 2.0 ** rng.uniform(-9, 2.5, 300)]).astype(np.float32)
    y, _ = quantized(f"miyashita{bits}", x[None])
    top = np.round(np.log2(x.max()))
    with np.errstate(divide="ignore"):
        exponent = np.clip(np.round(np.log2(x)), top - (2**bits - 2), top)
    wanted = np.where(x > 0, 2.0**exponent, 0.0)
    np.testing.assert_allclose(y[0], wanted, rtol=1e-6)
    assert len(np.unique(y)) == 2**bits


def test_eq_55_products_with_log_activations_are_shifts(rng):
    x = rng.uniform(0, 4, (20, 30)).astype(np.float32)
    _, quantizer = quantized("miyashita3", x)
    encoding = quantizer.encoding()
    codes = (array(encoding.codes(x)) - array(encoding.zero_point)).astype(int)
    weights = rng.integers(-128, 128, 30)
    shifted = [
        sum(int(w) << (int(c).bit_length() - 1) for w, c in zip(weights, row, strict=True) if c)
        for row in codes
    ]
    np.testing.assert_array_equal(shifted, codes @ weights)


@pytest.mark.parametrize("activation", ["relu", "relu6"])
def test_the_device_counts_thresholds_as_keras_does(activation, rng):
    """Sums that are exactly zero, which are no positive values, included."""

    def body(x):
        x = L.Dense(6, use_bias=False, activation=activation, name="hidden")(x)
        return L.Dense(3, name="head")(x)

    model = functional((5,), body)
    # Inputs and weights that 8 bits hold exactly, so that sums are zero where they should be.
    kernel = rng.integers(-1, 2, (5, 6))
    kernel[0] = 1
    model.get_layer("hidden").kernel.assign(kernel)
    x = rng.integers(-3, 4, (300, 5)).astype(np.float32)
    for name in ("hwgq2", "miyashita3"):
        layers = {"head": {"activations": name}}
        net = tinyq.quantize(model, {"layers": layers, "input": {"range": [-4.0, 3.96875]}})
        calibrate(net, x)
        graph = lower_keras(net)
        assert type(graph.nodes[0].op.output).__name__ == "Steps"
        assert not any(entry.differing for entry in compare_layers(net, graph, x))
        probe = keras.Model(net.input, net.get_layer("hidden").output)
        values = probe.predict(x, verbose=0)
        exact = np.maximum(x @ kernel, 0.0)
        if activation == "relu6":
            exact = np.minimum(exact, 6.0)
        assert (values[exact == 0.0] == 0.0).all() and (values[exact > 0.0] > 0.0).all()
        assert (exact == 0).any()
