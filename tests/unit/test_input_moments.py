"""Codes by the moments of a layer's inputs, and ranges by predictions."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
from keras import ops

import tinyq
from tests.small_models import L, functional, normed, scramble
from tinyq.errors import TinyqError
from tinyq.training.input_moments import (
    ROUNDINGS,
    Ends,
    gather_moments,
    round_bit_by_bit,
    round_in_turn,
)
from tinyq.training.lowering.agreement import compare_layers
from tinyq.training.lowering.network import lower_keras
from tinyq.training.post_training import PostTraining, post_training
from tinyq.training.reconstruction import Reconstruction


def draw_case(rng, size=7, outputs=5, hi=3):
    inputs = rng.normal(0, 1, (200, size)) @ rng.normal(0, 1, (size, size))
    positions = rng.uniform(-hi, hi, (size, outputs))
    return positions, inputs.T @ inputs, Ends(-hi, hi, np.zeros(positions.shape, bool))


def error_of(codes, positions, moments):
    rest = positions - codes
    return np.einsum("ij,ik,kj->j", rest, moments, rest)


@pytest.mark.parametrize("name", ROUNDINGS)
def test_outputs_come_nearer_than_with_the_nearest_codes(name, rng):
    gains = []
    for _ in range(20):
        positions, moments, ends = draw_case(rng)
        codes = ROUNDINGS[name](positions, moments, ends)
        assert set(np.unique(codes)) <= set(range(-3, 4))
        errors = [error_of(found, positions, moments) for found in (codes, ends.nearest(positions))]
        gains.append(errors[0].sum() / errors[1].sum())
        if name == "bit_split":
            assert (errors[0] <= errors[1] * (1 + 1e-9)).all()
    assert np.mean(gains) < 0.8


def test_bits_one_by_one_are_near_the_best_codes(rng):
    """All codes of four weights are tried."""
    ratios = []
    for _ in range(20):
        positions, moments, ends = draw_case(rng, size=4, outputs=1)
        every = np.array(list(itertools.product(range(-3, 4), repeat=4)), np.float64).T
        best = error_of(every, positions, moments).min()
        found = error_of(round_bit_by_bit(positions, moments, ends), positions, moments)[0]
        nearest = error_of(ends.nearest(positions), positions, moments)[0]
        assert best <= found * (1 + 1e-9)
        ratios.append((found - best) / max(nearest - best, 1e-9) if nearest > best else 0.0)
    assert np.mean(ratios) < 0.5


def test_independent_inputs_have_the_nearest_codes(rng):
    positions, _, ends = draw_case(rng)
    for rounding in ROUNDINGS.values():
        found = rounding(positions, np.diag(rng.uniform(1, 2, len(positions))), ends)
        np.testing.assert_array_equal(found, ends.nearest(positions))


def test_what_is_fixed_stays(rng):
    positions, moments, ends = draw_case(rng)
    fixed = rng.random(positions.shape) < 0.5
    for rounding in ROUNDINGS.values():
        found = rounding(positions, moments, Ends(ends.lo, ends.hi, fixed))
        np.testing.assert_array_equal(found[fixed], ends.nearest(positions)[fixed])


def test_later_inputs_make_up_for_earlier_ones():
    """Two inputs that are always equal: what the first loses, the second gains."""
    positions, ends = np.array([[0.4], [0.4]]), Ends(-3, 3, np.zeros((2, 1), bool))
    found = round_in_turn(positions, np.full((2, 2), 100.0), ends)
    assert found.sum() == 1.0


LAYERS = {
    "conv": L.Conv2D(6, 3, strides=2, padding="same", name="layer"),
    "grouped": L.Conv2D(8, 3, groups=2, name="layer"),
    "depthwise": L.DepthwiseConv2D(3, depth_multiplier=2, name="layer"),
    "pointwise": L.Conv2D(5, 1, name="layer"),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_moments_are_those_of_all_windows(kind, rng):
    """The squared error of sums is that of the moments, whatever the kernel."""
    layer = LAYERS[kind].__class__.from_config(LAYERS[kind].get_config())
    quantized = tinyq.quantize(functional((6, 6, 4), layer), {"first": None, "last": None})
    own = quantized.get_layer("layer")
    inputs = rng.normal(0, 1, (40, 6, 6, 4)).astype(np.float32)
    kernel = rng.normal(0, 1, own.kernel.shape).astype(np.float32)
    sums = ops.convert_to_numpy(own.accumulate(ops.convert_to_tensor(inputs), kernel))
    power = np.square(sums.astype(np.float64)).sum(axis=(0, 1, 2))
    groups = {"grouped": 2, "depthwise": 4}.get(kind, 1)
    moments = gather_moments(own, inputs, groups)
    flat = kernel.reshape(-1, groups, kernel.size // groups // len(moments[0]))
    if kind != "depthwise":
        flat = kernel.reshape(-1, groups, kernel.shape[-1] // groups)
    found = np.einsum("igj,gik,kgj->gj", flat, moments, flat).ravel()
    np.testing.assert_allclose(found, power, rtol=1e-3)


@pytest.fixture
def model(rng):
    def body(x):
        x = normed(x, L.Conv2D(6, 3, padding="same", name="first"))
        x = normed(x, L.DepthwiseConv2D(3, padding="same", name="middle"))
        x = normed(x, L.Conv2D(8, 1, name="point"))
        return L.Dense(3, name="last")(L.Flatten()(x))

    model = functional((6, 6, 2), body)
    scramble(model, rng)
    return model


@pytest.mark.parametrize("name", ROUNDINGS)
@pytest.mark.parametrize("bits", [3, 4])
def test_a_network_comes_nearer(name, bits, model, rng):
    x = rng.normal(0, 1, (96, 6, 6, 2)).astype(np.float32)
    wanted = model.predict(x, verbose=0)
    errors = []
    for way in (None, Reconstruction("layer", rounding=name)):
        quantized = post_training(model, x, PostTraining(bits=bits, reconstruction=way))
        errors.append(np.square(quantized.predict(x, verbose=0) - wanted).mean())
    assert errors[1] < errors[0]
    graph = lower_keras(quantized)
    assert all(layer.differing == 0 for layer in compare_layers(quantized, graph, x))


def test_ranges_by_prediction_come_nearer(model, rng):
    x = rng.normal(0, 1, (96, 6, 6, 2)).astype(np.float32)
    x[0] *= 30.0  # an outlier stretches all ranges
    wanted = keras.ops.softmax(model.predict(x, verbose=0))
    distances = []
    for ranges in ("min_max", "prediction"):
        quantized = post_training(model, x, PostTraining(ranges=ranges, bias_correction=False))
        found = keras.ops.softmax(quantized.predict(x, verbose=0))
        distances.append(float(np.mean(np.sum(wanted * np.log(wanted / found), axis=1))))
    assert distances[1] < 0.9 * distances[0]
    graph = lower_keras(quantized)
    assert all(layer.differing == 0 for layer in compare_layers(quantized, graph, x))


@pytest.mark.parametrize(
    "options",
    [{"solver": "gptq"}, {"solver": "best", "reconstruct": "layer"}, {"ranges": "predictions"}],
)
def test_wrong_options_are_refused(options, model, rng):
    x = rng.normal(0, 1, (8, 6, 6, 2)).astype(np.float32)
    with pytest.raises(TinyqError):
        tinyq.quantize(model, data=x, **options)
    with pytest.raises(TinyqError):
        Reconstruction("block", rounding="gptq")
