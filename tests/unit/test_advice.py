"""Each finding has a model that causes it and a neighbour that does not; flips of codes."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from keras import ops

import tinyq
from tests.small_models import L, functional, normed
from tinyq.commands.cli import main
from tinyq.training import CodeFlipRate, advise, calibrate
from tinyq.training.lowering.agreement import compare_layers
from tinyq.training.lowering.network import lower_keras

SHAPE = (8, 8, 3)
BINARY = {"weights": "binary", "activations": "binary"}


def convolution(filters, name, **options):
    return L.Conv2D(filters, 3, padding="same", use_bias=False, name=name, **options)


def network(*, pool="before", norm=True, slope=False, shortcut=False, decay=None, end=None):
    """Two binary layers between two others."""

    def block(x, name):
        layer = convolution(4, name, kernel_regularizer=decay)
        y = layer(x)
        y = L.BatchNormalization(name=f"{name}_norm")(y) if norm else y
        return L.PReLU(shared_axes=[1, 2], name=f"{name}_slope")(y) if slope else y

    def body(x):
        x = convolution(4, "conv_1")(x)
        if pool == "before":
            x = L.MaxPooling2D(name="pool")(x)
        x = L.BatchNormalization(name="conv_1_norm")(x)
        if pool == "after":
            x = L.MaxPooling2D(name="pool")(x)
        for name in ("conv_2", "conv_3"):
            y = block(x, name)
            x = L.Add(name=f"{name}_add")([x, y]) if shortcut else y
        x = L.Dense(3, use_bias=False, name="scores")(L.Flatten(name="flatten")(x))
        return x if end is None else end(x)

    return functional(SHAPE, body)


def find(model, layer, words):
    return [row for row in advise(model) if row.layer == layer and words in row.what]


def test_a_model_by_the_book_has_no_findings():
    assert advise(tinyq.quantize(network(shortcut=True), BINARY)) == ()
    assert advise(tinyq.quantize(network(), {})) == ()


@pytest.mark.parametrize("pool", ["before", "after"])
def test_pooling_of_signs(pool):
    found = find(tinyq.quantize(network(pool=pool), BINARY), "pool", "largest of signs")
    assert len(found) == (pool == "after")


@pytest.mark.parametrize(
    ("change", "layer"),
    [
        ({"first": {"weights": "ternary"}}, "conv_1"),
        ({"last": {"weights": "int4"}}, "scores"),
        ({"last": {"activations": "binary"}}, "scores"),
    ],
)
def test_ends_of_few_bits(change, layer):
    (place,) = change
    (found,) = find(tinyq.quantize(network(), change), layer, f"the {place} layer")
    assert f"{place}: int8" in found.remedy


@pytest.mark.parametrize("norm", [True, False])
def test_sums_without_a_scale(norm):
    bare = {"weights": "bnn", "activations": "bnn", "last": "bnn"}
    model = tinyq.quantize(network(norm=norm), bare)
    assert len(find(model, "conv_2", "without a scale")) == (not norm)
    assert len(find(model, "scores", "sums of signs")) == 1
    scaled = tinyq.quantize(network(norm=norm), {**BINARY, "last": "binary"})
    assert not find(scaled, "conv_2", "without a scale") + find(scaled, "scores", "sums of signs")


def test_slopes_and_a_norm_at_the_end_take_up_scales(rng):
    bare = {"weights": "bnn", "activations": "bnn", "last": "bnn"}
    model = network(norm=False, slope=True, end=L.BatchNormalization(name="end"))
    model = tinyq.quantize(model, bare)
    assert not find(model, "conv_2", "without a scale")
    assert not find(model, "scores", "sums of signs")
    x = rng.normal(size=(16, *SHAPE)).astype(np.float32)
    calibrate(model, x)
    graph = lower_keras(model)
    assert not any(entry.differing for entry in compare_layers(model, graph, x))
    kinds = [type(node.op).__name__ for node in graph.nodes]
    assert kinds.count("Prelu") == 2 and kinds[-1] == "Dense", "the norm costs no operation"


@pytest.mark.parametrize("filters", [4, 16, 17, 32])
def test_planes_of_few_channels(filters):
    """Two words of 4 bytes for up to 32 channels, against two channels in a byte."""

    def body(x):
        x = L.ReLU(name="relu")(convolution(filters, "conv_1")(x))
        return convolution(3, "conv_2")(x)

    model = tinyq.quantize(functional(SHAPE, body), {"last": {"activations": "lsq2_planes"}})
    found = find(model, "conv_1", f"{filters} channels in bit planes take 8 bytes")
    assert len(found) == (filters < 16)


@pytest.mark.parametrize("shortcut", [True, False])
def test_chains_of_signs(shortcut):
    model = tinyq.quantize(network(shortcut=shortcut), BINARY)
    assert len(find(model, "conv_3", "1 binary layers see only")) == (not shortcut)


def test_weight_decay_of_the_float_model_is_left_out_unless_the_recipe_keeps_it():
    model = network(decay=keras.regularizers.L2(0.1))
    with pytest.warns(UserWarning, match="regularizers of conv_2, conv_3 are left out"):
        spared = tinyq.quantize(model, BINARY)
    assert spared.get_layer("conv_2").kernel.regularizer is None and not spared.losses
    assert not find(spared, "conv_2", "weight decay")
    kept = tinyq.quantize(model, {**BINARY, "weight_decay": True})
    assert find(kept, "conv_2", "weight decay on weights of 1 bits")
    kept = tinyq.quantize(model, {})
    assert kept.get_layer("conv_2").kernel.regularizer is not None
    assert not find(kept, "conv_2", "weight decay")


def test_weight_decay_of_the_optimizer():
    model = tinyq.quantize(network(), BINARY)
    model.compile(keras.optimizers.AdamW(1e-3), "mse")
    (found,) = find(model, "conv_2", "the optimizer decays 2 kernels")
    optimizer = keras.optimizers.AdamW(1e-3)
    optimizer.exclude_from_weight_decay(var_names=["kernel"])
    model.compile(optimizer, "mse")
    assert not find(model, "conv_2", "the optimizer decays")
    optimizer = keras.optimizers.AdamW(1e-3)
    kernels = [model.get_layer(name).kernel for name in ("conv_2", "conv_3")]
    optimizer.exclude_from_weight_decay(var_list=kernels)
    model.compile(optimizer, "mse")
    assert not find(model, "conv_2", "the optimizer decays")


@pytest.mark.parametrize(
    ("optimizer", "recipe", "count"),
    [
        (keras.optimizers.Adam(0.02), BINARY, 1),
        (keras.optimizers.Adam(0.02), {"weights": "int4"}, 0),
        (keras.optimizers.Adam(0.002), BINARY, 0),
        (keras.optimizers.SGD(0.02), BINARY, 0),
        (keras.optimizers.SGD(0.2), BINARY, 1),
    ],
)
def test_large_steps_on_few_bits(optimizer, recipe, count):
    model = tinyq.quantize(network(), recipe)
    model.compile(optimizer, "mse")
    assert len(find(model, "conv_2", "a learning rate of")) == count


def test_inspect_prints_advice_and_zeros(tmp_path, capsys, rng):
    model = network(pool="after")
    kernel = model.get_layer("conv_1").kernel
    values = np.ones(kernel.shape, np.float32)
    values[:, :, :, 0] = rng.choice([0.0, 1.0], values.shape[:3])
    kernel.assign(values)
    quantized = tinyq.quantize(model, BINARY)
    calibrate(quantized, rng.normal(size=(16, *SHAPE)))
    quantized.save(tmp_path / "small.keras")
    assert main(["inspect", str(tmp_path / "small.keras")]) == 0
    assert "advice: pool: takes the largest of signs" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "small.keras"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["advice"][0]["layer"] == "pool"
    shares = {layer["name"]: layer["zero_weights"] for layer in facts["layers"]}
    assert shares["conv_1"] == float((values == 0).mean()) > 0
    assert shares["conv_2"] == 0.0 and shares["pool"] is None


def dense(rng, method="binary"):
    model = functional((6,), lambda x: normed(x, L.Dense(8, use_bias=False, name="dense")))
    model = tinyq.quantize(model, {"first": {"weights": method}, "last": None})
    model.get_layer("dense").kernel.assign(np.full((6, 8), 0.5))
    return model


class _Negate(keras.callbacks.Callback):
    """Turns the signs of one row after each epoch; CodeFlipRate comes later."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        if epoch in self.epochs:
            kernel = self.model.get_layer("dense").kernel
            values = ops.convert_to_numpy(kernel).copy()
            values[0] = -values[0]
            kernel.assign(values)


def test_flips_of_codes(rng):
    model, flips = dense(rng), CodeFlipRate()
    model.compile(keras.optimizers.SGD(0.0), "mse")
    x, y = rng.normal(size=(8, 6)), np.zeros((8, 8))
    history = model.fit(x, y, epochs=3, verbose=0, callbacks=[_Negate({0}), flips])
    assert flips.history["dense"] == [1 / 6, 0.0, 0.0]
    assert history.history["code_flip_rate"] == [1 / 6, 0.0, 0.0]
    with pytest.warns(UserWarning, match="dense 16.7%"):
        model.fit(x, y, epochs=3, verbose=0, callbacks=[_Negate({0, 1, 2}), flips])
    assert flips.restless() == ("dense",)
