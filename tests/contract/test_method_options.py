"""Options of methods: typed, in range, said in recipes and names, and of effect."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest

from tests.small_models import L, functional, normed, scramble
from tinyq.errors import RecipeError, TinyqError
from tinyq.quantizers import find_method, find_weights
from tinyq.quantizers.catalogue import find_entry, load_classes
from tinyq.quantizers.curves import explain, name_parts
from tinyq.quantizers.explanations import find_explanation
from tinyq.quantizers.finding import METHODS
from tinyq.quantizers.method import ROLES, Method, defaults, from_name, list_options
from tinyq.quantizers.methods.ternary import Ttq
from tinyq.training import calibrate, quantize
from tinyq.training.lowering.agreement import compare_layers
from tinyq.training.lowering.network import lower_keras
from tinyq.training.recipe import read_recipe

CLASSES = load_classes()
OPTIONS = [(name, key) for name, cls in CLASSES.items() for key in list_options(cls)]


def other_values(cls, key):
    """Values other than the default that an option may have."""
    known, default = list_options(cls)[key], defaults(cls)[key]
    if known.choices:
        return [value for value in known.choices if value != default]
    if isinstance(default, bool):
        return [not default]
    high = known.high if np.isfinite(known.high) else 2 * default + 1
    return [(default + high) / 2, (default + known.low) / 2]


def wrong_values(cls, key):
    """Values that an option may not have: of another type, and outside of its range."""
    known, default = list_options(cls)[key], defaults(cls)[key]
    found = [None, [default], "few", float("nan"), 1 if isinstance(default, bool) else True]
    if known.choices or isinstance(default, bool):
        return [*found, 99, "99"]
    ends = [end for end in (known.low, known.high) if np.isfinite(end)]
    return [*found, *(ends if known.open else [end * 1.5 + np.sign(end - 0.1) for end in ends])]


def made(method):
    """Parts by role, where these options have some."""
    parts = {role: getattr(method, role)() for role in ROLES}
    return {role: found for role, found in parts.items() if found is not None}


@pytest.mark.parametrize(("name", "key"), OPTIONS)
def test_an_option_is_said_in_every_way(name, key):
    cls = CLASSES[name]
    for value in other_values(cls, key):
        method = cls(**{key: value})
        assert str(method) == f"{name}({key}={value})" and method.changed == {key: value}
        roles = made(method)
        assert roles, "no role has this value"
        for role in ROLES:
            if role not in roles:
                with pytest.raises(TinyqError, match=f"(not|method .*) for {role}"):
                    find_method(str(method), role)
                continue
            said = find_method(str(method), role)
            assert said.name == method.name_for(role) and said.entry is cls.entry
            recipe = {"activations": "uint4" if role == "weights" else "int8"}
            recipe[role] = {"method": name, key: value}
            assert getattr(read_recipe(recipe), role) == said.name
            recipe[role] = method
            assert getattr(read_recipe(recipe), role) == said.name
            assert getattr(said, role).format == roles[role].format


@pytest.mark.parametrize(("name", "key"), OPTIONS)
def test_a_wrong_value_is_refused(name, key):
    cls = CLASSES[name]
    for value in wrong_values(cls, key):
        with pytest.raises(TinyqError, match=f"option '{key}' cannot be") as caught:
            cls(**{key: value})
        assert caught.value.where == name and list_options(cls)[key].meaning in caught.value.remedy


@pytest.mark.parametrize("name", METHODS)
def test_a_name_stands_for_its_options(name):
    entry = METHODS[name].entry
    method = from_name(CLASSES[entry.id], name)
    for role in ROLES:
        if name in getattr(entry, role):
            again = find_method(str(method), role)
            assert getattr(again, role).format == getattr(METHODS[name], role).format
            assert name_parts(again.name, role) == name_parts(name, role)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"method": "ttq", "treshold": 0.2}, ["weights: ", "no option 'treshold'", "'threshold'"]),
        ({"method": "ttq", "threshold": 2}, ["weights: ", "cannot be 2", "between 0 and 1"]),
        ({"method": "tqt"}, ["there is no method 'tqt' for weights"]),
        ({"method": "hawq"}, ["there is no method 'hawq' for weights"]),
        ({"threshold": 0.2}, ["weights", "string"]),
        ({"method": "pact", "bits": 5}, ["pact(bits=5)", "not for weights", "pact4"]),
        ("ttq(threshold)", ["cannot read the option 'threshold'"]),
        ("ttq(threshold=0.1, threshold=0.2)", ["each option once"]),
        ("ttq(threshold=__import__('os'))", ["there is no method"]),
        ("fixed4_3(threshold=1)", ["there is no method 'fixed4_3'"]),
        ({"method": "mine.py:own", "bits": 3}, ["your own has no options"]),
    ],
)
def test_a_wrong_recipe_says_what_is_wrong(said, words):
    with pytest.raises(RecipeError) as caught:
        read_recipe({"weights": said})
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_the_threshold_of_ttq_decides_about_zeros(rng):
    kernel = rng.normal(0, 0.3, (3, 3, 8, 8)).astype(np.float32)

    def zeros(method):
        quantizer = find_weights(str(method)).build((0, 1, 2))
        quantizer.build(kernel.shape)
        return float(np.mean(np.asarray(quantizer.split(kernel)[0]) == 0))

    share = 0.4 * np.abs(kernel).max()
    assert zeros(Ttq(threshold=0.4)) == pytest.approx(np.mean(np.abs(kernel) <= share), abs=1e-6)
    assert zeros(Ttq()) < zeros(Ttq(threshold=0.2)) < zeros(Ttq(threshold=0.4))


def test_a_model_with_options_is_saved_loads_and_agrees(tmp_path, rng):
    def body(x):
        x = normed(x, L.Conv2D(6, 3, use_bias=False, name="conv_1"))
        x = normed(x, L.Conv2D(8, 3, use_bias=False, name="conv_2"))
        return L.Dense(3, name="scores")(L.Flatten(name="flatten")(x))

    model = functional((8, 8, 2), body)
    scramble(model, rng)
    recipe = {
        "weights": {"method": "ttq", "threshold": 0.2},
        "activations": {"method": "int8", "momentum": 0.5},
        "first": {"weights": Ttq(threshold=0.3)},
    }
    quantized = quantize(model, recipe)
    x = rng.normal(0, 1, (32, 8, 8, 2)).astype(np.float32)
    calibrate(quantized, x)
    path = tmp_path / "model.keras"
    quantized.save(path)
    loaded = keras.models.load_model(path)
    assert loaded.get_layer("conv_1").weight_method == "ttq(threshold=0.3)"
    assert loaded.get_layer("conv_2").weight_method == "ttq(threshold=0.2)"
    np.testing.assert_array_equal(quantized.predict(x, verbose=0), loaded.predict(x, verbose=0))
    graph = lower_keras(loaded)
    assert all(layer.differing == 0 for layer in compare_layers(loaded, graph, x))


PAIRS = [
    (name, role)
    for name, role in itertools.product(METHODS, ROLES)
    if name in getattr(METHODS[name].entry, role)
]


@pytest.mark.parametrize("role", ROLES)
def test_the_table_of_explanations_is_of_this_code(role):
    for name, kind in PAIRS:
        if kind != role:
            continue
        told = find_explanation(name, role)
        assert told is not None, f"{name}: run `python -m tinyq.quantizers.curves`"
        now = explain(name, role)
        hint = f"{role} {name} changed: run `python -m tinyq.quantizers.curves`"
        assert (told.parts, told.phases) == (now.parts, now.phases), hint
        for old, new in ((told.curve.y, now.curve.y), (told.curve.slope, now.curve.slope)):
            np.testing.assert_allclose(old, new, atol=3e-4 * max(np.ptp(new), 1.0), err_msg=hint)


def test_every_class_is_a_method_with_a_summary_of_its_own():
    for name, cls in CLASSES.items():
        assert issubclass(cls, Method) and cls.__doc__, name
        assert find_entry(name) is cls.entry and made(cls()), name
