"""The formulas of the methods against plain NumPy, number by number of the survey's equations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf

import tinyq
from tests.small_models import L, functional, scramble
from tinyq.numerics.formats import find_format
from tinyq.quantizers import METHODS, gradients, levels, penalties, scales, steps
from tinyq.quantizers.learned_activations import ClipQuantizer
from tinyq.quantizers.parts.rounding import draw_nearest, draw_sign, draw_ternary
from tinyq.quantizers.signs import ShiftedSignQuantizer

ALL = (0,)


def column(values):
    return np.asarray(values, np.float32)[:, None]


def array(tensor):
    return np.asarray(tensor)


def test_eq_8_to_10_random_codes_have_the_mean_of_the_weights(rng):
    noise = rng.random((200_000, 5)).astype(np.float32)
    x = np.array([-1.5, -0.4, 0.0, 0.3, 0.9], np.float32)
    for draw, mean in (
        (draw_sign, np.clip(x, -1, 1)),
        (draw_ternary, np.clip(x, -1, 1)),
        (draw_nearest, x),
    ):
        codes = array(draw(np.broadcast_to(x, noise.shape), noise))
        np.testing.assert_array_equal(codes, np.round(codes))
        np.testing.assert_allclose(codes.mean(axis=0), mean, atol=0.02)
    codes = array(draw_ternary(np.broadcast_to(x, noise.shape), noise))
    assert set(np.unique(codes)) == {-1, 0, 1}
    assert not codes[:, 2].any(), "a weight of 0 is 0 with certainty"
    assert codes[:, 3].min() == 0 and codes[:, 1].max() == 0, "no code has the other sign"


def test_eq_11_powers_are_bounded_and_zero_stays(rng):
    count, step = 4, 0.25
    weights = np.concatenate([[0.0], 2.0 ** rng.uniform(-6, 4, 400) * rng.choice([-1, 1], 400)])
    codes = array(levels.powers_of_two(count, log=True).encode(weights.astype(np.float32), step))
    for weight, code in zip(weights, codes, strict=True):
        exponent = np.round(np.log2(abs(weight) / step)) if weight else -1.0
        wanted = np.sign(weight) * 2.0 ** min(exponent, count - 1) if exponent >= 0 else 0.0
        assert code == wanted, weight


def test_incremental_powers_round_to_the_next_number(rng):
    level_set = levels.powers_of_two(3)
    weights = rng.normal(0, 3, 500).astype(np.float32)
    choices = np.array([-4, -2, -1, 0, 1, 2, 4])
    nearest = choices[np.abs(weights[:, None] - choices).argmin(axis=1)]
    np.testing.assert_array_equal(array(level_set.encode(weights, 1.0)), nearest)


@pytest.mark.parametrize("largest", [0.3, 0.74, 0.76, 1.0, 1.49, 1.51, 3.0])
def test_incremental_window_is_the_papers(largest):
    weights = column([largest, -0.1 * largest, 0.0])
    smallest = float(array(steps.smallest_power(3)(weights, ALL))[0, 0])
    assert smallest == 2.0 ** (np.floor(np.log2(4 * largest / 3)) - 2)


def test_additive_powers_are_the_papers():
    level_set = levels.additive_powers(terms=2, bits=2)
    first, second = (0, 1, 2**-2, 2**-4), (0, 2**-1, 2**-3, 2**-5)
    wanted = sorted({32 * (a + b) for a, b in itertools.product(first, second)} - {0})
    assert level_set.magnitudes == tuple(wanted) and len(wanted) == 15


@pytest.mark.parametrize("seed", range(6))
def test_eq_17_best_threshold_against_brute_force(seed):
    generator = np.random.default_rng(seed)
    weights = column(generator.normal(0, 0.4, 40) * generator.uniform(0.2, 2, 40))
    best = min(
        ((weights - scale * codes) ** 2).sum()
        for kept in range(1, 41)
        for codes in [
            np.sign(weights) * (np.abs(weights) >= np.sort(np.abs(weights.ravel()))[-kept])
        ]
        for scale in [np.abs(weights[codes != 0]).mean()]
    )
    unit = array(steps.best_ternary_threshold(weights, ALL))
    codes = array(levels.Ternary().encode(weights, unit))
    scale = array(scales.kept_mean_scale(weights, codes, unit, ALL))
    assert ((weights - scale * codes) ** 2).sum() == pytest.approx(best, rel=1e-5)


def test_eq_17_per_channel_is_the_same_as_alone(rng):
    kernel = rng.normal(0, 1, (3, 3, 4, 5)).astype(np.float32)
    together = array(steps.best_ternary_threshold(kernel, (0, 1, 2)))
    assert together.shape == (1, 1, 1, 5)
    for channel in range(5):
        alone = steps.best_ternary_threshold(column(kernel[..., channel].ravel()), ALL)
        assert together[0, 0, 0, channel] == pytest.approx(float(array(alone)[0, 0]))


def test_eq_18_is_near_the_best_threshold(rng):
    for draw, ratio in ((rng.normal(0, 1, 40_000), 0.77), (rng.uniform(-1, 1, 40_000), 0.667)):
        weights = column(draw)
        best = float(array(steps.best_ternary_threshold(weights, ALL))[0, 0])
        assert best / np.abs(weights).mean() == pytest.approx(ratio, abs=0.04)
        rule = float(array(steps.ternary_threshold(weights, ALL))[0, 0])
        assert rule == pytest.approx(0.7 * np.abs(weights).mean(), rel=1e-5)


def ternary(weights, high, low, threshold):
    return np.where(weights > threshold, high, np.where(weights < -threshold, -low, 0.0))


def test_eq_24_scale_gradients_against_differences(rng):
    weights, target = rng.normal(0, 1, 50), rng.normal(0, 1, 50)
    high, low, threshold, delta = 0.8, 1.3, 0.4, 1e-5

    def loss(a, b):
        return 0.5 * ((ternary(weights, a, b, threshold) - target) ** 2).sum()

    upstream = ternary(weights, high, low, threshold) - target
    codes = ternary(weights, 1.0, 1.0, threshold)
    by_high, by_low = (array(slope) for slope in gradients.ternary_scale_slopes(codes))
    numeric_high = (loss(high + delta, low) - loss(high - delta, low)) / (2 * delta)
    numeric_low = (loss(high, low + delta) - loss(high, low - delta)) / (2 * delta)
    assert (upstream * by_high).sum() == pytest.approx(numeric_high, rel=1e-5)
    assert (upstream * by_low).sum() == pytest.approx(numeric_low, rel=1e-5)
    by_weight = array(gradients.ternary_weight_slope(codes, np.float64(high), np.float64(low)))
    np.testing.assert_allclose(
        by_weight, np.where(codes > 0, high, np.where(codes < 0, low, 1)), 1e-6
    )


def test_eq_25_and_sparsity(rng):
    weights = column(rng.normal(0, 1, 200))
    unit = array(steps.share_of_max(0.05)(weights, ALL))
    assert unit[0, 0] == pytest.approx(0.05 * np.abs(weights).max())
    for zeros in (0.0, 0.5, 0.9):
        codes = levels.Ternary().encode(weights, steps.sparsity(zeros)(weights, ALL))
        assert (array(codes) == 0).mean() == pytest.approx(zeros, abs=0.01)


def test_eq_26_and_27_use_magnitudes(rng):
    weights = column(rng.normal(0, 1, 300))
    alpha = np.abs(weights).mean() + 0.05 * np.abs(weights).max()
    quantizer = METHODS["elq2"].weights.build(ALL)
    quantizer.build(weights.shape)
    expected = ternary(weights, alpha, alpha, 0.5 * alpha)
    np.testing.assert_allclose(array(quantizer.quantized(weights)), expected, rtol=1e-5)


def binarize(values):
    return np.where(values < 0, -1.0, 1.0)


def test_eq_29_delta_rule_with_the_slopes_of_the_estimators(rng):
    """dw_kj = rate * delta_j * y_k, delta_j = h'(x_j) * sum_i delta_i w_ji, w being quantized."""
    model = functional((5,), lambda x: L.Dense(3, name="last")(L.Dense(6, name="hidden")(x)))
    scramble(model, rng)
    recipe = {"first": {"weights": "bnn"}, "last": "bnn", "input": {"range": [-4.0, 3.96875]}}
    model = tinyq.quantize(model, recipe)
    hidden, last = model.get_layer("hidden"), model.get_layer("last")
    x = np.round(rng.normal(0, 1, (4, 5)) * 32).astype(np.float32) / 32  # exact in 8 bits
    upstream = rng.normal(0, 1, (4, 3)).astype(np.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(x, training=True) * upstream)
    by_hidden, by_last = tape.gradient(loss, [hidden.kernel.value, last.kernel.value])

    def clipped(values):
        return (np.abs(values) <= 1).astype(np.float64)

    first, second = array(hidden.kernel), array(last.kernel)
    sums = x @ binarize(first) + array(hidden.bias)
    code = last.encoding()
    scores = (binarize(sums) @ binarize(second) + array(last.bias)) / float(code.scale)
    reached = scores + float(code.zero_point)
    outer = upstream * ((reached >= -128) & (reached <= 127))
    inner = outer @ binarize(second).T * clipped(sums)
    assert 0 < clipped(sums).mean() < 1
    np.testing.assert_allclose(by_last, binarize(sums).T @ outer * clipped(second), atol=1e-5)
    np.testing.assert_allclose(by_hidden, x.T @ inner * clipped(first), atol=1e-5)


def test_eq_30_areas_between_sign_and_approximation():
    x = np.linspace(-1, 1, 200_001, dtype=np.float64)
    for slope, area in (
        (gradients.clipped_identity, 1),
        (gradients.quadratic, 2 / 3),
        (gradients.cubic, 0.5),
    ):
        curve = np.cumsum(array(slope(tf.constant(x)))) * (x[1] - x[0]) - 1
        found = np.abs(np.sign(x) - curve).sum() * (x[1] - x[0])
        assert found == pytest.approx(area, abs=1e-3)


def test_eq_36_sharpness_ends_at_ten():
    assert gradients.sharpen(0.0) == pytest.approx(0.1)
    assert gradients.sharpen(0.5) == pytest.approx(1.0)
    assert gradients.sharpen(1.0) == pytest.approx(10.0)


def test_eq_37_steps_have_the_least_error():
    from tinyq.quantizers.combinations import GAUSSIAN_STEPS

    x = np.linspace(1e-4, 8, 40_000)
    density = np.exp(-(x**2) / 2)
    for bits, step in GAUSSIAN_STEPS.items():
        top = 2**bits - 1

        def error(step, top=top):
            return (density * (x - step * np.clip(np.floor(x / step + 0.5), 1, top)) ** 2).sum()

        assert error(step) < min(error(0.99 * step), error(1.01 * step))


def test_eq_40_and_41_log_tail_is_continuous():
    highest = 1.6
    x = tf.constant([-1.0, 0.5, highest, highest + 1e-4, highest + 1.0, 9.0])
    slopes = array(gradients.log_tail(x, highest))
    np.testing.assert_allclose(slopes, [0, 1, 1, 1, 0.5, 1 / (9.0 - 0.6)], rtol=2e-4)
    grid = np.linspace(highest, 6, 200_001)
    integral = array(gradients.log_tail(tf.constant(grid), highest)).mean() * (6 - highest)
    assert integral == pytest.approx(np.log(6 - (highest - 1)), rel=1e-4)


def test_eq_42_to_44_shift():
    quantizer = ShiftedSignQuantizer(gradients.unit_box, center=0.5)
    quantizer.build((None, 1))
    quantizer.learned.assign(0.8)
    x = tf.constant(np.linspace(-2, 2, 401, dtype=np.float32)[:, None] + 1e-4)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = quantizer(x, training=True)
    by_x, by_shift = tape.gradient(y, [x, quantizer.learned.value])
    clipped = np.clip(array(x) + 0.8, 0, 1)
    np.testing.assert_array_equal(array(y), 2.0 * (clipped >= 0.5) - 1)
    through = ((array(x) + 0.8 >= 0) & (array(x) + 0.8 <= 1)).astype(np.float32)
    np.testing.assert_array_equal(array(by_x), through)
    assert float(by_shift) == through.sum()


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_eq_45_to_47_clipping_level(bits, rng):
    quantizer = ClipQuantizer(bits)
    quantizer.build((None, 1))
    quantizer.learned.set(1.7)
    x = tf.constant(rng.uniform(-1, 3, (500, 1)).astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = quantizer(x, training=True)
    by_x, by_level = tape.gradient(y, [x, quantizer.learned.factor.value])
    values, top = array(x), 2**bits - 1
    clipped = 0.5 * (np.abs(values) - np.abs(values - 1.7) + 1.7)
    np.testing.assert_allclose(y, np.round(clipped * top / 1.7) * 1.7 / top, atol=1e-5)
    assert len(np.unique(np.round(array(y), 5))) == 2**bits
    np.testing.assert_array_equal(array(by_x), (values >= 0) & (values < 1.7))
    assert 1.7 * float(by_level) == pytest.approx((values >= 1.7).sum(), rel=1e-5)


def test_eq_50_pulls_weights_to_the_signs(rng):
    """The inner sums run over rows and columns; the sign is right for weights within -1 .. 1."""
    weights = rng.uniform(-1, 1, (4, 3))
    total = sum(1 - weights[i, j] ** 2 for i in range(4) for j in range(3))
    assert float(penalties.far_from_one(weights, None, None)) == pytest.approx(total)
    tensor = tf.constant(weights)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        loss = penalties.far_from_one(tensor, None, None)
    np.testing.assert_allclose(tape.gradient(loss, tensor), -2 * weights)
    parts = METHODS["tang2017"].weights
    assert parts.procedure.penalty is penalties.far_from_one
    assert float(parts.procedure.update(tf.constant([1.3]), None, None)[0]) == 1.0


def test_eq_51_is_the_distance_from_three_levels(rng):
    """The first two terms are |w + mu| and |w - mu|: with |w| the first would never count."""
    weights, slope = rng.normal(0, 1, 200), np.tan(3 * np.pi / 8)
    middle = np.abs(weights).mean()
    distances = [np.abs(weights + middle), np.abs(weights - middle), slope * np.abs(weights)]
    nearest = np.argmin(distances, axis=0)
    assert set(nearest) == {0, 1, 2}
    found = penalties.binary_or_ternary(slope)(tf.constant(weights), None, None)
    assert float(found) == pytest.approx(np.min(distances, axis=0).sum())


def test_eq_52_and_53_weigh_the_distance_from_the_own_level(rng):
    weights, quantized = rng.normal(0, 1, (20, 3)), rng.choice([-0.5, 0.0, 1.5], (20, 3))
    plain = sum(abs(w - q) for w, q in zip(weights.flat, quantized.flat, strict=True))
    weighted = sum(abs(w - q) * abs(w) for w, q in zip(weights.flat, quantized.flat, strict=True))
    tensors = tf.constant(weights), tf.constant(quantized), None
    assert float(penalties.distance(*tensors)) == pytest.approx(plain / (1.5 * 60))
    found = float(penalties.weighted_distance(*tensors))
    assert found == pytest.approx(weighted / (1.5**2 * 60))


def test_periodic_term_vanishes_at_multiples_of_the_step():
    step = tf.constant(0.25)
    on, beside = 0.25 * np.arange(-7.0, 8.0), 0.25 * (np.arange(-7.0, 7.0) + 0.5)
    assert float(penalties.periodic(tf.constant(on, tf.float32), None, step)) < 1e-9
    found = float(penalties.periodic(tf.constant(beside, tf.float32), None, step))
    assert found == pytest.approx(14.0, rel=1e-5)


def words_of(name, codes):
    """Packed words of one row, as the C code reads them."""
    return find_format(name).pack(np.asarray(codes)).view("<u4").tolist()


def test_eq_55_powers_of_two_shift_the_other_operand(rng):
    """The fields of p4 are a sign and how far to shift, 0 for a weight of 0."""
    entry = find_format("p4")
    w, x = rng.choice(np.array(entry.levels), 30), rng.integers(-128, 128, 30)
    packed = entry.pack(w)
    fields = np.stack([packed & 15, packed >> 4], -1).reshape(-1)[:30].astype(int)
    shifted = [
        (-1 if field & 8 else 1) * (int(value) << (field & 7) >> 1 if field & 7 else 0)
        for field, value in zip(fields, x, strict=True)
    ]
    assert sum(shifted) == (w * x).sum()


@pytest.mark.parametrize("name", ["u2", "s2", "s3"])
def test_eq_58_planes_of_packed_words(name, rng):
    """Unsigned codes are sums of x_n 2**n; in two's complement the highest plane is negative."""
    entry = find_format(name)
    codes, bits = rng.integers(entry.lo, entry.hi + 1, 70), entry.bits
    planes = np.array(words_of(name, codes)).reshape(-1, bits)
    weights = [2**n for n in range(bits)]
    if entry.lo < 0:
        weights[-1] = -weights[-1]
    found = [
        sum(
            weight * (int(plane) >> at % 32 & 1) for weight, plane in zip(weights, row, strict=True)
        )
        for at, row in zip(range(70), np.repeat(planes, 32, axis=0), strict=False)
    ]
    assert found == codes.tolist()


def test_eq_59_on_the_packed_planes_of_both_operands(rng):
    w, x = rng.integers(-2, 2, 70), rng.integers(0, 4, 70)
    planes_w, planes_x = words_of("s2", w), words_of("u2", x)
    weights = (1, -2)  # the highest bit of two's complement counts negative
    total = sum(
        weights[m] * 2**n * (planes_w[word + m] & planes_x[word + n]).bit_count()
        for word in range(0, len(planes_x), 2)
        for m in range(2)
        for n in range(2)
    )
    assert total == (w * x).sum()


def test_eq_60_on_packed_signs(rng):
    """Padding bits are equal in both rows, so XOR alone needs no mask: n - 2 * differing bits."""
    w, x = rng.choice([-1, 1], 70), rng.choice([-1, 1], 70)
    rows = zip(words_of("b1", w), words_of("b1", x), strict=True)
    differ = sum((a ^ b).bit_count() for a, b in rows)
    assert 70 - 2 * differ == (w * x).sum()


def test_eq_61_on_packed_bases(rng):
    numbers, signs = (11, -5, 3), rng.choice([-1, 1], (3, 70))
    entry = find_format("d3").with_basis((numbers,))
    codes = np.array(numbers) @ signs
    planes = entry.pack(codes[None]).view("<u4")[0].reshape(-1, 3).T.tolist()
    x = rng.choice([-1, 1], 70)
    words = words_of("b1", x)
    counts = [
        sum((a ^ b).bit_count() for a, b in zip(plane, words, strict=True)) for plane in planes
    ]
    total = sum(v * (70 - 2 * count) for v, count in zip(numbers, counts, strict=True))
    assert total == (codes * x).sum()
