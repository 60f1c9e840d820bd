"""Levels that are found from the weights, and what trains them, against plain NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import norm

from tinyq.quantizers import METHODS, clusters, penalties, tables
from tinyq.quantizers.mixtures import mixture_surprise
from tinyq.quantizers.parts.preparation import prune
from tinyq.quantizers.parts.updates import grow_cubically

ALL = (0, 1)


def array(tensor):
    return np.asarray(tensor)


def quantizer_of(name, shape=(40, 6)):
    quantizer = METHODS[name].weights.build(ALL)
    quantizer.build(shape)
    return quantizer


def squared_error(values, levels):
    return np.square(values[:, None] - levels).min(axis=1).sum()


@pytest.mark.parametrize("count", [4, 16])
def test_means_are_the_means_of_their_clusters(count, rng):
    values = rng.normal(0, 1, 2000)
    levels = clusters.find_means(values, count).levels
    own = np.abs(values[:, None] - levels).argmin(axis=1)
    for index in np.unique(own):
        assert levels[index] == pytest.approx(values[own == index].mean(), abs=2e-2)
    first = clusters.spread_evenly(values, count)
    assert squared_error(values, levels) < 0.8 * squared_error(values, first)


def test_zero_is_a_level_of_pruned_weights(rng):
    values = rng.normal(0, 1, 500) * (rng.random(500) < 0.5)
    levels = clusters.find_means_beside_zero(values, 8).levels
    own = np.abs(values[:, None] - levels).argmin(axis=1)
    assert (levels[own[values == 0]] == 0).all() and len(np.unique(own)) == 8


@pytest.mark.parametrize("count", [2, 3, 4])
def test_eq_12_to_15_largest_weighted_entropy_against_brute_force(count, rng):
    importance = np.sort(np.square(rng.normal(0, 1, 13)))
    best = max(
        clusters.weighted_entropy(importance, np.array([0, *borders, 13]), 20)
        for borders in itertools.combinations(range(1, 13), count - 1)
    )
    ends = clusters.part_by_entropy(importance, count, 20)
    assert len(ends) == count + 1
    assert clusters.weighted_entropy(importance, ends, 20) == pytest.approx(best, rel=1e-12)


def test_entropy_levels_are_roots_of_mean_importance(rng):
    values = np.concatenate([-rng.random(7), rng.random(9)])
    levels = clusters.find_entropy_levels(values, 4).levels
    positive = np.sort(values[values >= 0])
    ends = clusters.part_by_entropy(np.square(positive), 2, len(values))
    wanted = [np.sqrt(np.square(positive[a:b]).mean()) for a, b in itertools.pairwise(ends)]
    np.testing.assert_allclose(levels[2:], wanted)


@pytest.mark.parametrize("count", [4, 8])
def test_subset_is_the_best_of_all(count, rng):
    magnitudes = np.abs(rng.normal(0, 1, 60))
    magnitudes = np.quantile(magnitudes, (np.arange(64) + 0.5) / 64)
    found = clusters.find_subset(magnitudes, count)
    chosen = np.round(found.levels / found.grain).astype(int)
    assert set(np.abs(chosen)) <= set(clusters.UNIVERSE) and len(clusters.UNIVERSE) == 15
    rest = rng.permutation(clusters.list_subsets(count // 2))[:30]
    for subset in rest:
        for scale in np.linspace(0.3, 1.2, 10) * magnitudes.max() / subset[-1]:
            error = squared_error(magnitudes, scale * subset)
            assert squared_error(magnitudes, found.levels) <= 1.1 * error


def test_two_regions_have_two_steps(rng):
    levels = clusters.find_two_regions(rng.normal(0, 0.2, 4000), 16).levels
    steps = np.diff(levels[levels >= 0])[:-1]
    assert len(np.unique(np.round(steps, 6))) == 2
    np.testing.assert_allclose(steps[:3], steps[0])
    np.testing.assert_allclose(steps[3:], steps[3])
    assert steps[3] > steps[0]


def test_powers_are_next_to_the_centers(rng):
    values = rng.normal(0, 1, 900)
    found = clusters.find_powers(values, 15)
    exponents = np.log2(np.abs(found.levels[found.levels != 0]) / found.grain)
    np.testing.assert_array_equal(exponents, np.round(exponents))
    assert exponents.min() >= 0 and exponents.max() <= 6
    centers = clusters.find_means(values, 15).levels
    np.testing.assert_array_equal(found.levels, np.sort(clusters.next_powers(centers, found.grain)))
    assert clusters.next_powers(np.array([0.76, 0.74, -0.2, 0.01]), 0.125).tolist() == [
        1.0, 0.5, -0.25, 0.0,
    ]  # fmt: skip


def test_density_follows_the_weights(rng):
    values = np.concatenate([rng.normal(-2, 0.05, 400), rng.normal(1, 0.05, 400)])
    levels = clusters.find_density_means(values, 2).levels
    np.testing.assert_allclose(levels, [-2, 1], atol=0.15)


def test_eq_22_to_24_through_the_quantizer(rng):
    weights = tf.Variable(rng.normal(0, 1, (40, 6)).astype(np.float32))
    quantizer = quantizer_of("ttq")
    quantizer(weights)
    quantizer.table.assign([-0.75, 0.0, 1.25])
    upstream = rng.normal(0, 1, (40, 6)).astype(np.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(quantizer(weights) * upstream)
    by_weights, by_level = tape.gradient(loss, [weights, quantizer.table.value])
    w = array(weights)
    above, below = w > 0.05 * np.abs(w).max(), w < -0.05 * np.abs(w).max()
    value = np.where(above, 1.25, np.where(below, -0.75, 0.0))
    np.testing.assert_allclose(array(quantizer.quantized(w)), value, atol=1.25 / 254)
    slope = np.where(above, 1.25, np.where(below, 0.75, 1.0))
    np.testing.assert_allclose(array(by_weights), slope * upstream, rtol=1e-6)
    # The table holds -Wn, so that the minus sign of eq. 24 is in the level itself.
    wanted = [upstream[below].sum(), 0.0, upstream[above].sum()]
    np.testing.assert_allclose(array(by_level), wanted, rtol=1e-4, atol=1e-6)


def test_ternary_levels_keep_their_signs():
    np.testing.assert_array_equal(
        tables.around_zero(np.float32([0.5, 0.0, -0.25])), [-0.5, 0, 0.25]
    )


@pytest.mark.parametrize("name", ["deep_compression4", "hashednets4"])
def test_centroids_get_the_sum_of_their_clusters(name, rng):
    weights = tf.Variable(rng.normal(0, 1, (40, 6)).astype(np.float32))
    quantizer = quantizer_of(name)
    quantizer(weights)
    index = array(quantizer.index).astype(int)
    upstream = rng.normal(0, 1, (40, 6)).astype(np.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(quantizer(weights) * upstream)
    by_weights, by_level = tape.gradient(loss, [weights, quantizer.table.value])
    wanted = np.bincount(index.ravel(), upstream.ravel(), 16) * (array(quantizer.table) != 0)
    np.testing.assert_allclose(array(by_level), wanted, rtol=1e-4, atol=1e-5)
    assert not array(by_weights).any()
    quantizer.table.assign_add(0.01 * (array(quantizer.table) != 0))
    moved = array(quantizer.updated(weights))
    np.testing.assert_allclose(moved, array(quantizer.table)[index], atol=0.02)
    np.testing.assert_array_equal(array(quantizer.index).astype(int), index)


def test_a_hash_fills_its_buckets_evenly():
    index = array(tables.choose_by_hash(np.zeros((40, 40), np.float32), np.zeros(16), None))
    counts = np.bincount(index.ravel(), minlength=16)
    assert counts.min() > 80 and counts.max() < 120
    assert (np.diff(index.ravel()) != 0).mean() > 0.9


@pytest.mark.parametrize("name", ["slq4", "mlq2", "eslq4", "inq3"])
def test_frozen_weights_stay_and_are_all_in_the_end(name, rng):
    weights = tf.Variable(rng.normal(0, 1, (40, 6)).astype(np.float32))
    quantizer = quantizer_of(name)
    quantizer(weights)
    before, share = np.zeros((40, 6), bool), 0.0
    for progress in (0.0, 0.25, 0.5, 0.75, 1.0):
        values = array(weights).copy()
        quantizer.advance(weights, progress)
        frozen = array(quantizer.frozen) > 0
        assert (frozen | ~before).all() and frozen.mean() >= share
        np.testing.assert_array_equal(array(weights)[before], values[before])
        np.testing.assert_array_equal(array(weights)[~frozen], values[~frozen])
        before, share = frozen, frozen.mean()
        weights.assign_add(rng.normal(0, 0.05, (40, 6)).astype(np.float32))
        weights.assign(quantizer.updated(weights))
    assert frozen.all()
    np.testing.assert_array_equal(array(quantizer.quantized(weights)), array(weights))
    np.testing.assert_array_equal(array(quantizer(weights)), array(weights))


def test_order_of_clusters():
    levels = np.array([-2.0, 0.0, 1.0])
    values = np.array([-2.2, -1.9, 0.0, 0.1, 1.0])
    assert tables.largest_error_last(values, levels).tolist() == [2, 1, 0]
    assert tables.outermost_first(values, levels).tolist() == [0, 2, 1]


@pytest.mark.parametrize("name", ["carreira2017_4", "yang2020_ann_c4"])
def test_multipliers_pull_weights_onto_the_levels(name, rng):
    """Minimizes 0.01 * |w - a|**2 / 2 under the constraint that w is quantized."""
    goal = rng.normal(0, 0.3, (40, 6)).astype(np.float32)
    weights = tf.Variable(goal)
    quantizer = quantizer_of(name)
    distances = []
    for step in range(20):
        quantizer.advance(weights, step / 19)
        with tf.GradientTape() as tape:
            quantizer(weights)
            loss = 0.005 * tf.reduce_sum((weights - goal) ** 2) + sum(quantizer.losses)
        # The loss is a parabola, so that one step finds its lowest point.
        curvature = 0.01 + float(quantizer.setting.numpy())
        weights.assign_sub(tape.gradient(loss, weights) / curvature)
        distances.append(float(np.abs(array(quantizer.quantized(weights)) - weights).mean()))
    assert distances[-1] < 0.25 * distances[0]


def test_prune_takes_the_smallest_and_lets_gradients_pass(rng):
    weights = tf.constant(rng.normal(0, 1, (30, 10)).astype(np.float32))
    for share in (0.0, 0.25, 0.9):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            kept = prune(weights, tf.constant(share))
        assert (array(tape.gradient(kept, weights)) == 1).all()
        zeros = array(kept) == 0
        assert zeros.sum() == int(share * 300)
        if zeros.any():
            assert np.abs(array(weights)[zeros]).max() < np.abs(array(weights)[~zeros]).min()
    assert grow_cubically(0.5)(0.0) == 0.0 and grow_cubically(0.5)(1.0) == 0.5


def test_smooth_distance_vanishes_on_the_levels_alone():
    penalty = penalties.smooth_distance(-8, 7)
    step = tf.constant(0.25)
    levels = 0.25 * np.arange(-8, 8, dtype=np.float32)
    assert float(penalty(tf.constant(levels), None, step)) == pytest.approx(0.0, abs=1e-9)
    near = float(penalty(tf.constant([0.25 + 0.01]), None, step))
    assert near == pytest.approx(0.01**2, rel=0.02)
    assert float(penalty(tf.constant([1.75 + 0.5]), None, step)) == pytest.approx(0.25, rel=1e-5)


def test_mixture_surprise_is_the_density_s_logarithm(rng):
    weights = rng.normal(0, 1, 20)
    means, spreads, logits = rng.normal(0, 1, (3, 4))
    shares = np.exp(logits) / np.exp(logits).sum()
    density = (shares * norm.pdf(weights[:, None], means, np.exp(spreads))).sum(axis=1)
    found = mixture_surprise(*(tf.constant(x) for x in (weights, means, spreads, logits)))
    assert float(found) == pytest.approx(-np.log(density).sum(), rel=1e-6)


def test_a_mixture_draws_weights_together(rng):
    centers = rng.choice([-1.0, 0.2, 0.9], (60, 6)).astype(np.float32)
    weights = tf.Variable(centers + rng.normal(0, 0.1, (60, 6)).astype(np.float32))
    quantizer = quantizer_of("soft_weight_sharing4", (60, 6))
    trained = [weights, *(variable.value for variable in quantizer.trainable_variables)]
    spread = float(np.abs(array(weights) - centers).mean())
    for _ in range(30):
        with tf.GradientTape() as tape:
            quantizer(weights)
            loss = sum(quantizer.losses) * 1e5
        for variable, slope in zip(trained, tape.gradient(loss, trained), strict=True):
            variable.assign_sub(4e-4 * tf.clip_by_value(slope, -50.0, 50.0))
    error = np.abs(array(quantizer.quantized(weights)) - array(weights)).mean()
    assert error < 0.5 * spread
