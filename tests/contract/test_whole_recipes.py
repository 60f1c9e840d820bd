"""Rows of the catalogue that are ways to train, to quantize or to change a network: all work."""

from __future__ import annotations

import importlib
import os
import warnings

import keras
import numpy as np
import pytest

import tinyq
from tests.small_models import L, functional, normed
from tinyq.api.methods import describe_method
from tinyq.api.quantize import Calibration, check_options
from tinyq.errors import RecipeError, TinyqError, TinyqWarning
from tinyq.quantizers.catalogue import load_catalogue
from tinyq.support.datasets import make_dataset
from tinyq.training import distillation
from tinyq.training.course import Course, train
from tinyq.training.joint import train_jointly
from tinyq.training.lowering.agreement import compare_layers
from tinyq.training.lowering.network import lower_keras
from tinyq.training.phases import LossTerm, Phase
from tinyq.training.recipe import read_recipe
from tinyq.training.structures import gate_shortcuts, widen

SHAPE = (6, 6, 1)
ROWS = load_catalogue().values()
RECIPES = {name: said for row in ROWS for name, said in row.recipes.items()}
CALIBRATIONS = {name: said for row in ROWS for name, said in row.calibrations.items()}


@pytest.fixture
def data(rng):
    x = rng.normal(size=(64, *SHAPE)).astype(np.float32)
    return make_dataset(x, (x[:, :3].mean(axis=(1, 2, 3)) > 0).astype(np.int64))


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)

    def body(x):
        x = normed(x, L.Conv2D(4, 3, padding="same", name="first"))
        y = L.BatchNormalization(name="norm")(L.Conv2D(4, 3, padding="same", name="inner")(x))
        return L.Dense(2, name="last")(L.Flatten()(L.ReLU(name="out")(L.Add(name="sum")([x, y]))))

    return functional(SHAPE, body)


def shorten(recipe):
    """The same with one epoch in each phase."""
    return {**recipe, "phases": [{**phase, "epochs": 1} for phase in recipe["phases"]]}


# The rest is made of the same phases; TINYQ_RECIPES=all trains them, too.
SOME = ("apprentice_a", "zhuang2018_4", "reactnet_two_steps")
TRAINED = tuple(RECIPES) if os.environ.get("TINYQ_RECIPES") == "all" else SOME


@pytest.mark.parametrize("name", RECIPES)
def test_a_whole_recipe_is_one(name):
    phases = read_recipe(RECIPES[name]).phases
    assert phases and any(phase.teacher for phase in phases)


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.filterwarnings("ignore::tinyq.errors.TinyqWarning")
def test_a_whole_recipe_trains_and_leaves_codes(name, model, data):
    trained = train(model, shorten(RECIPES[name]), data, data, Course(batch_size=16))
    assert len(trained.epochs) == len(RECIPES[name]["phases"])
    graph = lower_keras(trained.model)
    assert all(layer.differing == 0 for layer in compare_layers(trained.model, graph, data.x))
    last = read_recipe({**RECIPES[name], **RECIPES[name]["phases"][-1].get("recipe", {})})
    assert trained.model.get_layer("inner").weight_method == last.weights


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_options_of_calibrations_exist(name):
    check_options(Calibration(**CALIBRATIONS[name]))


def test_functions_of_rows_exist():
    functions = [name for row in ROWS for name in row.functions]
    for name in functions:
        module, _, function = name.rpartition(".")
        assert callable(getattr(importlib.import_module(module), function))
    assert len(functions) >= 4


def test_rows_tell_of_their_ways():
    for row in ROWS:
        told = describe_method(row)
        ways = [*row.recipes, *row.calibrations, *row.searches, *row.functions]
        found = [told[key] for key in ("recipes", "calibrations", "searches", "functions")]
        assert [name for part in found for name in part] == ways


def test_a_teacher_trains_along(model, data):
    """Its weights move by the labels; with a term that is mutual, by the student, too."""
    student = tinyq.quantize(model, {"weights": "int4"})
    found = []
    for learns, mutual in ((False, False), (True, False), (True, True)):
        teacher = keras.models.clone_model(model)
        teacher.set_weights(model.get_weights())
        term = LossTerm(kind="l2", weight=5.0, mutual=mutual)
        guided = distillation.Guided(student, teacher, [term], learns=learns)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        guided.compile(keras.optimizers.SGD(0.05), loss=loss)
        before = [weight.copy() for weight in student.get_weights()]
        guided.fit(data.x, data.y, batch_size=64, epochs=1, verbose=0, shuffle=False)
        found.append(np.concatenate([w.ravel() for w in teacher.get_layer("last").get_weights()]))
        student.set_weights(before)
    start = np.concatenate([w.ravel() for w in model.get_layer("last").get_weights()])
    np.testing.assert_array_equal(found[0], start)
    assert (found[1] != start).any() and (found[2] != found[1]).any()


def test_taps_by_pattern_are_all_layers_with_weights(model):
    student = tinyq.quantize(model, {"weights": "int4"})
    guided = distillation.Guided(student, model, [LossTerm(kind="l2", taps=["*"])])
    assert guided.counts == (3,)
    with pytest.raises(RecipeError, match="matches no layer with weights"):
        distillation.Guided(student, model, [LossTerm(kind="l2", taps=["x*"])])


def test_a_teacher_that_trains_needs_labels():
    with pytest.raises(ValueError, match="needs labels"):
        Phase(teacher_trains=True)


@pytest.mark.parametrize("factor", [0.5, 2.0, 3.0])
def test_wide_networks_keep_their_ends(factor, model):
    wide = widen(model, factor)
    assert wide.output_shape == model.output_shape and wide.input_shape == model.input_shape
    for name in ("first", "inner"):
        assert wide.get_layer(name).filters == round(4 * factor)
    assert wide.get_layer("last").units == 2


def test_gates_begin_with_the_same_function_and_leave_codes(model, data):
    for weight in model.weights:
        weight.assign(np.random.default_rng(1).uniform(0.2, 0.9, weight.shape))
    gated = gate_shortcuts(model)
    np.testing.assert_allclose(
        gated.predict(data.x, verbose=0), model.predict(data.x, verbose=0), rtol=1e-4
    )
    assert [layer.name for layer in gated.layers if "gate" in layer.name] == ["sum_gate_0"]
    quantized = tinyq.quantize(gated, {"weights": "bbg", "layers": {"*gate*": "int8"}})
    quantized.compile("adam", "mse")
    quantized.fit(data.x, np.zeros((64, 2)), verbose=0)
    graph = lower_keras(quantized)
    assert all(layer.differing == 0 for layer in compare_layers(quantized, graph, data.x))
    assert (np.asarray(quantized.get_layer("sum_gate_0").kernel) != 1.0).any()


def test_one_kernel_has_several_widths(model, data):
    recipes = [{"weights": f"adabits{bits}", "activations": "int8"} for bits in (6, 4)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TinyqWarning)
        wide, narrow = train_jointly(
            model, recipes, data, Course(epochs=6, rate=0.01, batch_size=8)
        )
    codes = []
    for one in (wide, narrow):
        np.testing.assert_array_equal(one.get_layer("inner").kernel, wide.get_layer("inner").kernel)
        graph = lower_keras(one)
        assert all(layer.differing == 0 for layer in compare_layers(one, graph, data.x))
        answers = one.predict(data.x, verbose=0).argmax(axis=-1)
        assert np.mean(answers == data.y) > 0.8
        codes.append(one.get_layer("inner").weight_codes())
    # Fewer bits are the first of more: places 0 .. 2**bits - 1 of odd codes.
    np.testing.assert_array_equal((codes[1] + 15) // 2, (codes[0] + 63) // 2 // 4)
    assert (wide.get_layer("inner").kernel != model.get_layer("inner").kernel.numpy()).numpy().any()


def test_joint_training_refuses_methods_with_a_course(model, data):
    recipes = [{"weights": "int8"}, {"weights": "ir_net", "activations": "int8"}]
    with pytest.raises(TinyqError, match="changes in the course"):
        train_jointly(model, recipes, data)
    with pytest.raises(TinyqError, match="one recipe"):
        train_jointly(model, recipes[:1], data)
