"""Models whose layers Keras itself or Larq quantized."""

from __future__ import annotations

import json

import h5py
import keras
import numpy as np
import pytest

from tests import foreign_layers
from tests.harness import check_graph
from tests.small_models import L, functional, scramble
from tinyq.errors import ModelError
from tinyq.graph import reference
from tinyq.importers.float_models import load_float_model
from tinyq.training import post_training
from tinyq.training.lowering.agreement import compare_layers
from tinyq.training.lowering.network import import_keras, lower_keras
from tinyq.training.unquantize import unquantize

pytestmark = pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")


def formats(graph):
    """Formats of the data and the weights of each layer with weights."""
    weighted = [
        node for node in graph.nodes if node.op.kernel in ("conv2d", "depthwise2d", "dense")
    ]
    return {
        node.name: tuple(graph.tensors[name].type.format.name for name in node.inputs[:2])
        for node in weighted
    }


def small(rng, inputs=12):
    def body(x):
        return L.Dense(3, name="logits")(L.Dense(9, activation="relu", name="hidden")(x))

    model = functional((inputs,), body)
    scramble(model, rng)
    return model, rng.normal(size=(300, inputs)).astype(np.float32)


def test_four_bits_per_channel_keep_their_codes(rng):
    model, x = small(rng)
    model.quantize(config=keras.quantizers.Int4QuantizationConfig(block_size=-1))
    layer = model.get_layer("hidden")
    wanted = keras.ops.convert_to_numpy(keras.quantizers.unpack_int4(layer._kernel, 9, axis=-1))
    quantized = post_training(model, x)
    np.testing.assert_array_equal(quantized.get_layer("hidden").weight_codes(), wanted)
    graph = import_keras(quantized)
    assert formats(graph) == {"hidden": ("s8", "s4"), "logits": ("s8", "s4")}
    expected = model.predict(x, verbose=0)
    found = quantized.predict(x, verbose=0)
    assert np.abs(found - expected).max() < 0.08 * np.ptp(expected)
    check_graph(graph, reference.quantize_input(x[:20], graph.input.type))


def test_four_bits_per_block_keep_their_values_with_eight(rng):
    model, x = small(rng, inputs=200)
    model.quantize("int4")
    twin = unquantize(model)
    np.testing.assert_allclose(
        twin.model.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-4
    )
    graph = import_keras(post_training(model, x))
    assert formats(graph) == {"hidden": ("s8", "s8"), "logits": ("s8", "s8")}
    check_graph(graph, reference.quantize_input(x[:20], graph.input.type))


def test_sign_layers_become_binary_layers(rng):
    model = foreign_layers.binary_network()
    scramble(model, rng)
    x = rng.normal(size=(200, 8, 8, 1)).astype(np.float32)
    quantized = post_training(model, x)
    graph = import_keras(quantized)
    assert formats(graph) == {
        "first": ("s8", "b1"),
        "conv": ("b1", "b1"),
        "depthwise": ("b1", "b1"),
        "hidden": ("b1", "b1"),
        "logits": ("s8", "s8"),
    }
    codes = reference.quantize_input(x, graph.input.type)
    found = reference.dequantize(reference.run(graph, codes), graph.output.type)
    np.testing.assert_array_equal(found, quantized.predict(x, verbose=0))
    check_graph(graph, codes[:20])


def test_signs_of_signs_are_exact(rng):
    """Without 8-bit codes before a sign there is nothing to round but the last sum."""
    signs = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "use_bias": False}

    def body(x):
        x = L.BatchNormalization(name="norm")(foreign_layers.QuantDense(40, name="a", **signs)(x))
        return foreign_layers.QuantDense(5, name="b", **signs)(x)

    model = functional((70,), body)
    scramble(model, rng)
    x = rng.choice([-1.0, 1.0], (300, 70)).astype(np.float32)
    graph = import_keras(post_training(model, x))
    codes = reference.quantize_input(x, graph.input.type)
    answers = reference.run(graph, codes)
    real = reference.dequantize(answers, graph.output.type)
    wrong = np.abs(real - model.predict(x, verbose=0)) > 0.51 * graph.output.type.scale
    saturated = np.isin(answers, (-128, 127))  # beyond the range that calibration saw
    assert not (wrong & ~saturated).any()
    assert saturated.mean() < 0.02
    assert formats(graph) == {"a": ("b1", "b1"), "b": ("b1", "b1")}


def test_unknown_quantizers_are_refused_by_name(rng):
    def body(x):
        return foreign_layers.QuantDense(3, kernel_quantizer="dorefa_quantizer", name="dense")(x)

    foreign_layers.QUANTIZERS["dorefa_quantizer"] = lambda x: x
    with pytest.raises(
        ModelError, match=r"dense.*dorefa_quantizer|dorefa_quantizer.*dense"
    ) as caught:
        post_training(functional((4,), body), np.ones((2, 4)))
    assert "ste_sign" in str(caught.value.remedy)


def test_padding_with_ones_is_refused():
    def body(x):
        return foreign_layers.QuantConv2D(3, 3, padding="same", pad_values=1.0, name="conv")(x)

    with pytest.raises(ModelError, match="pads with 1"):
        post_training(functional((4, 4, 1), body), np.ones((2, 4, 4, 1)))


def larq_file(folder, rng):
    """An .h5 file as Keras 2 wrote it of Larq's layers: options and names of theirs in its text."""
    layers = [
        keras.Input((8, 8, 3), name="image"),
        L.Conv2D(6, 3, padding="same", name="first"),
        L.BatchNormalization(name="norm_1"),
        L.Conv2D(7, 3, padding="same", use_bias=False, name="signs"),
        L.BatchNormalization(name="norm_2"),
        L.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False, name="depthwise"),
        L.BatchNormalization(name="norm_3"),
        L.SeparableConv2D(6, 3, use_bias=False, name="separable"),
        L.ReLU(name="relu"),
        L.Flatten(name="flat"),
        L.Dense(4, use_bias=False, name="head"),
    ]
    model = keras.Sequential(layers)
    scramble(model, rng)
    path = folder / "larq.h5"
    model.save(path)

    def quantizer(kind, /, **options):
        return {"class_name": kind, "config": options}

    sign = quantizer("SteSign", name="ste_sign", clip_value=1.0)
    added = {
        "signs": {
            "input_quantizer": sign,
            "kernel_quantizer": "magnitude_aware_sign",
            "pad_values": 1.0,
            "kernel_constraint": quantizer("WeightClip", clip_value=1),
        },
        "depthwise": {
            "input_quantizer": "approx_sign",
            "depthwise_quantizer": sign,
            "pad_values": 1.0,
            "groups": 1,
        },
        "separable": {
            "input_quantizer": quantizer("SwishSign", beta=5.0),
            "depthwise_quantizer": sign,
            "pointwise_quantizer": quantizer("SteTern", threshold_value=0.1),
        },
        "head": {
            "input_quantizer": quantizer("DoReFa", k_bit=3, mode="activations"),
            "kernel_quantizer": quantizer("DoReFa", k_bit=2, mode="weights"),
        },
    }
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for entry in config["config"]["layers"]:
            options = added.get(entry["config"]["name"])
            if options is not None:
                entry["class_name"] = f"Quant{entry['class_name']}"
                entry["module"], entry["registered_name"] = None, entry["class_name"]
                entry["config"].update(options)
        file.attrs["model_config"] = json.dumps(config)
    return path


def test_a_file_of_larq_is_read_without_larq(rng, tmp_path):
    model = load_float_model(larq_file(tmp_path, rng))
    x = rng.normal(size=(100, 8, 8, 3)).astype(np.float32)
    signs = model.get_layer("signs")
    kernel = signs.kernel.numpy()
    sign = np.where(kernel >= 0, 1, -1)
    before = keras.Model(model.inputs[0], signs.input)(x).numpy()
    padded = np.pad(
        np.where(before >= 0, 1, -1), ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=1
    )
    weights = sign * np.abs(kernel).mean((0, 1, 2))
    wanted = sum(
        padded[:, r : r + 8, c : c + 8] @ weights[r, c] for r in range(3) for c in range(3)
    )
    found = keras.Model(model.inputs[0], signs.output)(x).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-4)

    quantized = post_training(model, x)
    graph = import_keras(quantized)
    assert formats(graph) == {
        "first": ("s8", "s8"),
        "signs": ("b1", "b1"),
        "depthwise": ("b1", "b1"),
        "separable_depthwise": ("b1", "b1"),
        "separable": ("s8", "t2"),
        "head": ("u4", "d2"),
    }
    codes = reference.quantize_input(x[:16], graph.input.type)
    check_graph(graph, codes)
    lowered = lower_keras(quantized)
    assert not any(entry.differing for entry in compare_layers(quantized, lowered, x[:16]))
