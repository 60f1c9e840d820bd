"""Formulas of the newer methods, each against its paper's, written out in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy import optimize

from tinyq.quantizers import find_activations, find_weights
from tinyq.quantizers.choices import ChoiceQuantizer
from tinyq.quantizers.mappings import _noisy_loss
from tinyq.quantizers.parts.levels import Truncated
from tinyq.quantizers.parts.slopes import soft_step, soft_step_slope
from tinyq.quantizers.parts.steps import statistics_step
from tinyq.quantizers.parts.updates import clamp_to_quantile
from tinyq.quantizers.rotations import fit_rotations, part_length, rotate
from tinyq.quantizers.thresholds import climb_segments

SHAPE, AXES = (3, 3, 8, 6), (0, 1, 2)


def array(tensor):
    return np.asarray(tensor, np.float64)


def kernel_of(rng, spread=0.3):
    return rng.normal(0, spread, SHAPE).astype(np.float32)


def quantizer_of(name, shape=SHAPE, axes=AXES):
    quantizer = find_weights(name).build(axes)
    quantizer.build(shape)
    return quantizer


def differences(function, values, delta=1e-6):
    """Derivatives of a sum by each value."""
    found = np.zeros(values.shape)
    for place in np.ndindex(*values.shape):
        ahead, behind = values.copy(), values.copy()
        ahead[place] += delta
        behind[place] -= delta
        found[place] = (function(ahead) - function(behind)) / (2 * delta)
    return found


@pytest.mark.parametrize("softness", [0.02, 0.1, 0.2, 0.35, 0.5])
def test_soft_steps_are_hyperbolic_tangents(softness):
    """Gong et al., eq. 4 to 7, with steps of width 1: s = 1 / tanh(k / 2)."""
    x = np.linspace(-3.2, 3.1, 400)
    k = np.log(2 / softness - 1)
    m = np.floor(x) + 0.5
    phi = np.tanh(k * (x - m)) / np.tanh(k / 2)
    assert 1 - np.tanh(k / 2) == pytest.approx(softness)
    np.testing.assert_allclose(
        array(soft_step(tf.constant(x), tf.constant(softness, tf.float64))),
        np.floor(x) + (phi + 1) / 2,
    )
    slope = (np.tanh(k * (x + 1e-6 - m)) - np.tanh(k * (x - 1e-6 - m))) / (4e-6 * np.tanh(k / 2))
    np.testing.assert_allclose(
        array(soft_step_slope(tf.constant(x), tf.constant(softness, tf.float64))), slope, rtol=1e-5
    )


def test_the_softer_the_step_the_more_it_is_a_line():
    x = tf.constant(np.linspace(-2.0, 2.0, 101))
    errors = [
        np.abs(array(soft_step(x, tf.constant(a, tf.float64))) - array(x)).max()
        for a in (0.02, 0.1, 0.5)
    ]
    assert errors == sorted(errors, reverse=True)


def test_step_and_softness_of_weights_train(rng):
    weights = kernel_of(rng)
    quantizer = quantizer_of("dsq4")
    quantizer(weights)
    upstream = rng.normal(0, 1, SHAPE)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(quantizer(weights) * tf.constant(upstream, tf.float32))
    by_factor, by_softness = tape.gradient(
        total, [quantizer.unit.factor.value, quantizer.softness.value]
    )
    step, low, high = float(array(quantizer.unit.value()).max()), -8, 7
    inside = (weights / step >= low) & (weights / step <= high)

    def soft(width, softness):
        v = np.clip(weights.astype(np.float64) / width, low, high)
        k = np.log(2 / softness - 1)
        phi = np.floor(v) + 0.5 + np.tanh(k * (v - np.floor(v) - 0.5)) / (2 * np.tanh(k / 2))
        return width * np.where(inside, phi, v)

    factor = 1 / np.sqrt(weights.size * high)
    delta = 1e-7
    by_width = (soft(step + delta, 0.2) - soft(step - delta, 0.2)) / (2 * delta)
    wanted = factor * (by_width * upstream).sum() / step
    assert float(array(by_factor).sum()) == pytest.approx(wanted, rel=1e-3)
    by_soft = (soft(step, 0.2 + delta) - soft(step, 0.2 - delta)) / (2 * delta)
    assert float(by_softness) == pytest.approx(factor * (by_soft * upstream).sum(), rel=1e-3)


def test_thresholds_have_the_slopes_of_a_broken_line(rng):
    """Liu et al. 2022, eq. 7 to 9: the line goes through the ends of all segments."""
    lengths, step = rng.uniform(0.2, 1.5, 7), 0.6
    x, upstream = rng.uniform(-0.5, 8.0, 200), rng.normal(0, 1, 200)

    def line(segments, points=x):
        ends = np.concatenate([[0.0], np.cumsum(segments)])
        return np.interp(points, ends, step * np.arange(8))

    tensors = [tf.constant(v, tf.float32) for v in (x, lengths, step)]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        y = climb_segments(*tensors)
        total = tf.reduce_sum(y * tf.constant(upstream, tf.float32))
    by_x, by_lengths, by_step = (array(g) for g in tape.gradient(total, tensors))
    ends = np.cumsum(lengths)
    codes = (x[:, None] >= ends - lengths / 2).sum(axis=1)
    np.testing.assert_allclose(array(y), codes * step, rtol=1e-6)
    slopes = (line(lengths, x + 1e-7) - line(lengths, x - 1e-7)) / 2e-7
    np.testing.assert_allclose(by_x, slopes * upstream, rtol=1e-4, atol=1e-5)
    wanted = differences(lambda a: (line(a) * upstream).sum(), lengths)
    np.testing.assert_allclose(by_lengths, wanted, rtol=1e-3, atol=1e-3)
    assert float(by_step) == pytest.approx((codes * upstream).sum(), rel=1e-4)


def test_equal_segments_are_equal_steps(rng):
    x = tf.constant(rng.uniform(-1.0, 6.0, 300), tf.float32)
    y = climb_segments(x, tf.fill((7,), 0.5), tf.constant(0.5))
    plain = 0.5 * np.clip(np.floor(array(x) / 0.5 + 0.5), 0, 7)
    np.testing.assert_allclose(array(y), plain)


def test_segments_train_apart(rng):
    quantizer = find_activations("n2uq(bits=3)").build(name="quantizer")
    x = tf.constant(np.abs(rng.normal(0, 1, (256, 4))).astype(np.float32))
    quantizer(x, training=True)
    optimizer = tf.keras.optimizers.Adam(0.02)
    errors = []
    for _ in range(60):
        with tf.GradientTape() as tape:
            error = tf.reduce_mean(tf.square(quantizer(x, training=True) - tf.sqrt(x)))
        variables = [v.value for v in quantizer.trainable_variables]
        optimizer.apply(tape.gradient(error, variables), variables)
        errors.append(float(error))
    lengths = array(quantizer.segments.value())
    assert errors[-1] < 0.5 * errors[0] and lengths.min() > 0
    assert lengths[0] < lengths[-1], "steps of a root are narrow at first"


def test_rotations_bring_weights_near_to_signs(rng):
    weights = rng.normal(0, 1, (12, 6, 8))
    first, second = np.eye(6), np.eye(8)

    def error(left, right):
        turned = rotate(weights, left, right)
        return np.square(np.where(turned < 0, -1, 1) - turned).sum()

    errors = [error(first, second)]
    for _ in range(6):
        first, second = fit_rotations(weights, first, second, turns=1)
        np.testing.assert_allclose(first.T @ first, np.eye(6), atol=1e-12)
        np.testing.assert_allclose(second.T @ second, np.eye(8), atol=1e-12)
        errors.append(error(first, second))
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.97 * errors[0]


@pytest.mark.parametrize("length", [1, 2, 7, 9, 72, 576, 97])
def test_a_kernel_is_as_square_as_can_be(length):
    rows, columns = part_length(length)
    assert rows * columns == length and rows <= columns


def test_turned_weights_are_what_leaves(rng):
    weights = tf.Variable(kernel_of(rng))
    quantizer = quantizer_of("rbnn")
    before = array(quantizer.split(weights)[0])
    quantizer.advance(weights, 0.5)
    codes, _ = quantizer.split(weights)
    ready = array(weights) - array(weights).mean(axis=AXES)
    ready /= np.sqrt(np.square(ready).mean(axis=AXES))
    left, right = array(quantizer.first), array(quantizer.second)
    for channel in range(SHAPE[-1]):
        matrix = ready[..., channel].reshape(len(left), len(right))
        turned = (left.T @ matrix @ right).reshape(SHAPE[:-1])
        clear = np.abs(turned) > 1e-4
        signs = array(codes)[..., channel]
        np.testing.assert_array_equal(np.sign(turned)[clear], signs[clear])
    assert (array(codes) != before).any()


def test_a_mapping_begins_as_plain_signs(rng):
    weights = kernel_of(rng)
    mapped, plain = quantizer_of("lns"), quantizer_of("bwn")
    for one, other in zip(mapped.split(weights), plain.split(weights), strict=True):
        np.testing.assert_array_equal(array(one), array(other))
    mapped.outer.assign(rng.normal(0, 1, mapped.outer.shape))
    codes, scale = mapped.split(weights)
    assert 0.05 < np.mean(array(codes) != array(plain.split(weights)[0])) < 0.6
    np.testing.assert_array_equal(array(mapped(weights)), array(codes * scale))
    unit = weights / np.abs(weights).mean(axis=AXES)
    group = unit[..., 2, 3].reshape(9)
    wanted = group + np.tanh(group @ array(mapped.inner)) @ array(mapped.outer)
    np.testing.assert_array_equal(np.sign(wanted), array(codes)[..., 2, 3].reshape(9))


def test_noisy_labels_are_without_bias(rng):
    """Over flips of a share r of the labels the mean of the loss is that of right labels."""
    values = tf.constant(rng.normal(0, 1, 200), tf.float64)
    labels, noise = tf.constant(rng.choice([-1.0, 1.0], 200)), 0.2
    right, wrong = (float(_noisy_loss(values, sign * labels, noise)) for sign in (1, -1))
    clean = float(tf.reduce_mean(tf.math.softplus(-values * labels)))
    assert (1 - noise) * right + noise * wrong == pytest.approx(clean)


@pytest.mark.parametrize("name", ["slb1", "slb(bits=2)", "slb4"])
def test_a_search_ends_at_the_likeliest_level(name, rng):
    weights = kernel_of(rng)
    quantizer = quantizer_of(name)
    assert isinstance(quantizer, ChoiceQuantizer)
    levels = np.array(quantizer.parts.levels.codes, np.float64)
    quantizer(weights)
    step = float(array(quantizer.width).max())
    quantizer.logits.assign(rng.normal(0, 1, quantizer.logits.shape))
    logits = array(quantizer.logits)
    for progress in (0.0, 0.5, 1.0):
        quantizer.advance(tf.Variable(weights), progress)
        heat = 0.01**progress
        shares = np.exp(logits / heat - (logits / heat).max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        wanted = step * (shares * levels).sum(axis=-1)
        largest = step * levels[logits.argmax(axis=-1)]
        wanted = largest if progress == 1.0 else wanted
        with tf.GradientTape() as tape:
            found = quantizer(weights)
            total = tf.reduce_sum(found)
        np.testing.assert_allclose(array(found), wanted, atol=1e-4)
        np.testing.assert_allclose(array(quantizer.quantized(weights)), largest, rtol=1e-6)
        if progress == 0.0:
            slopes = step * shares * (levels - (shares * levels).sum(axis=-1, keepdims=True))
            by_logits = tape.gradient(total, quantizer.logits.value)
            np.testing.assert_allclose(array(by_logits), slopes, atol=1e-5)


def test_sigmoids_end_as_a_stairway(rng):
    weights = kernel_of(rng)
    quantizer = quantizer_of("quantization_networks3")
    quantizer(weights)
    codes, scale = (array(part) for part in quantizer.split(weights))
    width = float(array(quantizer.width.value()).max())
    borders = array(quantizer.borders)
    np.testing.assert_array_equal(
        codes, ((weights / np.float32(width))[..., None] >= borders).sum(axis=-1) - 3
    )
    far = np.abs((weights / width)[..., None] - borders).min(axis=-1) > 0.1
    quantizer.setting.assign(99.0)  # one stage before the end
    np.testing.assert_allclose(array(quantizer(weights))[far], (codes * scale)[far], atol=1e-3)
    quantizer.advance(tf.Variable(weights), 1.0)
    np.testing.assert_allclose(array(quantizer(weights)), codes * scale, atol=1e-6)


def test_borders_lie_between_centers_of_means(rng):
    weights = kernel_of(rng)
    quantizer = quantizer_of("quantization_networks2")
    codes, _ = quantizer.split(weights)
    quantizer(weights)
    width = float(array(quantizer.width.value()).max())
    centers = [(weights / width)[array(codes) == code].mean() for code in (-1, 0, 1)]
    middles = (np.array(centers[1:]) + np.array(centers[:-1])) / 2
    np.testing.assert_allclose(array(quantizer.borders), middles, atol=0.02)


@pytest.mark.parametrize("name", ["raiko2014", "raiko2014_straight"])
def test_random_signs_have_the_mean_of_a_sigmoid(name, rng):
    quantizer = find_activations(name).build(name="quantizer")
    x = np.linspace(-3, 3, 13).astype(np.float32)
    many = np.tile(x, (20_000, 1))
    drawn = array(quantizer(many, training=True))
    assert set(np.unique(drawn)) == {-1.0, 1.0}
    np.testing.assert_allclose(drawn.mean(axis=0), 2 / (1 + np.exp(-x)) - 1, atol=0.03)
    np.testing.assert_array_equal(array(quantizer(x)), np.where(x < 0, -1, 1))


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_rescaled_weights_keep_the_variance_of_sums(bits, rng):
    quantized = array(quantizer_of(f"sat(bits={bits})").quantized(kernel_of(rng)))
    assert quantized.var() == pytest.approx(1 / SHAPE[-1], rel=1e-4)


@pytest.mark.parametrize("bits", range(2, 7))
def test_fewer_bits_are_the_first_of_more(bits, rng):
    weights = rng.uniform(-1.0, 1.0, 500)
    few, more = (Truncated(k) for k in (bits, bits + 1))
    short = (array(few.encode(weights, 2.0**-bits)) + few.hi) / 2
    long = (array(more.encode(weights, 2.0 ** -(bits + 1))) + more.hi) / 2
    np.testing.assert_array_equal(short, np.floor(long / 2))
    whole = (2 * np.clip(np.floor(2**bits * (weights + 1) / 2), 0, 2**bits - 1) + 1) / 2**bits - 1

    np.testing.assert_allclose(array(few.encode(weights, 2.0**-bits)) * 2.0**-bits, whole)


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("draw", ["normal", "laplace", "logistic", "uniform"])
def test_two_moments_tell_the_best_ends(bits, draw, rng):
    bounds = {"uniform": {"low": -1.0, "high": 1.0}}
    weights = getattr(rng, draw)(size=20_000, **bounds.get(draw, {}))
    count = 2**bits - 1

    def error(end):
        codes = 2 * np.clip(np.floor((weights / end * count + count) / 2 + 0.5), 0, count) - count
        return np.square(codes * end / count - weights).sum()

    best = optimize.minimize_scalar(error, bounds=(0.2, np.abs(weights).max()), method="bounded")
    tensor = tf.constant(weights, tf.float32)
    end = float(array(statistics_step(bits)(tensor, (0,)))[0]) * count
    assert error(end) < 1.15 * best.fun


def test_adaptive_sets_lie_around_the_mean(rng):
    weights = kernel_of(rng) + rng.normal(0, 0.2, SHAPE[-1]).astype(np.float32)
    found = array(quantizer_of("adabin").quantized(weights))
    center, spread = weights.mean(axis=AXES), weights.std(axis=AXES)
    wanted = center + np.where(weights < center, -spread, spread)
    np.testing.assert_allclose(found, wanted, atol=0.02 * np.abs(wanted).max())


def test_the_outermost_weights_are_brought_back(rng):
    weights = rng.laplace(0, 0.3, 100_000)
    for share in (0.85, 0.95, 0.99):
        kept = array(clamp_to_quantile(tf.constant(weights), None, tf.constant(share, tf.float64)))
        assert np.mean(weights < kept.max()) == pytest.approx(share, abs=0.003)
        np.testing.assert_allclose(kept, np.clip(weights, kept.min(), kept.max()))


def test_absmean_ternary_weights(rng):
    weights = kernel_of(rng)
    mean = np.abs(weights).mean()
    wanted = mean * np.clip(np.round(weights / mean), -1, 1)
    np.testing.assert_allclose(
        array(quantizer_of("bitnet_b158").quantized(weights)), wanted, rtol=1e-5
    )


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_ends_of_n2uq(bits, rng):
    weights = kernel_of(rng)
    found = array(quantizer_of(f"n2uq(bits={bits})").quantized(weights))
    ends = (2**bits - 1) / 2 ** (bits - 1) * np.abs(weights).mean(axis=AXES)
    place = np.clip(weights / ends, -1, 1)
    count = 2**bits - 1
    wanted = ends * (2 * np.floor((place + 1) / 2 * count + 0.5) / count - 1)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_tangents_come_before_signs(rng):
    weights = kernel_of(rng)
    quantizer = quantizer_of("bitwise_nn")
    for progress, wanted in ((0.2, np.tanh(weights)), (0.5, np.where(weights < 0, -1, 1))):
        quantizer.advance(tf.Variable(weights), progress)
        np.testing.assert_allclose(array(quantizer(weights)), wanted, rtol=1e-5)
    activations = find_activations("bitwise_nn").build(name="quantizer")
    x = rng.normal(0, 1, (8, 3)).astype(np.float32)
    activations(x, training=True)
    for progress, wanted in ((0.2, np.tanh(x)), (0.5, np.where(x < 0, -1, 1))):
        activations.advance(progress)
        np.testing.assert_allclose(array(activations(x, training=True)), wanted, rtol=1e-5)
