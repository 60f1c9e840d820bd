from __future__ import annotations

import keras
import numpy as np

import tinyq
from tests.small_models import L, functional, scramble
from tinyq.graph.reference import quantize_input, run_batched
from tinyq.training import Argmax, calibrate
from tinyq.training.lowering.network import import_keras


def test_the_answer_is_an_index(rng):
    model = functional((6,), lambda x: L.Dense(5, name="scores")(x))
    scramble(model, rng)
    x = rng.normal(0, 1, (300, 6)).astype(np.float32)
    quantized = tinyq.quantize(model, {"weights": "int8", "activations": "int8"})
    calibrate(quantized, x)
    deployed = keras.Model(quantized.inputs, Argmax(name="answer")(quantized.output))
    graph = import_keras(deployed)
    found = run_batched(graph, quantize_input(x, graph.input.type))
    np.testing.assert_array_equal(found, deployed.predict(x, verbose=0))
    assert graph.output.type.format.name == "s32"
    assert len(np.unique(found)) > 1
