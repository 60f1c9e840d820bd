"""Networks of sequences, trained: Keras, the reference, C on this machine and the emulated core.

An LSTM and a GRU with few bits read digits row by row, and a transformer of two blocks with
ternary weights reads them as eight tokens. ``TINYQ_SEQUENCE_EPOCHS`` trains them longer.
"""

from __future__ import annotations

import os
import warnings

import keras
import numpy as np
import pytest

import tinyq
from tests.cores import CORES
from tests.harness import SANITIZE, compile_model, named_differences
from tests.many_graphs import Case, ask_device
from tests.selected import emit_for
from tinyq.codegen import emit
from tinyq.graph.ops.recurrence import Recurrence
from tinyq.graph.reference import quantize_input, run
from tinyq.memory.planner import plan
from tinyq.support.digits import load_digits
from tinyq.training.lowering.agreement import compare_layers
from tinyq.training.lowering.network import import_keras, lower_keras

L = keras.layers
ISA = "armv7em"
EPOCHS = int(os.environ.get("TINYQ_SEQUENCE_EPOCHS", "1"))
FLOAT_EPOCHS, SAMPLES = 5 + EPOCHS, 640
PROBES, COMPARED = 16, 128


def read_by(*layers):
    def body(x):
        for layer in layers:
            x = layer(x)
        return L.Dense(10, name="head")(x)

    return body


def transform(x):
    x = L.Dense(16, name="tokens")(x) + np.sin(np.arange(8 * 16.0)).reshape(8, 16)
    for _ in range(2):
        y = L.LayerNormalization()(x)
        x = L.Add()([x, L.MultiHeadAttention(2, 8)(y, y)])
        y = L.LayerNormalization()(x)
        x = L.Add()([x, L.Dense(16)(L.Dense(24, activation="gelu")(y))])
    return L.Dense(10, name="head")(L.GlobalAveragePooling1D()(x))


NETWORKS = {
    "lstm": (
        read_by(L.LSTM(12, return_sequences=True, name="first"), L.LSTM(12, name="second")),
        {"first": {"weights": "int4"}, "second": {"weights": "ternary"}},
    ),
    "gru": (
        read_by(L.Bidirectional(L.GRU(12), name="both")),
        {"both_forward": {"weights": "int2"}, "both_backward": {"weights": "int4"}},
    ),
    "transformer": (transform, {"multi_head_attention*": {"weights": "ternary"}}),
}
LEAST_ACCURACY = 0.5  # chance is 0.1; ten epochs and three, on all digits, give more than 0.8


@pytest.fixture(scope="module")
def digits():
    train, test = load_digits()
    return (train.x[:SAMPLES, ..., 0], train.y[:SAMPLES]), (test.x[..., 0], test.y)


@pytest.fixture(scope="module")
def trained(digits):
    """Each network after float training and a short one with the device's integers."""
    found = {}
    for name, (body, rules) in NETWORKS.items():
        keras.utils.set_random_seed(1)
        x = keras.Input((8, 8))
        model = keras.Model(x, body(x), name=name)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(1e-2), loss)
        model.fit(*digits[0], epochs=FLOAT_EPOCHS, batch_size=64, verbose=0)
        with warnings.catch_warnings():
            # Factors and offsets of normalizations stay as they are, which is said.
            warnings.simplefilter("ignore", UserWarning)
            quantized = tinyq.quantize(model, {"layers": rules})
        quantized.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
        quantized.fit(*digits[0], epochs=EPOCHS, batch_size=64, verbose=0)
        found[name] = quantized
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_keras_reference_and_c_give_the_same_codes(name, trained, digits):
    model, (x, y) = trained[name], digits[1]
    lowered = lower_keras(model)
    assert [
        entry for entry in compare_layers(model, lowered, x[:COMPARED]) if entry.differing
    ] == []
    graph = import_keras(model)
    codes = quantize_input(x, graph.input.type)
    answers = run(graph, codes)
    assert np.mean(answers.argmax(-1) == y) > LEAST_ACCURACY
    program = compile_model(emit(graph, plan(graph)), "gcc", SANITIZE)
    assert named_differences(graph, program, {graph.inputs[0]: codes[:PROBES]}) == 0


def test_the_emulated_core_gives_the_same_codes(trained, digits, tmp_path):
    """All in one firmware, with the kernels that would be chosen."""
    cases = []
    for name, model in trained.items():
        graph = import_keras(model, name)
        codes = quantize_input(digits[1][0][:PROBES], graph.input.type)
        packed = graph.input.type.format.pack(codes).reshape(PROBES, -1)
        answers = graph.output.type.format.pack(run(graph, codes)).reshape(PROBES, -1)
        cases.append(Case(graph, emit_for(graph, (ISA, "generic")), packed, answers))
    cells = [node.op.cell for case in cases for node in case.graph.nodes if is_recurrence(node)]
    assert cells == ["lstm", "lstm", "gru", "gru"]
    replies = ask_device(cases, CORES[ISA], tmp_path / "out")
    for case, reply in zip(cases, replies, strict=True):
        np.testing.assert_array_equal(reply, case.answers)


def is_recurrence(node):
    return isinstance(node.op, Recurrence)
