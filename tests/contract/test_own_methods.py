"""A method in a user's own file trains, is saved, loads, and is exported like any other."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

import tinyq
from tests.small_models import L, functional, normed, scramble
from tinyq.commands.cli import main
from tinyq.errors import RecipeError, TinyqError
from tinyq.quantizers.catalogue import OWN_ENTRIES
from tinyq.quantizers.finding import OWN, find_method
from tinyq.training import calibrate
from tinyq.training.lowering.agreement import compare_layers
from tinyq.training.lowering.network import load_keras, lower_keras
from tinyq.training.recipe import read_recipe

FILE = '''
from keras import ops
import tinyq
from tinyq.quantizers.learned_activations import StepQuantizer

@tinyq.register_weights(format="s4")
def sevenths(kernel, axes):
    """Fifteen levels up to the largest magnitude of a filter."""
    scale = ops.max(ops.abs(kernel), axis=axes, keepdims=True) / 7 + 1e-6
    return kernel / scale, scale

@tinyq.register_weights("signs", format="b1")
def signs(kernel, axes):
    """Signs with one scale for the layer."""
    return kernel, ops.mean(ops.abs(kernel)) + 1e-6

@tinyq.register_activations("steps", format="u4", bits=3)
class Steps(StepQuantizer):
    """Three bits with a learned step."""
'''


@pytest.fixture
def file(tmp_path):
    before, rows = dict(OWN), dict(OWN_ENTRIES)
    path = tmp_path / "mine.py"
    path.write_text(FILE, "utf-8")
    yield path
    OWN.clear()
    OWN.update(before)
    OWN_ENTRIES.clear()
    OWN_ENTRIES.update(rows)


def test_an_own_method_is_explained(file, capsys):
    assert main(["--methods", str(file), "methods", "sevenths"]) == 0
    shown = capsys.readouterr().out
    assert "Fifteen levels up to the largest magnitude" in shown and str(file) in shown
    assert "weights: sevenths: format s4" in shown and "weights sevenths: l levels" in shown


def network(rng):
    def body(x):
        x = normed(x, L.Conv2D(6, 3, use_bias=False, name="conv_1"))
        x = normed(x, L.Conv2D(8, 3, use_bias=False, name="conv_2"))
        return L.Dense(3, name="scores")(L.Flatten(name="flatten")(x))

    model = functional((8, 8, 2), body)
    scramble(model, rng)
    return model


@pytest.mark.parametrize("weights", ["sevenths", "signs"])
def test_from_recipe_to_answers_of_the_generated_code(weights, file, rng, tmp_path, capsys):
    recipe = {"weights": f"{file}:{weights}", "activations": f"{file}:steps"}
    model = tinyq.quantize(network(rng), recipe)
    x = rng.normal(size=(32, 8, 8, 2)).astype(np.float32)
    calibrate(model, x)
    layer = model.get_layer("conv_2")
    before = ops.convert_to_numpy(layer.kernel)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, rng.integers(0, 3, 32), verbose=0)
    assert (ops.convert_to_numpy(layer.kernel) != before).mean() > 0.1
    codes = layer.weight_codes()
    assert len(np.unique(codes)) == (2 if weights == "signs" else 15)

    model.save(tmp_path / "own.keras")
    loaded = load_keras(tmp_path / "own.keras")
    assert loaded.get_layer("conv_2").weight_method == weights
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    assert sum(row.differing for row in compare_layers(loaded, lower_keras(loaded), x)) == 0

    np.savez(tmp_path / "data.npz", x=x)
    OWN.clear()
    folder = str(tmp_path / "out")
    build = ["build", str(tmp_path / "own.keras"), "--board", "host", "-o", folder]
    assert main(build) == 2
    assert "--methods" in capsys.readouterr().err
    assert main(["--methods", str(file), *build]) == 0
    capsys.readouterr()
    measure = ["measure", folder, "--target", "host", "--data", str(tmp_path / "data.npz")]
    assert main([*measure, "--json"]) == 0
    assert '"mismatches": 0' in capsys.readouterr().out


def test_path_begins_at_the_recipe_file(file):
    recipe = file.with_name("recipe.yaml")
    recipe.write_text("weights: mine.py:sevenths\nlayers: {x: {weights: mine.py:signs}}\n", "utf-8")
    found = read_recipe(recipe)
    assert (found.weights, found.layers["x"].weights) == ("sevenths", "signs")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.py:sevenths", "no such file of methods"),
        ("mine.py:eighths", "registers no method 'eighths'"),
        ("broken.py:sevenths", "the file raises ZeroDivisionError"),
    ],
)
def test_wrong_file(file, name, message):
    file.with_name("broken.py").write_text("1 / 0\n", "utf-8")
    recipe = file.with_name("recipe.yaml")
    recipe.write_text(f"weights: {name}\n", "utf-8")
    with pytest.raises(RecipeError, match=message):
        read_recipe(recipe)


def only_codes(kernel, axes):
    return kernel


def negative_scale(kernel, axes):
    return kernel, -1.0


def transposed(kernel, axes):
    return ops.transpose(kernel), 1.0


@pytest.mark.parametrize("function", [only_codes, negative_scale, transposed])
def test_function_that_gives_no_codes(file, function):
    with pytest.raises(TinyqError, match="does not give codes and a scale"):
        tinyq.register_weights(format="s4")(function)
    with pytest.raises(TinyqError):
        find_method(function.__name__, "weights")


def test_names_are_taken_once(file, tmp_path):
    def twn(kernel, axes):
        return kernel, 1.0

    with pytest.raises(TinyqError, match="belongs to"):
        tinyq.register_weights(format="t2")(twn)
    tinyq.load_methods(file)
    tinyq.load_methods(file)
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "mine.py"
    other.write_text(FILE, "utf-8")
    with pytest.raises(TinyqError, match="registered twice"):
        tinyq.load_methods(other)


def test_format_without_integers_of_a_range():
    with pytest.raises(TinyqError, match="c4"):
        tinyq.register_weights(format="c4")


def test_example_registers_its_method(file):
    example = Path(__file__).parents[2] / "examples/own_method.py"
    tinyq.load_methods(example)
    assert find_method("quinary", "weights").weights.format == "s4"
