"""Networks of every kind of layer: rewritten, quantized, lowered, run in C; codes never differ."""

from __future__ import annotations

import ast
import functools
import os
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

import tinyq.training
from tests.harness import SANITIZE, compile_model, named_differences
from tests.keras_situations import SITUATIONS, draw_inputs, list_kinds, make_model
from tinyq.codegen import emit
from tinyq.errors import ModelError
from tinyq.graph.reference import quantize_input, run_named
from tinyq.memory.planner import plan
from tinyq.training import calibrate, post_training
from tinyq.training.inputs import check_inputs
from tinyq.training.lowering.agreement import compare_layers
from tinyq.training.lowering.network import import_keras, lower_keras
from tinyq.training.registry import (
    find_classes,
    find_lowerings,
    find_quantizations,
    find_rewriters,
    kind_of,
)
from tinyq.training.rewriting import rewrite

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ROOT / "tinyq" / "training" / "layers"
ALL = "TINYQ_SITUATIONS"
SAMPLE = (
    *("Conv2D groups", "Conv2DTranspose", "squeeze and excite", "softmax in the middle"),
    *("Minimum", "slices", "two inputs and three outputs", "a model of a user's class"),
)
CHOSEN = tuple(SITUATIONS) if os.environ.get(ALL) else SAMPLE
LEAST_DB = 20.0


def predict(model, x):
    return keras.tree.flatten(model.predict_on_batch(x))


@pytest.mark.parametrize("name", CHOSEN)
def test_codes_are_the_same_in_keras_reference_and_c(name):
    """A sample; all of them with TINYQ_SITUATIONS=1 in the environment."""
    model, x = make_model(name), draw_inputs(name, 64)
    wanted = predict(model, x)
    plain = predict(rewrite(model).model, x)
    quantized = post_training(model, x)
    found = predict(quantized, x)
    for real, rewritten, integer in zip(wanted, plain, found, strict=True):
        np.testing.assert_allclose(rewritten, real, atol=1e-4 * max(1.0, np.abs(real).max()))
        noise = np.square(real - integer).sum()
        assert 10 * np.log10(np.square(real).sum() / noise) > LEAST_DB
    lowered = lower_keras(quantized)
    assert [entry for entry in compare_layers(quantized, lowered, x) if entry.differing] == []
    graph = import_keras(quantized)
    arrays = check_inputs(x, model)
    codes = {
        name: quantize_input(array, graph.tensors[name].type)
        for name, array in zip(graph.inputs, arrays, strict=True)
    }
    simplified, whole = run_named(graph, codes), run_named(lowered, codes)
    for first, second in zip(simplified.values(), whole.values(), strict=True):
        np.testing.assert_array_equal(first, second)
    program = compile_model(emit(graph, plan(graph)), "gcc", SANITIZE)
    assert named_differences(graph, program, {key: rows[:16] for key, rows in codes.items()}) == 0


@pytest.mark.skipif(not os.environ.get(ALL), reason=f"takes minutes; set {ALL}=1")
@pytest.mark.parametrize("name", SITUATIONS)
def test_it_trains(name):
    """Quantization-aware training moves the weights, and the codes are the same afterwards."""
    model, x = make_model(name), draw_inputs(name, 64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        quantized = tinyq.quantize(model, {})
    calibrate(quantized, x)
    if not quantized.trainable_variables:
        return  # pools alone: nothing to train, and the codes are compared above
    rng = np.random.default_rng(1)
    target = keras.tree.map_structure(lambda y: rng.normal(size=y.shape), model.predict_on_batch(x))
    quantized.compile(keras.optimizers.Adam(1e-2), "mse")
    before = [variable.numpy().copy() for variable in quantized.trainable_variables]
    history = quantized.fit(x, target, batch_size=32, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    moved = [
        np.abs(variable.numpy() - old).max() > 0
        for variable, old in zip(quantized.trainable_variables, before, strict=True)
        if "kernel" in variable.name
    ]
    assert all(moved)
    lowered = lower_keras(quantized)
    assert [entry for entry in compare_layers(quantized, lowered, x) if entry.differing] == []


def test_every_kind_of_layer_has_a_network():
    """Every kind of Keras that is registered is in a network of tests/keras_situations.py."""
    known = {*find_rewriters(), *find_quantizations(), *find_lowerings()}
    foreign = {kind for kind in known if kind.startswith("ops.") or hasattr(keras.layers, kind)}
    missing = foreign - list_kinds()
    assert not missing, (
        f"add a network with {', '.join(sorted(missing))} to tests/keras_situations.py: "
        "one line, situation(name, shape, body)"
    )


def list_files() -> dict[str, set[str]]:
    """Kinds that each file of tinyq/training/layers registers, by the words of its decorators."""
    found = {}
    for path in sorted(LAYERS.glob("*.py")):
        calls = [it for it in ast.walk(ast.parse(path.read_text("utf-8"))) if is_registration(it)]
        if calls:
            words = (word for call in calls for it in call.args for word in ast.walk(it))
            found[path.stem] = {it.value for it in words if isinstance(it, ast.Constant)}
    return found


def is_registration(node):
    named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    return named and node.func.id in ("rewrites", "quantizes", "lowers")


FILES = list_files()


@functools.cache
def met() -> frozenset[str]:
    """Kinds in the networks as they are, and in one of them quantized."""
    quantized = tinyq.quantize(make_model(SAMPLE[0]), {})
    return frozenset(list_kinds() | {kind_of(layer) for layer in quantized.layers})


@functools.cache
def met_rewritten(name) -> frozenset[str]:
    """Kinds in a network of plain layers."""
    return frozenset(kind_of(layer) for layer in rewrite(make_model(name)).model.layers)


@pytest.mark.parametrize("file", FILES)
def test_a_file_of_layers_has_a_test(file):
    """What it registers is in a network, or it has a test of its own."""
    own = ROOT / "tests" / "unit" / f"test_layer_{file}.py"
    if own.exists() or FILES[file] & met():
        return
    assert any(FILES[file] & met_rewritten(name) for name in SITUATIONS), (
        f"no test holds tinyq/training/layers/{file}.py: add a network with "
        f"{' or '.join(sorted(FILES[file]))} to tests/keras_situations.py, or write "
        f"tests/unit/{own.name}"
    )


def test_every_quantized_layer_is_lowered_and_named():
    """What is registered with Keras has a lowering, and a file can name it."""
    layers = {name for name, cls in find_classes().items() if not issubclass(cls, keras.Model)}
    unlowered = layers - set(find_lowerings())
    assert not unlowered, f"add @lowers({', '.join(map(repr, sorted(unlowered)))}) to its file"
    for name in find_classes():
        assert keras.saving.get_registered_object(f"tinyq>{name}") is getattr(tinyq.training, name)


class Classifier(keras.Model):
    """A model of a user's class, whose input shape is known once it was called."""

    def __init__(self):
        super().__init__(name="classifier")
        self.convolution = keras.layers.Conv2D(4, 3, activation="relu")
        self.pool = keras.layers.GlobalAveragePooling2D()
        self.head = keras.layers.Dense(3)

    def call(self, inputs, training=False):
        """A convolution, its mean, a fully connected layer."""
        x = self.convolution(inputs)
        return self.head(self.pool(x * 2.0))


def test_a_model_of_a_class_is_followed_through_its_call():
    x = np.random.default_rng(0).normal(size=(32, 8, 8, 2)).astype(np.float32)
    model = Classifier()
    with pytest.raises(ModelError, match="no fixed input shape") as caught:
        post_training(model, x)
    assert "call it once" in caught.value.remedy
    wanted = model(x).numpy()
    quantized = post_training(model, x)
    found = quantized.predict_on_batch(x)
    assert np.square(wanted - found).sum() < 0.01 * np.square(wanted).sum()
    assert [tensor.name for tensor in quantized.inputs] == ["input"]
    lowered = lower_keras(quantized)
    assert [entry for entry in compare_layers(quantized, lowered, x) if entry.differing] == []


def test_a_call_that_asks_for_values_is_refused():
    class Branching(keras.layers.Layer):
        def call(self, inputs):
            return inputs if float(inputs[0, 0]) > 0 else -inputs

        def compute_output_shape(self, input_shape):
            return input_shape

    class Around(keras.layers.Layer):
        def compute_output_shape(self, input_shape):
            return input_shape

        def call(self, inputs):
            return keras.ops.convert_to_tensor(np.asarray(inputs))

    inputs = keras.Input((4,))
    for layer in (Branching(name="own"), Around(name="own")):
        model = keras.Model(inputs, keras.layers.Dense(2)(layer(inputs)))
        with pytest.raises(ModelError, match="cannot be followed") as caught:
            post_training(model, np.ones((2, 4)))
        assert caught.value.where == "own" and "keras.ops" in caught.value.remedy
