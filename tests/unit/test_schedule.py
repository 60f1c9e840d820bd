"""The progress that quantizers see, as a list: by epochs, by stages, over several calls of fit."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import tinyq
from tinyq.errors import TinyqWarning
from tinyq.training import schedule
from tinyq.training.schedule import MethodSchedule


@pytest.fixture
def told(monkeypatch):
    """Every progress that is set, in order."""
    found: list[float] = []
    monkeypatch.setattr(schedule, "advance", lambda _, progress: found.append(progress))
    return found


def drive(callback: MethodSchedule, epochs: int, steps: int | None, first: int = 0) -> None:
    """Call what ``fit`` calls."""
    callback.set_params({"epochs": epochs, "steps": steps, "verbose": 0})
    callback.set_model(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]))
    callback.on_train_begin()
    for epoch in range(first, epochs):
        callback.on_epoch_begin(epoch)
        for batch in range(steps or 2):
            callback.on_train_batch_begin(batch)


@pytest.mark.parametrize(
    ("epochs", "progress"),
    [(1, [0.0]), (2, [0.0, 1.0]), (3, [0.0, 0.5, 1.0]), (5, [0.0, 0.25, 0.5, 0.75, 1.0])],
)
def test_without_known_steps_the_last_epoch_has_progress_1(told, epochs, progress):
    if epochs == 1:
        with pytest.warns(TinyqWarning, match="steps_per_epoch"):
            drive(MethodSchedule(), epochs, None)
    else:
        drive(MethodSchedule(), epochs, None)
    assert told == progress


@pytest.mark.parametrize(("epochs", "steps"), [(1, 24), (2, 12), (3, 100), (11, 4)])
def test_short_trainings_have_twelve_stages(told, epochs, steps):
    drive(MethodSchedule(), epochs, steps)
    np.testing.assert_allclose(told, np.arange(12) / 11)


def test_long_trainings_have_a_stage_for_each_epoch(told):
    drive(MethodSchedule(), 20, 3)
    np.testing.assert_allclose(told, np.arange(20) / 19)


@pytest.mark.parametrize(("epochs", "steps"), [(1, 1), (1, 5), (2, 3)])
def test_trainings_of_few_steps_end_at_1(told, epochs, steps):
    callback = MethodSchedule()
    drive(callback, epochs, steps)
    callback.on_train_end()
    assert told[-1] == 1.0 and sorted(told) == told


def test_a_training_that_stops_early_does_not_end_at_1(told):
    callback = MethodSchedule(epochs=9)
    drive(callback, 5, 8)
    callback.on_train_end()
    assert 0.4 < told[-1] < 0.6


def test_a_resumed_training_goes_on(told):
    drive(MethodSchedule(), 12, 4)
    whole = [*told]
    told.clear()
    drive(MethodSchedule(), 12, 4, first=7)
    assert told == whole[7:]


def test_epochs_of_a_longer_training(told):
    callback = MethodSchedule(epochs=5)
    drive(callback, 2, None)
    drive(callback, 5, None, first=2)
    assert told == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_beyond_the_training_the_progress_stays_1(told):
    drive(MethodSchedule(epochs=3), 5, None)
    assert told == [0.0, 0.5, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("epochs", "steps", "stages", "progress"),
    [
        (1, 4, 4, [0.0, 1 / 3, 2 / 3, 1.0]),
        (2, 3, 3, [0.0, 0.5, 1.0]),
        (4, 2, 2, [0.0, 1.0]),
        (1, 2, 1, [0.0]),
        (1, 2, 5, [0.0, 0.5]),
    ],
)
def test_by_stages(told, epochs, steps, stages, progress):
    drive(MethodSchedule(stages=stages), epochs, steps)
    np.testing.assert_allclose(told, progress)


def test_fit_ends_at_1_for_every_quantizer(monkeypatch):
    """The real thing: what the layers are told in a training of three epochs."""
    image = keras.Input((6,))
    float_model = keras.Model(image, keras.layers.Dense(3, name="scores")(image))
    model = tinyq.quantize(float_model, {"weights": "ternary"})
    seen: list[float] = []
    layer = model.get_layer("scores")
    whole = type(layer.weight_quantizer).advance

    def record(self, kernel, progress):
        seen.append(progress)
        return whole(self, kernel, progress)

    monkeypatch.setattr(type(layer.weight_quantizer), "advance", record)
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, y = np.zeros((8, 6), np.float32), np.zeros(8)
    model.fit(x, y, epochs=3, verbose=0, callbacks=[MethodSchedule()])
    assert seen[-1] == 1.0 and sorted(seen) == seen
    assert len(seen) == 4  # three steps, and the end
