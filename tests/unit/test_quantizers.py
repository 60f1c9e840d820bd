from __future__ import annotations

import inspect

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tinyq.errors import TinyqError
from tinyq.quantizers import METHODS, find_method, gradients, levels, scales, steps
from tinyq.quantizers.activations import RangeQuantizer
from tinyq.quantizers.learned_activations import StepQuantizer
from tinyq.quantizers.parts.rounding import round_half_up
from tinyq.quantizers.signs import SignQuantizer

AXES = (0, 1, 2)


@pytest.fixture
def kernel(rng):
    return rng.normal(0, 0.5, (3, 3, 4, 5)).astype(np.float32)


def array(tensor):
    return ops.convert_to_numpy(tensor)


def test_rounding_is_half_up():
    values = np.array([-1.5, -0.5, -0.49, 0.0, 0.5, 1.5, 2.49], np.float32)
    assert array(round_half_up(values)).tolist() == [-1, 0, 0, 0, 1, 2, 2]


def test_sign_of_zero_is_plus_one():
    values = ops.convert_to_tensor(np.array([-2.0, -0.0, 0.0, 3.0], np.float32))
    assert array(levels.sign(values)).tolist() == [-1, 1, 1, 1]


def test_uniform_is_nearest_level(kernel):
    level_set = levels.Uniform(-7, 7)
    codes = array(level_set.encode(ops.convert_to_tensor(kernel), 0.1))
    choices = np.arange(-7, 8)
    nearest = choices[np.abs(kernel[..., None] / 0.1 - choices).argmin(axis=-1)]
    np.testing.assert_array_equal(codes, nearest)


def test_ternary_against_its_formula(kernel):
    unit = array(steps.ternary_threshold(ops.convert_to_tensor(kernel), AXES))
    np.testing.assert_allclose(unit.ravel(), 0.7 * np.abs(kernel).mean(axis=AXES), rtol=1e-5)
    codes = array(levels.Ternary().encode(ops.convert_to_tensor(kernel), unit))
    np.testing.assert_array_equal(codes, np.sign(kernel) * (np.abs(kernel) > unit))
    scale = array(scales.kept_mean_scale(kernel, codes, unit, AXES)).ravel()
    expected = [np.abs(kernel[..., n])[codes[..., n] != 0].mean() for n in range(5)]
    np.testing.assert_allclose(scale, expected, rtol=1e-5)


def test_mean_abs_scale_has_the_least_error(kernel):
    codes = np.where(kernel < 0, -1.0, 1.0)
    scale = array(scales.mean_abs_scale(kernel, codes, None, AXES))
    error = ((kernel - scale * codes) ** 2).sum(axis=AXES)
    for factor in (0.97, 1.03):
        assert (((kernel - factor * scale * codes) ** 2).sum(axis=AXES) > error).all()


def test_max_abs_step_puts_the_largest_on_the_last_code(kernel):
    kernel[..., 2] = 0.0
    unit = steps.max_abs_step(127)(ops.convert_to_tensor(kernel), AXES)
    codes = array(levels.Uniform(-127, 127).encode(ops.convert_to_tensor(kernel), unit))
    assert np.abs(codes).max(axis=AXES).tolist() == [127, 127, 0, 127, 127]
    assert array(unit).ravel()[2] == 1.0


# Points of each estimator: (x, dy/dx).
TABLE = {
    "identity": (gradients.identity, [(-9, 1), (-1, 1), (0, 1), (0.3, 1), (9, 1)]),
    "clipped_identity": (
        gradients.clipped_identity,
        [(-1.01, 0), (-1, 1), (-0.2, 1), (0, 1), (1, 1), (1.01, 0)],
    ),
    "inside": (
        lambda x: gradients.inside(x, -0.5, 2.0),
        [(-0.51, 0), (-0.5, 1), (0, 1), (2.0, 1), (2.01, 0)],
    ),
    "outside": (
        lambda x: gradients.outside(x, -0.5, 2.0),
        [(-0.51, 1), (-0.5, 0), (0, 0), (2.0, 0), (2.01, 1)],
    ),
    "below_magnitude": (
        lambda x: gradients.below_magnitude(x, 2.0),
        [(-2, 0), (-1.9, 1), (0, 1), (1.9, 1), (2, 0), (3, 0)],
    ),
    "signed_clip_slope": (
        lambda x: gradients.signed_clip_slope(x, 2.0),
        [(-3, -1), (-2, -1), (-1.9, 0), (0, 0), (1.9, 0), (2, 1)],
    ),
    "positive": (gradients.positive, [(-1, 0), (0, 0), (0.5, 1), (9, 1)]),
    "sigmoid_slope": (gradients.sigmoid_slope, [(0, 0.25), (-2, 0.104993585), (2, 0.104993585)]),
    "quadratic": (gradients.quadratic, [(-2, 0), (-0.5, 1), (0, 2), (0.25, 1.5), (1, 0)]),
    "cubic": (gradients.cubic, [(-2, 0), (-0.5, 0.75), (0, 3), (0.5, 0.75), (1, 0)]),
    "error_decay, start": (lambda x: gradients.error_decay(x, 0.1), [(0, 1), (10, 0.41997434)]),
    "error_decay, quarter": (
        lambda x: gradients.error_decay(x, 10.0**-0.5),
        [(0, 1), (0.5, 0.97541084), (-1.5, 0.80490058)],
    ),
    "error_decay, middle": (
        lambda x: gradients.error_decay(x, 1.0),
        [(0, 1), (0.5, 0.78644773), (-1.5, 0.18070664)],
    ),
    "error_decay, end": (lambda x: gradients.error_decay(x, 10.0), [(0, 10), (0.1, 4.1997434)]),
    "clipped_relu": (
        lambda x: gradients.clipped_relu(x, 1.5),
        [(-1, 0), (0, 0), (0.1, 1), (1.5, 1), (1.6, 0)],
    ),
    "log_tail": (lambda x: gradients.log_tail(x, 1.5), [(-1, 0), (1, 1), (1.5, 1), (2.5, 0.5)]),
    "unit_box": (gradients.unit_box, [(-0.1, 0), (0, 1), (1, 1), (1.1, 0)]),
    "clip_slope": (lambda x: gradients.clip_slope(x, 2.0), [(1.9, 0), (2, 1), (3, 1)]),
    "below_level": (
        lambda x: gradients.below_level(x, 2.0),
        [(-0.1, 0), (0, 1), (1.9, 1), (2, 0), (3, 0)],
    ),
    "ternary_weight_slope": (
        lambda x: gradients.ternary_weight_slope(x, 0.75, 1.25),
        [(-1, 1.25), (0, 1), (1, 0.75)],
    ),
    "ternary_scale_slopes, positive": (
        lambda x: gradients.ternary_scale_slopes(x)[0],
        [(-1, 0), (0, 0), (1, 1)],
    ),
    "ternary_scale_slopes, negative": (
        lambda x: gradients.ternary_scale_slopes(x)[1],
        [(-1, -1), (0, 0), (1, 0)],
    ),
    "coarse_slope": (
        lambda x: gradients.coarse_slope(x, 15.0),
        [(0, 0), (1, 8), (15, 8), (16, 15)],
    ),
    "clipped_slope": (
        lambda x: gradients.clipped_slope(np.clip(np.floor(x + 0.5), -3, 3), x, -3.0, 3.0),
        [(-4, -3), (-3, 0), (-0.7, 0), (0, 0), (2.2, 0), (3, 0), (3.1, 3)],
    ),
    "step_slope": (
        lambda x: gradients.step_slope(np.clip(np.floor(x + 0.5), -2, 1), x, -2.0, 1.0),
        [(-3, -2), (-1.25, 0.25), (0.25, -0.25), (0.75, 0.25), (4, 1)],
    ),
}


def test_every_estimator_has_points():
    own = {
        name
        for name, member in vars(gradients).items()
        if inspect.isfunction(member) and member.__module__ == gradients.__name__
    }
    no_estimators = {
        "with_gradient",
        "with_learned_step",
        "with_sums",
        "damp",
        "sharpen",
        "_sum_to",
    }
    assert {name.split(",")[0] for name in TABLE} == own - no_estimators


@pytest.mark.parametrize("name", TABLE)
def test_estimator_points(name):
    derivative, points = TABLE[name]
    x = tf.constant([float(point) for point, _ in points])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = 3.0 * gradients.with_gradient(levels.sign, derivative)(x)
    np.testing.assert_array_equal(y, np.where(x < 0, -3, 3))
    expected = [3.0 * value for _, value in points]
    np.testing.assert_allclose(tape.gradient(y, x), expected, rtol=1e-5)


def test_gradient_is_summed_over_broadcast_axes():
    x, s = tf.ones((4, 3, 2)), tf.constant([[2.0, 5.0]])
    with tf.GradientTape() as tape:
        tape.watch([x, s])
        product = gradients.with_gradient(lambda a, b: a * b, lambda a, b: b, lambda a, b: a)
        total = tf.reduce_sum(product(x, s))
    by_x, by_s = tape.gradient(total, [x, s])
    np.testing.assert_array_equal(by_x, np.broadcast_to([2.0, 5.0], (4, 3, 2)))
    np.testing.assert_array_equal(by_s, [[12.0, 12.0]])


def test_range_follows_the_data_and_holds_zero():
    quantizer = RangeQuantizer(momentum=0.5)
    quantizer.build((None, 3))
    assert not quantizer.ready()
    quantizer(np.array([[0.5, 1.0, 4.0]], np.float32), training=True)
    assert (float(quantizer.low.numpy()), float(quantizer.high.numpy())) == (0.0, 4.0)
    quantizer(np.array([[-1.0, 1.0, 2.0]], np.float32), training=True)
    assert (float(quantizer.low.numpy()), float(quantizer.high.numpy())) == (-0.5, 3.0)
    assert quantizer.ready()
    encoding = quantizer.encoding()
    zero = array(encoding.codes(np.zeros((1, 3), np.float32)))
    np.testing.assert_array_equal(zero, array(encoding.zero_point))
    assert array(encoding.real(zero)).tolist() == [[0.0, 0.0, 0.0]]


def test_fixed_range_stays():
    quantizer = RangeQuantizer(fixed=(0.0, 1.0))
    quantizer.build((None, 2))
    assert quantizer.ready()
    quantizer(np.array([[-5.0, 5.0]], np.float32), training=True)
    assert array(quantizer.encoding().zero_point) == -128
    assert array(quantizer.encoding().scale) == pytest.approx(1 / 255)


def test_range_gradient_stops_outside():
    quantizer = RangeQuantizer(fixed=(-1.0, 1.0))
    x = tf.constant([[-1.2, -0.9, 0.0, 0.9, 1.2]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = quantizer(x, training=True)
    assert tape.gradient(y, x).numpy().tolist() == [[0, 1, 1, 1, 0]]
    assert np.abs(y - np.clip(x, -1, 1)).max() <= 1 / 255 + 1e-6


def test_learned_step_gradient_is_the_papers():
    quantizer = StepQuantizer(4)
    quantizer.build((None, 6))
    quantizer.learned.set(0.5)
    x = tf.constant([[-1.0, 0.1, 0.35, 1.0, 7.4, 9.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = quantizer(x, training=True)
    by_x, by_step = tape.gradient(y, [x, quantizer.learned.factor.value])
    assert y.numpy().tolist() == [[0, 0, 0.5, 1.0, 7.5, 7.5]]
    assert by_x.numpy().tolist() == [[0, 1, 1, 1, 1, 0]]
    expected = (0 - 0.2) + (1 - 0.7) + (2 - 2) + (15 - 14.8) + 15
    assert 0.5 * float(by_step) == pytest.approx(expected / np.sqrt(6 * 15), rel=1e-5)


def test_learned_step_starts_from_the_first_batch(rng):
    quantizer = StepQuantizer(4)
    x = rng.normal(0, 1, (64, 32)).astype(np.float32)
    quantizer(x, training=True)
    expected = 2 * np.maximum(x, 0).mean() / np.sqrt(15)
    assert float(quantizer.learned.value()) == pytest.approx(expected, rel=1e-5)
    quantizer(10 * x, training=True)
    assert float(quantizer.learned.value()) == pytest.approx(expected, rel=1e-5)


def test_sign_quantizer_has_scale_one():
    encoding = SignQuantizer().encoding()
    assert (float(encoding.scale), float(encoding.zero_point)) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("name", "role", "hint"),
    [
        ("tenary", "weights", "ternary"),
        ("uint8", "activations", "uint4"),
        ("int4", "activations", ""),
    ],
)
def test_unknown_method_names_its_neighbours(name, role, hint):
    with pytest.raises(TinyqError, match=f"no method '{name}' for {role}") as caught:
        find_method(name, role)
    assert hint in str(caught.value)


def test_methods_are_filed_under_their_names():
    assert {"int8", "int4", "ternary", "binary", "uint4"} <= set(METHODS)
    assert all(name == method.name for name, method in METHODS.items())
