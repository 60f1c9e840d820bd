"""Bits that train with the network: gates, their costs, and what they come to."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import tinyq
from tests.unit.test_exploration import draw_table
from tests.unit.test_search import dense_network
from tinyq.api.search import find_search
from tinyq.errors import TinyqError
from tinyq.exploration.allocators import ALLOCATORS, find_allocator
from tinyq.exploration.bit_planes import BitPlaneGate
from tinyq.exploration.bottleneck import BottleneckGate
from tinyq.exploration.budgets import Costs, Limits
from tinyq.exploration.gates import (
    FractionalGate,
    GumbelGate,
    MixtureGate,
    ParametrizedGate,
    count_bits,
    quantize_within,
)
from tinyq.exploration.proxies import find_proxy
from tinyq.exploration.sensitivities import find_sensitivity
from tinyq.exploration.space import Pair, Space, read_space
from tinyq.exploration.supernet import Pull, price_pairs, read_gates, train_gates
from tinyq.exploration.table import Table
from tinyq.quantizers.catalogue import load_catalogue

METHODS = ("int8", "int4", "int2")
COSTS = (0.0, -0.1, -0.2)


def array(tensor):
    return np.asarray(tensor, np.float64)


def make_gate(kind):
    model = tinyq.quantize(dense_network().model, {"first": None, "last": None})
    layer = model.get_layer("hidden")
    gate = kind(layer, METHODS, COSTS)
    gate.build()
    return gate, layer


def table_of(network) -> Table:
    """Costs that fall with the bits, by the layers' sizes; no board is asked."""
    pairs = tuple(Pair(name, "int8") for name in METHODS)
    names = network.layers()
    sizes = [kernel.size for kernel in network.kernels().values()]
    saved = tuple(tuple(-size * place for place in range(3)) for size in sizes)
    zero = tuple(tuple((0,) for _ in METHODS) for _ in names)
    base = Costs(4 * sum(sizes), 100, 4 * sum(sizes))
    losses = tuple((0.0, 0.1, 1.0) for _ in names)
    return Table(Space(dict.fromkeys(names, pairs)), base, losses, saved, saved, zero, (0,), 100)


def test_shares_of_a_gumbel_gate_are_a_softmax_with_noise():
    gate, _ = make_gate(GumbelGate)
    gate.logits.assign([0.0, 1.0, -1.0])
    for progress, spread in ((0.0, 0.2), (1.0, 0.9)):
        gate.advance(progress)
        drawn = np.array([array(gate.shares()) for _ in range(400)])
        np.testing.assert_allclose(drawn.sum(axis=1), 1.0, atol=1e-5)
        assert (drawn.max(axis=1) > spread).mean() > 0.4
    # The largest is drawn as often as its logit says, whatever the heat (Gumbel's maximum).
    wanted = np.exp([0.0, 1.0, -1.0]) / np.exp([0.0, 1.0, -1.0]).sum()
    often = np.bincount(drawn.argmax(axis=1), minlength=3) / len(drawn)
    np.testing.assert_allclose(often, wanted, atol=0.08)


def test_costs_are_the_sum_over_shares():
    gate, layer = make_gate(GumbelGate)
    found = gate.kernel()
    shares = array(gate.drawn)
    parts = [array(quantizer.quantized(layer.kernel)) for quantizer in gate.quantizers]
    np.testing.assert_allclose(array(found), np.tensordot(shares, parts, 1), rtol=1e-4, atol=1e-6)
    assert float(gate.cost()) == pytest.approx((shares * COSTS).sum(), rel=1e-4)


@pytest.mark.parametrize("place", [0.0, 0.3, 1.0, 1.75, 2.0])
def test_a_fraction_lies_between_two_methods(place):
    gate, layer = make_gate(FractionalGate)
    gate.place.assign(place)
    low = min(int(place), 1)
    parts = [array(quantizer.quantized(layer.kernel)) for quantizer in gate.quantizers]
    wanted = parts[low] + (place - low) * (parts[low + 1] - parts[low])
    with tf.GradientTape() as tape:
        found = gate.kernel()
        total = tf.reduce_sum(found)
    np.testing.assert_allclose(array(found), wanted, atol=1e-5)
    if place not in (0.0, 1.0, 2.0):
        slope = float(tape.gradient(total, gate.place.value))
        assert slope == pytest.approx((parts[low + 1] - parts[low]).sum(), rel=1e-3, abs=1e-3)
    assert gate.choose() == int(place)


def test_steps_and_ranges_have_three_gradients(rng):
    """Uhlich et al. 2020, table 1, case U3, against differences of a straight-through line."""
    weights = tf.constant(rng.normal(0, 1, 50), tf.float32)
    numbers = [tf.constant(0.2), tf.constant(1.1)]
    with tf.GradientTape() as tape:
        tape.watch([weights, *numbers])
        found = quantize_within(weights, *numbers)
        total = tf.reduce_sum(found)
    by_weights, by_width, by_range = (array(g) for g in tape.gradient(total, [weights, *numbers]))
    w = array(weights)
    inner = np.abs(w) <= 1.1
    codes = np.floor(np.minimum(np.abs(w), 1.1) / 0.2 + 0.5)
    np.testing.assert_allclose(array(found), np.sign(w) * 0.2 * codes, rtol=1e-5)
    np.testing.assert_array_equal(by_weights, inner)
    assert by_width == pytest.approx(((array(found) - w) / 0.2)[inner].sum(), rel=1e-3, abs=1e-3)
    assert by_range == pytest.approx(np.sign(w)[~inner].sum())


def test_bits_follow_from_step_and_range():
    gate, _ = make_gate(ParametrizedGate)
    assert gate.choose() == 0 and float(gate.bits()) == pytest.approx(8.0)
    for bits, choice in ((7.0, 0), (4.0, 1), (3.1, 1), (2.0, 2)):
        reach = float(gate.range.value())
        gate.width.set(reach / (2.0 ** (bits - 1) - 1.0))
        assert float(gate.bits()) == pytest.approx(bits, rel=1e-4)
        assert gate.choose() == choice
        share = (8.0 - bits) / (8.0 - count_bits("int2"))
        assert float(gate.cost()) == pytest.approx(-0.2 * share, abs=1e-4)


@pytest.mark.parametrize(
    "kind", [GumbelGate, FractionalGate, ParametrizedGate, BitPlaneGate, BottleneckGate]
)
def test_costs_draw_gates_to_fewer_bits(kind):
    network = dense_network()
    table = table_of(network)
    bits = []
    for strength in (0.0, 8.0 if kind is GumbelGate else 200.0):
        gates = train_gates(network, table, kind, Pull(strength, kind is GumbelGate), seed=1)
        costs = [
            float(_expect(gate) if isinstance(gate, MixtureGate) else gate.cost()) for gate in gates
        ]
        bits.append(sum(costs))
        assert all(0 <= choice < 3 for choice in read_gates(gates))
    assert bits[1] < bits[0]


def _expect(gate):
    if isinstance(gate, GumbelGate):
        return (array(keras.ops.softmax(gate.logits)) * gate.costs).sum()
    gate.kernel()
    return gate.cost()


TRAINED = [name for name, it in ALLOCATORS.items() if it.learn is not None]


@pytest.mark.parametrize("name", TRAINED)
def test_trained_allocators_plan(name):
    network = dense_network()
    table = table_of(network)
    limits = Limits(flash_bytes=table.base.flash_bytes)
    planned = find_allocator(name).learn(network, table, limits, 3, 0)
    assert planned and len(set(planned)) == len(planned) <= 3
    assert limits.admit(table.predict(planned[0]))


def test_prices_are_mean_shares(rng):
    table = draw_table(rng)
    for row, flash, work in zip(price_pairs(table), table.flash, table.instructions, strict=True):
        wanted = np.array(flash) / table.base.flash_bytes + np.array(work) / table.base.instructions
        np.testing.assert_allclose(row, wanted / 2)


SEARCHES = {name: said for row in load_catalogue().values() for name, said in row.searches.items()}


@pytest.mark.parametrize("name", SEARCHES)
def test_a_named_method_is_made_of_parts_that_exist(name):
    said = find_search(name, {"proxy": None})
    assert find_sensitivity(said["sensitivity"]) and find_allocator(said["allocator"])
    assert find_proxy(said["proxy"]) and set(SEARCHES[name]) <= set(said)
    if "space" in said:
        read_space(said["space"], ["one", "two", "three"])
    assert find_search(name, {"proxy": "ptq"})["proxy"] == "ptq"


def test_an_unknown_method_of_search_is_refused():
    with pytest.raises(TinyqError, match="no method of search 'haw'") as caught:
        find_search("haw", {})
    assert "hawq_v3" in caught.value.remedy


def test_planes_sum_to_the_codes_of_8_bits() -> None:
    gate, layer = make_gate(BitPlaneGate)
    kernel = array(layer.kernel)
    wanted = np.rint(kernel / gate.unit) * gate.unit
    np.testing.assert_allclose(array(gate.kernel()), wanted, atol=1e-6)
    assert gate.bits() == 8 and gate.choose() == 0
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(gate.kernel())
    slopes = array(tape.gradient(total, gate.positive.value))
    np.testing.assert_allclose(slopes, gate.unit * 2.0 ** np.arange(7)[:, None, None] + 0 * slopes)


@pytest.mark.parametrize(("codes", "bits"), [((3, -2, 1), 3), ((96, -32, 64), 3), ((0, 0, 0), 2)])
def test_empty_planes_go_for_good_and_keep_the_value(codes, bits) -> None:
    gate, _ = make_gate(BitPlaneGate)
    every = np.zeros(gate.positive.shape[1:], np.int64)
    every.ravel()[:3] = codes
    gate._split(every)
    np.testing.assert_allclose(array(gate.kernel()), every * gate.unit, atol=1e-6)
    assert gate.bits() == bits and gate.choose() == (1 if bits == 3 else 2)
    gone = array(gate.mask) == 0
    gate.positive.assign(np.ones(gate.positive.shape))
    gate.advance(0.3)
    assert not array(gate.mask)[gone].any()


def test_the_penalty_of_planes_is_the_mean_of_their_sizes(rng) -> None:
    gate, _ = make_gate(BitPlaneGate)
    drawn = [rng.uniform(0, 2, gate.positive.shape) for _ in range(2)]
    gate.positive.assign(drawn[0]), gate.negative.assign(drawn[1])
    gate.mask.assign([1, 1, 0, 1, 1, 0, 0])
    sizes = np.sqrt((drawn[0] ** 2 + drawn[1] ** 2).mean(axis=(1, 2)))
    wanted = -0.2 + 0.2 * (array(gate.mask) * sizes).mean()
    assert float(gate.cost()) == pytest.approx(wanted, rel=1e-4)


def make_bottleneck():
    model = tinyq.quantize(dense_network().model, {"first": None, "last": None})
    pairs = (("int8", 0.0, 1.0), ("int4", -0.1, 1.0), ("int8", -0.15, 0.5), ("int4", -0.3, 0.5))
    gate = BottleneckGate(model.get_layer("hidden"), *zip(*pairs, strict=True))
    gate.build()
    return gate


def test_noise_on_channels_has_their_mean_and_variance(rng) -> None:
    gate = make_bottleneck()
    mean, ratio = rng.normal(0, 1, 8), rng.uniform(0.5, 3.0, 8)
    gate.mean.assign(mean), gate.log_variance.assign(np.log(mean**2 / ratio))
    passed = array(gate.pass_on(tf.ones((20_000, 8))))
    np.testing.assert_allclose(passed.mean(axis=0), mean, atol=0.06)
    np.testing.assert_allclose(passed.var(axis=0), mean**2 / ratio, rtol=0.1)
    assert gate.share() == np.mean(ratio > 1.0)
    wanted = np.log(1.0 + ratio).mean() / np.log(101.0)
    assert float(gate.openness()) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(
    ("bits", "share", "choice"), [(7.5, 1.0, 0), (3.5, 1.0, 1), (7.5, 0.4, 2), (3.5, 0.5, 3)]
)
def test_bits_and_channels_are_chosen_together(bits: float, share: float, choice: int) -> None:
    gate = make_bottleneck()
    gate.width.set(float(gate.range.value()) / (2.0 ** (bits - 1) - 1.0))
    silent = np.arange(8) >= round(8 * share)
    gate.log_variance.assign(np.where(silent, 1.0, -3.0))
    assert gate.choose() == choice
    opened = np.log(1 + np.exp(np.where(silent, -1.0, 3.0))).mean() / np.log(101.0)
    wanted = -0.1 * (8.0 - bits) / 4.0 - 0.15 * (1.0 - opened)
    assert float(gate.cost()) == pytest.approx(wanted, abs=1e-4)


def test_a_penalty_can_begin_at_a_budget() -> None:
    """Costs below it have no pull: gates keep the bits that they would have without costs."""
    network = dense_network()
    table = table_of(network)
    free, loose, tight = (
        train_gates(network, table, ParametrizedGate, pull, seed=1)
        for pull in (Pull(0.0), Pull(1000.0, within=1.0), Pull(1000.0, within=0.8))
    )
    bits = [sum(float(gate.bits()) for gate in gates) for gates in (free, loose, tight)]
    assert bits[2] < min(bits[:2]) - 0.5
