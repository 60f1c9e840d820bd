"""Recurrent layers: gradients pass the roundings, what is not computed is refused by name."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import tinyq
from tests.harness import compile_model, differences
from tinyq.codegen import emit
from tinyq.errors import ModelError
from tinyq.graph.ops.recurrence import Recurrence
from tinyq.graph.reference import dequantize, quantize_input
from tinyq.memory.planner import plan
from tinyq.numerics.recurrence import CELLS, FUNCTIONS, GATES, NUMPY, find_curve, follow_curve
from tinyq.training import post_training
from tinyq.training.layers.recurrence import REALS, SIMULATED, Recurrent
from tinyq.training.lowering.agreement import compare_layers
from tinyq.training.lowering.network import import_keras
from tinyq.training.overview import overview

L = keras.layers
STEPS, UNITS = 5, 4


def make_steps(cell, seed=0, **options):
    rng = np.random.default_rng(seed)
    layer = Recurrent(UNITS, cell, every=True, **options)
    rows = CELLS[cell].gates * UNITS
    layer.build((None, STEPS, rows))
    layer.kernel.assign(rng.normal(0, 0.4, layer.kernel.shape))
    return layer, tf.constant(rng.normal(0, 1, (6, STEPS, rows)), tf.float32)


def differentiate(layer, library, gates):
    """Values, and the gradient of a weighted sum of them by gates and kernel."""
    weights = np.random.default_rng(3).normal(size=(6, STEPS, UNITS)).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(gates)
        step = layer.step_of_reals(library, layer.kernel)
        values = layer.advance(step, gates * 4096.0) / 128.0
        total = tf.reduce_sum(values * weights)
    slopes = tape.gradient(total, [gates, layer.kernel.value])
    return values.numpy(), [slope.numpy() for slope in slopes]


@pytest.mark.parametrize("cell", CELLS)
def test_a_gradient_passes_the_roundings(cell):
    layer, gates = make_steps(cell)
    real, slopes = differentiate(layer, REALS, gates)
    simulated, found = differentiate(layer, SIMULATED, gates)
    assert 0 < np.abs(simulated - real).max() < 0.05
    assert np.array_equal(simulated, np.rint(simulated * 128) / 128)
    for slope, near in zip(slopes, found, strict=True):
        assert np.abs(near - slope).max() < 0.05 * np.abs(slope).max()


def test_the_gradient_of_two_plain_steps_is_that_of_its_formula():
    """dh_2 / dx_1 = t'(u_2) r t'(u_1), at the rounded values."""
    layer = Recurrent(1, "simple", every=True)
    layer.build((None, 2, 1))
    layer.kernel.assign([[0.7]])
    gates = tf.constant([[[0.3], [-0.2]]], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(gates)
        step = layer.step_of_reals(SIMULATED, layer.kernel)
        last = layer.advance(step, gates * 4096.0)[0, 1, 0] / 128.0
    slope = tape.gradient(last, gates).numpy().reshape(-1)
    hidden = np.floor(np.tanh(0.3) * 128 + 0.5) / 128
    u = np.array([0.3, -0.2 + np.floor(hidden * 0.7 * 4096 + 0.5) / 4096])
    by_u = 1 - np.tanh(u) ** 2
    np.testing.assert_allclose(slope, [by_u[1] * 0.7 * by_u[0], by_u[1]], rtol=1e-4)


def test_a_saturated_gate_has_no_gradient():
    layer, _ = make_steps("simple")
    gates = tf.fill((6, STEPS, UNITS), 9.0)
    _, (slope, _) = differentiate(layer, SIMULATED, gates)
    assert not slope.any()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_curve_follows_its_function(name):
    codes = np.arange(-(2**15), 2**15)
    found = follow_curve(NUMPY, np.take, find_curve(name).astype(np.int64))(codes) / 2**15
    assert np.abs(found - FUNCTIONS[name](codes / 4096)).max() < 2**-9
    assert name not in GATES or found.min() >= 0


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (L.LSTM(3, activation="relu"), "relu leaves -1 .. 1"),
        (L.GRU(3, recurrent_activation="tanh"), "tanh is none that opens a gate"),
        (L.LSTM(3, recurrent_dropout=0.1), "recurrent_dropout"),
        (L.LSTM(257), "has 257 units"),
        (L.RNN([L.LSTMCell(3), L.LSTMCell(3)]), "StackedRNNCells"),
        (L.Masking(), "class Masking"),
    ],
    ids=str,
)
def test_what_is_not_computed_is_refused_by_name(layer, message):
    x = keras.Input((STEPS, 2))
    with pytest.raises(ModelError, match=message) as caught:
        tinyq.quantize(keras.Model(x, L.Dense(2)(layer(x))), {})
    assert caught.value.remedy


def test_a_state_that_is_given_or_kept_is_refused():
    x, state = keras.Input((STEPS, 2)), keras.Input((3,))
    model = keras.Model([x, state], L.GRU(3)(x, initial_state=state))
    with pytest.raises(ModelError, match="begins with a state"):
        tinyq.quantize(model, {})
    x = keras.Input(batch_shape=(1, STEPS, 2))
    with pytest.raises(ModelError, match="kept between batches"):
        tinyq.quantize(keras.Model(x, L.GRU(3, stateful=True)(x)), {})


@pytest.mark.parametrize(("method", "stored"), [("int4", "s4"), ("ternary", "t2"), ("int8", "s8")])
def test_both_weights_have_methods_of_their_own(method, stored):
    keras.utils.set_random_seed(1)
    x = keras.Input((STEPS, 2))
    model = keras.Model(x, L.Dense(2, name="head")(L.LSTM(6, name="steps")(x)))
    rules = {"layers": {"steps": {"weights": method}, "steps_gates": {"weights": "int4"}}}
    quantized = tinyq.quantize(model, rules)
    data = np.random.default_rng(0).normal(size=(32, STEPS, 2)).astype(np.float32)
    tinyq.training.calibrate(quantized, data)
    graph = import_keras(quantized)
    macs = {layer.name: layer.macs for layer in overview(quantized)}
    assert (macs["steps_gates"], macs["steps"]) == (STEPS * 24 * 2, STEPS * 24 * 6)
    (node,) = (node for node in graph.nodes if isinstance(node.op, Recurrence))
    assert graph.types(node)[1].format.name == stored
    (gates,) = (other for other in graph.nodes if other.output == node.inputs[0])
    assert graph.types(gates)[1].format.name == "s4"


def test_an_embedding_of_more_rows_than_codes_is_refused():
    x = keras.Input((STEPS,))
    with pytest.raises(ModelError, match="among 65,537 rows"):
        tinyq.quantize(keras.Model(x, L.GRU(3)(L.Embedding(65_537, 4)(x))), {})


@pytest.mark.parametrize("rows", [256, 257, 20_000])
def test_rows_of_large_tables_are_told_apart(rows):
    x = keras.Input((STEPS,))
    model = keras.Model(x, L.Dense(2)(L.GlobalAveragePooling1D()(L.Embedding(rows, 4)(x))))
    data = np.random.default_rng(0).integers(0, rows, (32, STEPS)).astype(np.float32)
    data[0, :2] = 0, rows - 1
    quantized = post_training(model, data)
    graph = import_keras(quantized)
    assert graph.input.type.format.name == ("s8" if rows <= 256 else "s16")
    np.testing.assert_array_equal(
        dequantize(quantize_input(data, graph.input.type), graph.input.type), data
    )
    assert not any(layer.differing for layer in compare_layers(quantized, graph, data))
    program = compile_model(emit(graph, plan(graph)), "gcc", ("-O1",))
    assert differences(graph, program, quantize_input(data[:4], graph.input.type)) == 0
