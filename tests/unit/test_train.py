"""Whole trainings: phases, teachers, checkpoints."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from tensorflow.core.util.event_pb2 import Event

import tinyq
from tests.small_models import L, functional, normed
from tinyq.errors import DataError, RecipeError, TinyqError, TinyqWarning
from tinyq.quantizers import METHODS
from tinyq.training import distillation, read_recipe
from tinyq.training.course import Course, carry_weights
from tinyq.training.oscillations import OscillationFreezing, damped
from tinyq.training.phases import LossTerm, Phase

SHAPE = (6, 6, 1)
pytestmark = pytest.mark.filterwarnings("ignore::tinyq.errors.TinyqWarning")


class StoppedError(Exception):
    """A training that is killed."""


@pytest.fixture
def data(rng):
    x = rng.normal(size=(96, *SHAPE)).astype(np.float32)
    return x, (x[:, :3].mean(axis=(1, 2, 3)) > 0).astype(np.int64)


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)

    def body(x):
        x = normed(x, L.Conv2D(4, 3, padding="same", name="first"))
        y = L.Add(name="sum")([x, L.Conv2D(4, 3, padding="same", name="second")(x)])
        return L.Dense(2, name="last")(L.Flatten()(y))

    return functional(SHAPE, body)


def same(first, second):
    pairs = zip(first.get_weights(), second.get_weights(), strict=True)
    return all(np.array_equal(one, other) for one, other in pairs)


def test_it_learns_and_keeps_the_best_epoch(model, data):
    trained = tinyq.train(model, {"weights": "int4"}, data=data, val=data, epochs=6, rate=0.01)
    assert len(trained.epochs) == 6 and trained.best.rank == max(e.rank for e in trained.epochs)
    answers = trained.model.predict(data[0], verbose=0).argmax(axis=-1)
    assert (answers == data[1]).mean() == pytest.approx(trained.best.score)
    assert trained.best.score > 0.8
    assert trained.to_json()["best"]["score"] == trained.best.score


def test_a_stopped_training_goes_on_as_if_nothing_had_been(model, data, tmp_path):
    recipe = {"weights": "int4", "activations": "lsq4", "phases": [{"epochs": 2}, {"epochs": 2}]}
    whole = tinyq.train(model, recipe, data=data)
    for stop in (4, 8):  # of 3 steps an epoch: in the second epoch, in the second phase

        def progress(done, total, stop=stop):
            assert total == 12
            if done == stop:
                raise StoppedError

        with pytest.raises(StoppedError):
            tinyq.train(model, recipe, data=data, state=tmp_path, progress=progress)
    again = tinyq.train(model, recipe, data=data, state=tmp_path)
    assert again.resumed == 2
    assert again.epochs == whole.epochs
    assert same(again.model, whole.model)
    done = tinyq.train(model, recipe, data=data, state=tmp_path)
    assert done.resumed == 4 and same(done.model, whole.model)


def test_a_state_of_another_training_is_refused(model, data, tmp_path):
    tinyq.train(model, {}, data=data, state=tmp_path, epochs=1)
    with pytest.raises(TinyqError, match="other data"):
        tinyq.train(model, {}, data=data, state=tmp_path, epochs=2)
    state = tmp_path / "state.json"
    content = json.loads(state.read_text("utf-8"))
    content["epochs"] = [{"phase": 0}]
    state.write_text(json.dumps(content), "utf-8")
    with pytest.raises(TinyqError, match="no state"):
        tinyq.train(model, {}, data=data, state=tmp_path, epochs=1)


def test_a_damaged_checkpoint_is_named(model, data, tmp_path):
    tinyq.train(model, {}, data=data, state=tmp_path, epochs=1)
    for path in tmp_path.glob("*.h5"):
        path.write_bytes(b"\0" * 99)
    with pytest.raises(TinyqError, match="cannot be read"):
        tinyq.train(model, {}, data=data, state=tmp_path, epochs=1)


def test_scalars_are_written(model, data, tmp_path):
    trained = tinyq.train(model, {}, data=data, val=data, epochs=1, log=tmp_path)
    (path,) = tmp_path.glob("events.out.tfevents.*")
    records = [Event.FromString(r.numpy()) for r in tf.data.TFRecordDataset(str(path))]
    assert records[0].file_version == "brain.Event:2"
    (scalars,) = [{v.tag: v.simple_value for v in r.summary.value} for r in records[1:]]
    assert scalars["epoch_device_loss"] == pytest.approx(trained.epochs[0].loss)
    assert scalars["epoch_loss"] == pytest.approx(trained.epochs[0].training_loss)


@pytest.mark.parametrize("name", ["inq2", "proxquant1", "ir_net", "binaryrelax2"])
def test_procedures_come_to_their_end(model, data, name):
    name = name if name in METHODS else "inq3"
    trained = tinyq.train(model, {"weights": name}, data=data, epochs=1)
    assert trained.best.finished


def test_phases_that_go_on_share_one_schedule(model, data):
    recipe = {"weights": "inq2", "phases": [{"epochs": 2}, {"epochs": 2}]}
    trained = tinyq.train(model, recipe, data=data)
    assert [epoch.finished for epoch in trained.epochs] == [False, False, False, True]


def test_a_phase_may_have_a_recipe_of_its_own(model, data):
    phases = [{"epochs": 1}, {"epochs": 1, "recipe": {"weights": "int8"}, "rate": 1e-9}]
    trained = tinyq.train(model, {"weights": "int4", "phases": phases}, data=data)
    assert {layer.weight_method for layer in trained.model.layers if hasattr(layer, "kernel")} == {
        "int8"
    }
    assert trained.best.phase == 1


def test_weights_are_carried_over(model):
    first = tinyq.quantize(model, {"weights": "int4"})
    for layer in first.layers:
        if hasattr(layer, "kernel"):
            layer.kernel.assign(layer.kernel + 1.0)
    second = tinyq.quantize(model, {"weights": "ternary"})
    carry_weights(first, second)
    for name in ("first", "second", "last"):
        wanted = ops.convert_to_numpy(first.get_layer(name).kernel)
        np.testing.assert_array_equal(ops.convert_to_numpy(second.get_layer(name).kernel), wanted)


def test_only_what_matches_trains(model, data):
    phase = {"epochs": 1, "rate": 0.01, "trains": ["last"]}
    trained = tinyq.train(model, {"phases": [phase]}, data=data)
    for name in ("first", "second", "last"):
        kernel = ops.convert_to_numpy(trained.model.get_layer(name).kernel)
        moved = not np.array_equal(kernel, ops.convert_to_numpy(model.get_layer(name).kernel))
        assert moved == (name == "last")
    assert all(layer.trainable for layer in trained.model.layers)
    with pytest.raises(RecipeError, match="matches no layer"):
        tinyq.train(model, {"phases": [{"trains": ["nothing"]}]}, data=data)


def test_a_teacher_alone_trains(model, data):
    losses = [
        {"kind": "kl", "temperature": 2.0},
        {"kind": "l2", "taps": ["first", "sum"]},
        {"kind": "attention", "taps": {"sum": "first_relu"}},
    ]
    phase = {"epochs": 4, "rate": 0.01, "labels": 0.0, "teacher": "float", "losses": losses}
    recipe = {"weights": "ternary", "first": None, "last": None, "phases": [phase]}
    before = model.get_weights()
    trained = tinyq.train(model, recipe, data=data)
    assert trained.epochs[-1].training_loss < trained.epochs[0].training_loss
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_divergence_is_that_of_probabilities(rng):
    student, teacher = rng.normal(size=(2, 5, 7)).astype(np.float32)
    p, q = (np.exp(x / 3.0) / np.exp(x / 3.0).sum(-1, keepdims=True) for x in (teacher, student))
    wanted = 9.0 * (p * np.log(p / q)).sum(axis=-1).mean()
    term = LossTerm(kind="kl", temperature=3.0)
    assert float(distillation.divergence(student, teacher, term)) == pytest.approx(wanted, 1e-4)
    assert float(distillation.divergence(student, student, term)) == pytest.approx(0.0, abs=1e-5)


def test_distances_of_layers(rng):
    first = rng.normal(size=(3, 4, 4, 2)).astype(np.float32)
    term = LossTerm(kind="l2")
    share = float(distillation.squared_distance(first * 1.5, first, term))
    assert share == pytest.approx(0.25, 1e-4)
    wide = np.concatenate([first, first, first], axis=-1)  # the same places, more channels
    assert float(distillation.attention_distance(first, wide, term)) == pytest.approx(0, abs=1e-6)
    assert float(distillation.attention_distance(first, first[::-1], term)) > 0.01


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        ({"epochs": 0}, "epochs"),
        ({"rate": -1.0}, "rate"),
        ({"rate": float("nan")}, "rate"),
        ({"losses": [{"kind": "kl"}]}, "teacher"),
        ({"labels": 0.0}, "nothing is left"),
        ({"teacher": "float", "losses": [{"kind": "kl", "taps": ["a"]}]}, "output"),
        ({"teacher": "float", "losses": [{"kind": "attention"}]}, "taps"),
        ({"teacher": "float", "losses": [{"kind": "cosine"}]}, "kind"),
        ({"freezing": 1.0}, "freezing"),
        ({"recipe": {"phases": []}}, "no phases"),
        ({"epoch": 3}, "epochs"),
        ({"teacher": "float", "losses": [{"temprature": 3}]}, "temperature"),
    ],
)
def test_a_wrong_phase_is_refused(phase, message):
    with pytest.raises(RecipeError) as caught:
        read_recipe({"phases": [phase]})
    assert message in f"{caught.value.message} {caught.value.remedy}"


def test_options_for_one_phase_are_refused_for_several():
    recipe = read_recipe({"phases": [{}, {}]})
    with pytest.raises(RecipeError, match="2 phases"):
        Course(epochs=3).list_phases(recipe)
    assert Course(epochs=3).list_phases(read_recipe({}))[0] == Phase(epochs=3)


@pytest.mark.parametrize(
    ("options", "data", "message"),
    [
        ({"epochs": 0}, None, "0"),
        ({"objective": "cake"}, None, "cake"),
        ({}, np.zeros((3, *SHAPE)), "labels"),
        ({}, (np.zeros((3, *SHAPE)), np.array([0, 1, 2])), "label 2"),
    ],
)
def test_wrong_options_and_data_are_refused(model, data, options, message, request):
    given = data if data is not None else request.getfixturevalue("data")
    with pytest.raises((TinyqError, DataError)) as caught:
        tinyq.train(model, {}, data=given, **{"epochs": 1, **options})
    assert message in str(caught.value)


def test_several_inputs_are_refused(data):
    inputs = [keras.Input((2,), name=name) for name in ("left", "right")]
    both = keras.Model(inputs, L.Dense(2, name="last")(L.Add(name="sum")(inputs)))
    with pytest.raises(TinyqError, match="2 inputs"):
        tinyq.train(both, {}, data=data)


def test_values_and_yes_or_no(rng):
    def body(x):
        return L.Dense(1, name="last")(L.Flatten()(L.Conv2D(2, 3, name="first")(x)))

    x = rng.normal(size=(64, *SHAPE)).astype(np.float32)
    total = x.sum(axis=(1, 2, 3))
    yes = tinyq.train(functional(SHAPE, body), {}, data=(x, (total > 0).astype(int)), epochs=2)
    assert yes.best.score is None and yes.best.training_loss > 0
    targets = (total + 0.25)[:, None]
    values = tinyq.train(
        functional(SHAPE, body), {}, data=(x, targets), val=(x, targets), epochs=8, rate=0.02
    )
    assert values.best.loss < np.var(total) / 2


def test_weights_that_oscillate_are_frozen(model):
    quantized = tinyq.quantize(model, {"weights": "int4", "first": None, "last": None})
    layer = quantized.get_layer("second")
    kernel = ops.convert_to_numpy(layer.kernel).copy()
    kernel[0, 0, 0, :] = np.abs(kernel).max()  # so that no scale changes
    layer.kernel.assign(kernel)
    _, scale = layer.weight_quantizer.split(layer.kernel)
    freezing = OscillationFreezing(0.3, momentum=0.2)
    freezing.set_model(quantized)
    freezing.on_train_begin()
    for step in range(12):
        kernel[1, 1, 1, 0] = (1.4 if step % 2 else 1.6) * float(scale[0, 0, 0, 0])
        now = ops.convert_to_numpy(layer.kernel).copy()
        now[1, 1, 1, 0] = kernel[1, 1, 1, 0]
        layer.kernel.assign(now)
        freezing.on_train_batch_end(step)
    codes = layer.weight_codes()
    assert 0.0 < freezing.share < 0.05
    assert codes[1, 1, 1, 0] in (1, 2)
    held = float(ops.convert_to_numpy(layer.kernel)[1, 1, 1, 0])
    assert held == pytest.approx(codes[1, 1, 1, 0] * float(scale[0, 0, 0, 0]))


def test_damping_adds_the_squared_distance(model, data):
    quantized = tinyq.quantize(model, {"weights": "int4", "first": None, "last": None})
    quantized(data[0][:2], training=True)
    with damped(quantized, 0.5):
        quantized(data[0][:2], training=True)
        found = float(sum(quantized.losses))
    wanted = 0.0
    for name in ("first", "second", "last"):
        layer = quantized.get_layer(name)
        rest = layer.kernel - layer.weight_quantizer.quantized(layer.kernel)
        wanted += 0.5 * float(ops.sum(ops.square(rest)))
    assert found == pytest.approx(wanted, 1e-4)
    quantized(data[0][:2], training=True)
    assert not quantized.losses


def test_a_model_that_learns_its_samples_by_heart_is_told(model, rng):
    x = rng.normal(size=(64, *SHAPE)).astype(np.float32)
    y = rng.integers(0, 2, 64)
    other = (rng.normal(size=(64, *SHAPE)).astype(np.float32), rng.integers(0, 2, 64))
    with pytest.warns(TinyqWarning, match="learned its samples"):
        tinyq.train(model, {}, data=(x, y), val=other, epochs=60, rate=0.02)
