"""A network that begins with raw samples: Keras, reference and C give the same codes."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import tinyq
from tests.harness import SANITIZE, compile_model, differences
from tests.signals import draw_signal
from tests.small_models import L
from tinyq.codegen import emit
from tinyq.errors import ModelError, TinyqError
from tinyq.graph.reference import quantize_input
from tinyq.memory.planner import plan
from tinyq.training import FrontEnd, calibrate
from tinyq.training.lowering.agreement import compare_layers
from tinyq.training.lowering.network import import_keras, load_keras, lower_keras

SAMPLES = 1600


def make_model(layer: FrontEnd, shape: tuple[int, ...] = (SAMPLES,)) -> keras.Model:
    keras.utils.set_random_seed(0)
    start = keras.Input(shape, name="microphone")
    x = L.Conv1D(6, 3, activation="relu", name="conv")(layer(start))
    return keras.Model(start, L.Dense(3, name="head")(L.GlobalAveragePooling1D()(x)), name="words")


def draw(shape: tuple[int, ...] = (SAMPLES,), count: int = 12) -> np.ndarray:
    return draw_signal(count * int(np.prod(shape))).reshape(count, *shape).astype(np.float32)


@pytest.mark.requires("gcc")
def test_codes_are_the_same_from_the_samples_on(tmp_path):
    x, y = draw(), np.arange(12) % 3
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = make_model(FrontEnd("micro", filters=20, name="features"))
    model.compile("adam", loss)
    model.fit(x, y, epochs=1, verbose=0)
    quantized = tinyq.quantize(model, {"weights": "int8", "activations": "int8"})
    calibrate(quantized, x)
    quantized.compile("adam", loss)
    quantized.fit(x, y, epochs=1, verbose=0)
    quantized.save(tmp_path / "words.keras")
    again = load_keras(tmp_path / "words.keras")
    found = {entry.layer: entry for entry in compare_layers(again, lower_keras(again), x)}
    assert found["features"].elements == 12 * 8 * 20
    assert [entry for entry in found.values() if entry.differing] == []
    plain = keras.Model(model.inputs, model.get_layer("features").output)
    coded = keras.Model(again.inputs, again.get_layer("features").output)
    np.testing.assert_array_equal(
        plain.predict_on_batch(x), coded.predict_on_batch(x), "features need no training"
    )
    graph = import_keras(again)
    assert graph.input.type.format.name == "s16"
    program = compile_model(emit(graph, plan(graph)), "gcc", SANITIZE)
    assert differences(graph, program, quantize_input(x[:4], graph.input.type)) == 0


def test_signals_of_several_axes():
    layer = FrontEnd("statistics", rate=100, window_ms=500.0, hop_ms=250.0)
    x = draw((250, 3), 6)
    quantized = tinyq.quantize(make_model(layer, (250, 3)), {})
    calibrate(quantized, x)
    found = compare_layers(quantized, lower_keras(quantized), x)
    assert [entry.elements for entry in found if entry.layer == layer.name] == [6 * 9 * 18]
    assert [entry for entry in found if entry.differing] == []


def test_what_does_not_fit_is_refused():
    with pytest.raises(ModelError, match="layers read 8 bits, the front end gives 16"):
        FrontEnd("micro", bits=16)
    with pytest.raises(TinyqError, match="there is no front end 'nano'"):
        FrontEnd("nano")
    with pytest.raises(ModelError, match="signals of shape \\(samples, 3\\)"):
        make_model(FrontEnd("statistics"))
    behind = keras.Sequential([keras.Input((SAMPLES,)), L.Dense(SAMPLES), FrontEnd(name="late")])
    with pytest.raises(TinyqError) as caught:
        tinyq.quantize(behind, {})
    assert caught.value.remedy
