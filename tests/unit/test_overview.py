"""What `tinyq.summary` tells."""

from __future__ import annotations

import numpy as np
import pytest

import tinyq
from tests.small_models import L, functional, normed
from tinyq.errors import ModelError
from tinyq.training import calibrate
from tinyq.training.lowering.network import lower_keras


def body(x):
    x = normed(x, L.Conv2D(6, 3, padding="same", name="conv"))
    x = L.DepthwiseConv2D(3, padding="same", name="deep")(x)
    return L.Dense(5, name="logits")(L.Flatten()(x))


@pytest.mark.parametrize("weights", ["int8", "int4", "ternary", "binary", "lsq3"])
def test_bytes_and_work_are_those_of_the_graph(weights, rng):
    first = {"weights": weights, "activations": "int8"}
    recipe = {"weights": weights, "activations": "lsq4", "first": first, "last": None}
    model = tinyq.quantize(functional((5, 4, 3), body), recipe)
    assert {layer.low for layer in tinyq.summary(model).layers} == {None}
    calibrate(model, rng.normal(size=(64, 5, 4, 3)))
    found = {layer.name: layer for layer in tinyq.summary(model).layers}
    graph = lower_keras(model)
    for name in ("conv", "deep", "logits"):
        (node,) = [node for node in graph.nodes if node.name == name]
        assert found[name].macs == graph.macs(node)
        weights_type = graph.types(node)[1]
        assert found[name].weight_bytes == weights_type.packed_bytes
        assert found[name].weight_format == weights_type.format.name
    assert found["conv"].output_format == "u4" and found["conv"].low == 0.0
    assert found["deep"].output_format == "s4" and found["deep"].low < 0.0 < found["deep"].high


def test_it_prints(capsys):
    model = tinyq.quantize(functional((5, 4, 3), body), {})
    model.summary()
    text = capsys.readouterr().out
    assert "int8 (s8)" in text and "multiply-accumulates" in text and "not seen" in text
    model.summary(line_length=80)
    assert "Total params" in capsys.readouterr().out
    assert tinyq.summary(model).to_json()["macs"] == tinyq.summary(model).macs
    assert np.isfinite(tinyq.summary(model).weight_bytes)


def test_other_models_are_refused():
    with pytest.raises(ModelError):
        tinyq.summary(functional((5, 4, 3), body))
