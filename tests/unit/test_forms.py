"""Layers with fewer channels or in groups: what stays computes what it did."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tinyq.errors import ModelError, RecipeError
from tinyq.exploration.forms import PLAIN, Form, reshape_layers
from tinyq.exploration.space import Pair, read_space
from tinyq.training.rewriting import rewrite

L = keras.layers


def build_network() -> keras.Model:
    """Convolutions with BatchNorms, a depthwise one, a sum, a Flatten: each in a reader's place."""
    keras.utils.set_random_seed(3)
    start = keras.Input((6, 6, 3), name="image")
    x = L.ReLU(name="r1")(L.BatchNormalization(name="n1")(L.Conv2D(8, 3, name="wide")(start)))
    x = L.BatchNormalization(name="n2")(L.DepthwiseConv2D(3, padding="same", name="deep")(x))
    y = L.Conv2D(4, 1, name="left")(x)
    z = L.Conv2D(4, 3, padding="same", name="right")(x)
    x = L.MaxPooling2D(name="pool")(L.Add(name="sum")([y, z]))
    x = L.Dense(6, name="inner", activation="relu")(L.Flatten(name="flat")(x))
    model = keras.Model(start, L.Dense(3, name="answer")(x))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        drawn = [rng.uniform(0.2, 1.0, it.shape) for it in layer.get_weights()]
        if drawn:
            layer.set_weights(drawn)
    return rewrite(model).model


def silence(model: keras.Model, name: str, norm: str | None, lost: np.ndarray) -> keras.Model:
    """A copy whose channels of one layer are 0 for every reader."""
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    layer = twin.get_layer(name)
    layer.set_weights([np.where(lost, 0.0, it) for it in layer.get_weights()])
    if norm is not None:
        gamma, beta, mean, variance = twin.get_layer(norm).get_weights()
        zero = np.where(lost, 0.0, 1.0)
        twin.get_layer(norm).set_weights([gamma * zero, beta * zero, mean, variance])
    return twin


@pytest.mark.parametrize(("name", "keep", "left"), [("wide", 0.5, 4), ("inner", 0.34, 2)])
def test_channels_that_go_are_as_if_they_were_zero(name: str, keep: float, left: int) -> None:
    model = build_network()
    x = np.random.default_rng(1).normal(size=(5, 6, 6, 3)).astype(np.float32)
    found = reshape_layers(model, {name: Form(keep)})
    assert found.get_layer(name).output.shape[-1] == left
    kernel = model.get_layer(name).get_weights()[0]
    sizes = np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]), axis=0)
    if name == "wide":
        gamma, _, _, variance = model.get_layer("n1").get_weights()
        sizes = sizes * gamma / np.sqrt(variance + model.get_layer("n1").epsilon)
    lost = np.ones(len(sizes), bool)
    lost[np.argsort(-sizes)[:left]] = False
    plain = silence(model, name, "n1" if name == "wide" else None, lost)
    if name == "wide":  # the depthwise convolution and its BatchNorm add to channels of their own
        plain.get_layer("deep").set_weights(
            [
                plain.get_layer("deep").get_weights()[0],
                np.where(lost, 0.0, model.get_layer("deep").get_weights()[1]),
            ]
        )
        weights = plain.get_layer("n2").get_weights()
        zero = np.where(lost, 0.0, 1.0)
        plain.get_layer("n2").set_weights([weights[0] * zero, weights[1] * zero, *weights[2:]])
    np.testing.assert_allclose(
        found.predict(x, verbose=0), plain.predict(x, verbose=0), rtol=1e-4, atol=1e-4
    )
    assert found.count_params() < model.count_params()


def test_groups_are_the_blocks_of_the_diagonal() -> None:
    model = build_network()
    x = np.random.default_rng(1).normal(size=(5, 6, 6, 3)).astype(np.float32)
    found = reshape_layers(model, {"right": Form(groups=4), "left": Form(groups=2)})
    assert found.get_layer("right").groups == 4
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    for name, groups in (("right", 4), ("left", 2)):
        kernel, bias = twin.get_layer(name).get_weights()
        inputs, outputs = (np.arange(n) * groups // n for n in kernel.shape[-2:])
        twin.get_layer(name).set_weights([kernel * (inputs[:, None] == outputs), bias])
    np.testing.assert_allclose(
        found.predict(x, verbose=0), twin.predict(x, verbose=0), rtol=1e-4, atol=1e-4
    )
    both = reshape_layers(model, {"wide": Form(0.5), "right": Form(groups=2)})
    assert both.get_layer("right").kernel.shape[-2:] == (2, 4)


@pytest.mark.parametrize(
    ("name", "form", "why"),
    [
        ("left", Form(0.5), "together with others"),
        ("answer", Form(0.5), "output of the model"),
        ("deep", Form(0.5), "channels of its own"),
        ("left", Form(groups=3), "not 3 groups"),
        ("inner", Form(groups=2), "not 2 groups"),
    ],
)
def test_forms_that_cannot_be(name: str, form: Form, why: str) -> None:
    model = build_network()
    before = model.get_weights()
    with pytest.raises(ModelError, match=why) as caught:
        reshape_layers(model, {name: form})
    assert caught.value.where == name
    assert all(map(np.array_equal, before, model.get_weights()))


def test_a_space_says_forms() -> None:
    pairs = [{"weights": "int4", "activations": "int8", "keep": 0.5, "groups": 2}, "int8"]
    space = read_space({"layers": {"*": pairs}}, ["one", "two"])
    assert space.layers["one"][0] == Pair("int4", "int8", Form(0.5, 2))
    assert space.layers["one"][0].label == "int4/int8 keep=0.5 groups=2"
    assert space.layers["one"][1].form == PLAIN
    assert space.forms((0, 1)) == {"one": Form(0.5, 2)}
    for wrong in ({"keep": 0.0}, {"keep": 1.5}, {"groups": 0}, {"groups": 1.5}, {"keep": "half"}):
        with pytest.raises(RecipeError, match="no form"):
            read_space({"layers": {"*": [{**pairs[0], **wrong}]}}, ["one"])
    with pytest.raises(RecipeError, match="no pair"):
        read_space({"layers": {"*": [{**pairs[0], "depth": 2}]}}, ["one"])


def test_channels_go_through_a_flatten() -> None:
    keras.utils.set_random_seed(4)
    start = keras.Input((4, 4, 2), name="image")
    x = L.Conv2D(5, 3, name="conv")(start)
    model = rewrite(keras.Model(start, L.Dense(3, name="answer")(L.Flatten()(x)))).model
    x = np.random.default_rng(1).normal(size=(5, 4, 4, 2)).astype(np.float32)
    found = reshape_layers(model, {"conv": Form(0.6)})
    kernel = model.get_layer("conv").get_weights()[0]
    lost = np.ones(5, bool)
    lost[np.argsort(-np.linalg.norm(kernel.reshape(-1, 5), axis=0))[:3]] = False
    plain = silence(model, "conv", None, lost)
    np.testing.assert_allclose(
        found.predict(x, verbose=0), plain.predict(x, verbose=0), rtol=1e-4, atol=1e-5
    )
