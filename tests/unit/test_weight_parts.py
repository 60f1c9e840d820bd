"""Learned steps of weights with gradients of their own, and combinations that mean nothing."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinyq.errors import TinyqError
from tinyq.quantizers import find_weights, gradients, levels, scales, steps, updates
from tinyq.quantizers.parts.penalties import distance, periodic
from tinyq.quantizers.parts.rounding import draw_sign
from tinyq.quantizers.procedure import Procedure
from tinyq.quantizers.weights import LearnedStep, WeightParts

SHAPE, AXES = (3, 3, 4, 6), (0, 1, 2)


def learned(slope=gradients.step_slope, **options):
    parts = {
        "levels": levels.Uniform(-3, 3),
        "step": steps.max_abs_step(7),  # so that the largest are clipped
        "scale": scales.step_scale,
        "gradient": gradients.inside,
        "projection": False,
        "per_tensor": True,
        "learned": LearnedStep(slope),
    }
    return WeightParts("s3", **{**parts, **options})


def differentiate(parts, kernel, upstream):
    """Step, gradients by the kernel and by the step (before the factor that keeps it)."""
    quantizer = parts.build(AXES)
    quantizer.build(SHAPE)
    quantizer(kernel)
    variable = tf.Variable(kernel)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(quantizer(variable) * upstream)
    (number,) = quantizer.trainable_variables
    by_kernel, by_factor = tape.gradient(loss, [variable, number.value])
    step = np.asarray(quantizer.unit.value(), np.float64)
    # The number is first * factor, with a derivative of 1 / first by the factor: see LearnedNumber.
    return step, np.asarray(by_kernel), np.asarray(by_factor, np.float64) * step


def pact(kernel, step):
    """Eq. 47 for both ends: 1 above the level, -1 below, with level = 3 steps."""
    return 3.0 * (kernel > 3 * step) - 3.0 * (kernel < -3 * step)


def lsq(kernel, step):
    codes, v = np.clip(np.floor(kernel / step + 0.5), -3, 3), kernel / step
    return np.where(np.abs(v) <= 3, codes - v, codes)


@pytest.mark.parametrize("per_tensor", [True, False])
@pytest.mark.parametrize(
    ("slope", "formula"), [(gradients.clipped_slope, pact), (gradients.step_slope, lsq)]
)
def test_a_learned_step_has_the_gradient_that_is_said(slope, formula, per_tensor, rng):
    kernel = rng.normal(0, 1, SHAPE).astype(np.float32)
    upstream = rng.normal(0, 1, SHAPE).astype(np.float32)
    parts = learned(slope, per_tensor=per_tensor)
    step, by_kernel, by_step = differentiate(parts, kernel, upstream)
    axes = (0, 1, 2, 3) if per_tensor else AXES
    count = np.prod([SHAPE[axis] for axis in axes])
    wanted = (upstream * formula(kernel.astype(np.float64), step)).sum(axes, keepdims=True)
    np.testing.assert_allclose(by_step, wanted / np.sqrt(count * 3), rtol=2e-4, atol=1e-4)
    inner = np.abs(kernel / step) <= 3
    assert 0.02 < np.mean(~inner) < 0.98
    np.testing.assert_array_equal(by_kernel, upstream * inner)


def test_gradient_factor_and_scale_of_a_learned_step_are_used(rng):
    kernel = rng.normal(0, 1, SHAPE).astype(np.float32)
    ones = np.ones(SHAPE, np.float32)
    parts = learned(gradient=lambda v, lo, hi: tf.ones_like(v) * hi, scale=scales.doubled_step)
    step, by_kernel, plain = differentiate(parts, kernel, ones)
    np.testing.assert_array_equal(by_kernel, 3.0 * ones)
    halved = LearnedStep(factor=lambda count, hi: 0.5 / (count * hi) ** 0.5)
    _, _, half = differentiate(replace(parts, learned=halved), kernel, ones)
    np.testing.assert_allclose(half, plain / 2, rtol=1e-5)
    quantizer = parts.build(AXES)
    quantizer.build(SHAPE)
    trained = np.asarray(quantizer(kernel))
    codes, scale = (np.asarray(part) for part in quantizer.split(kernel))
    np.testing.assert_array_equal(trained, codes * scale)
    np.testing.assert_allclose(np.unique(scale), 2 * np.unique(step), rtol=1e-6)


def test_the_quick_form_of_a_learned_step_is_the_general_one(rng):
    kernel = rng.normal(0, 1, SHAPE).astype(np.float32)
    upstream = rng.normal(0, 1, SHAPE).astype(np.float32)
    general = learned(lambda *values: gradients.step_slope(*values))
    for one, other in zip(
        differentiate(learned(), kernel, upstream),
        differentiate(general, kernel, upstream),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_a_learned_step_trains_under_plain_fit(rng):
    layer = learned(gradients.clipped_slope).build(AXES)
    layer.build(SHAPE)
    kernel = rng.normal(0, 1, SHAPE).astype(np.float32)
    first = np.asarray(layer(kernel))
    optimizer = keras.optimizers.Adam(0.05)
    for _ in range(5):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(layer(kernel) - 0.3 * kernel))
        values = layer.trainable_variables
        optimizer.apply(tape.gradient(loss, [one.value for one in values]), values)
    assert np.abs(np.asarray(layer(kernel))).max() < np.abs(first).max()


HALVES = updates.BY_HALVES
WRONG = {
    "no step to learn": lambda: learned(step=steps.no_step, scale=scales.mean_abs_scale),
    "draws codes": lambda: learned(procedure=Procedure(draw=draw_sign)),
    "freezes": lambda: learned(procedure=Procedure(freezes=True, schedule=HALVES)),
    "anneals": lambda: learned(procedure=Procedure(anneals=True, schedule=HALVES)),
    "no step at all": lambda: learned(learned=None, step=steps.no_step),
    "codes outside of the format": lambda: learned(levels=levels.Uniform(-9, 9)),
    "strength without penalty": lambda: learned(procedure=Procedure(strength=1.0)),
    "penalty without strength": lambda: learned(procedure=Procedure(penalty=distance)),
    "fixed step is trained": lambda: learned(
        learned=None, procedure=Procedure(penalty=periodic, strength=1.0, trains_step=True)
    ),
    "nothing trains the step": lambda: Procedure(trains_step=True),
    "no schedule": lambda: Procedure(freezes=True),
    "no schedule of the mixture": lambda: Procedure(forward="mixed"),
    "useless schedule": lambda: Procedure(schedule=HALVES),
    "one setting for two": lambda: Procedure(freezes=True, prunes=True, schedule=HALVES),
    "draws for nothing": lambda: Procedure(draw=draw_sign, forward="master"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_combination_that_means_nothing_is_refused(name):
    with pytest.raises(TinyqError) as caught:
        WRONG[name]()
    assert caught.value.remedy and caught.value.where in ("WeightParts", "Procedure")


def test_presets_are_combinations_that_mean_something():
    assert find_weights("lsq4").learned == LearnedStep()
    assert find_weights("ttq").learned is None
