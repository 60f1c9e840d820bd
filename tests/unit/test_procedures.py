"""What training does to master weights besides the gradient: freezing, and proximal steps."""

from __future__ import annotations

import numpy as np
import pytest
from keras import Variable, ops

from tinyq.quantizers import METHODS
from tinyq.quantizers.tables import TableParts

FREEZING = [n for n, m in METHODS.items() if m.weights and m.weights.procedure.freezes]
ONE_BY_ONE = [n for n in FREEZING if not isinstance(METHODS[n].weights, TableParts)]
PROXIMAL = [n for n in METHODS if n.startswith("proxquant")]
SHAPE, AXES = (3, 3, 8, 12), (0, 1, 2)


def array(tensor):
    return ops.convert_to_numpy(tensor)


def quantizer_of(name):
    quantizer = METHODS[name].weights.build(AXES)
    quantizer.build(SHAPE)
    return quantizer


def kernel_of(rng):
    return Variable(rng.normal(0, 0.1, SHAPE).astype(np.float32))


@pytest.mark.parametrize("name", FREEZING)
def test_frozen_weights_stay_and_keep_their_value_on_the_device(name, rng):
    quantizer, kernel = quantizer_of(name), kernel_of(rng)
    fixed, values, shares = np.zeros(SHAPE, bool), np.zeros(SHAPE), []
    for progress in np.linspace(0, 1, 21):
        quantizer.advance(kernel, float(progress))
        np.testing.assert_array_equal(array(quantizer(kernel))[fixed], values[fixed])
        fixed = array(quantizer.frozen) > 0
        values = array(quantizer(kernel))
        shares.append(fixed.mean())
        # A step of the optimizer that moves every weight.
        kernel.assign(array(kernel) * 1.02 + rng.normal(0, 0.01, SHAPE))
        kernel.assign(quantizer.updated(kernel))
        np.testing.assert_array_equal(array(kernel)[fixed], values[fixed])
    assert shares[0] == 0.0 and shares[-1] == 1.0
    assert (np.diff(shares) >= 0).all() and len(np.unique(shares)) > 3
    np.testing.assert_allclose(array(quantizer.quantized(kernel)), array(quantizer(kernel)), 1e-6)


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_the_largest_are_frozen_first(name, rng):
    quantizer, kernel = quantizer_of(name), kernel_of(rng)
    magnitudes = np.abs(array(kernel))
    quantizer.advance(kernel, 0.25)
    frozen = array(quantizer.frozen) > 0
    assert 0.1 < frozen.mean() < 0.9
    assert magnitudes[frozen].min() >= magnitudes[~frozen].max()


@pytest.mark.parametrize("name", PROXIMAL)
def test_proximal_steps_draw_weights_to_levels_and_hold_them_at_the_end(name, rng):
    quantizer, kernel = quantizer_of(name), kernel_of(rng)
    distances = []
    for progress in (0.0, 0.4, 0.7, 0.9):
        quantizer.advance(kernel, progress)
        updated = array(quantizer.updated(kernel))
        distances.append(np.abs(updated - array(quantizer.quantized(kernel))).mean())
    assert distances[0] > distances[1] > distances[2] > distances[3] == 0.0


@pytest.mark.parametrize("strength", [1e-3, 0.03, 2.0])
@pytest.mark.parametrize("spread", [0.01, 0.1, 3.0])
def test_ternary_proximal_step_of_the_authors(strength, spread, rng):
    """w' = (w + lambda q) / (1 + lambda); q has a mean for each sign, threshold 0.7 mean |w|."""
    quantizer = quantizer_of("proxquant2")
    weights = (rng.normal(0.3 * spread, spread, SHAPE)).astype(np.float32)
    threshold = 0.7 * np.abs(weights).mean()
    above, below = weights > threshold, weights < -threshold
    levels = np.where(above, weights[above].mean(), np.where(below, weights[below].mean(), 0.0))
    quantizer.setting.assign(strength)
    grain = np.abs(levels).max() / 127  # of the device's integers
    np.testing.assert_allclose(array(quantizer.quantized(weights)), levels, atol=0.51 * grain)
    wanted = (weights + strength * levels) / (1 + strength)
    share = strength / (1 + strength)
    np.testing.assert_allclose(
        array(quantizer.updated(weights)), wanted, atol=0.52 * grain * share, rtol=1e-6
    )


def test_levels_of_both_signs_differ_on_the_device(rng):
    quantizer = quantizer_of("proxquant2")
    weights = np.abs(rng.normal(0, 0.1, SHAPE)) * np.where(rng.random(SHAPE) < 0.5, 1.0, -0.5)
    codes, _ = quantizer.split(weights.astype(np.float32))
    low, zero, high = np.unique(array(codes))
    assert zero == 0 and -100 < low < 0 and high == 127
    assert quantizer.format(weights.astype(np.float32)).name == "n2"
