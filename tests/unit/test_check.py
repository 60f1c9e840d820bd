"""`tinyq check`: all obstacles at once, of every kind of model file, without building."""

from __future__ import annotations

import json
import time

import keras
import numpy as np
import pytest

import tinyq
from tests.bench_layers import Layer, make_graph
from tests.bitexact.tflite_files import Case, convert, rewrite
from tests.bitexact.tflite_weighted import conv, dense
from tests.classifier import classifier
from tests.requirements import require_module
from tinyq.api.check import REFUSED, SLOW, TOO_BIG
from tinyq.commands.cli import main
from tinyq.errors import TinyqError
from tinyq.graph.storage import save_graph
from tinyq.hardware.boards import find_board
from tinyq.project import create_project


def kinds(found) -> list[str]:
    return [obstacle.kind for obstacle in found.obstacles]


def test_nothing_is_in_the_way_of_a_small_network():
    found = tinyq.check(classifier(), board="stm32")
    assert found.ok and found.estimate is not None
    assert 0 < found.estimate.weight_bytes < found.estimate.flash_bytes
    assert found.estimate.macs == sum(map(classifier().macs, classifier().nodes))


@pytest.mark.requires("arm-none-eabi-gcc")
def test_estimates_are_near_the_build(tmp_path):
    """Of flash and RAM of the whole image, which the linker says."""
    found = tinyq.check(classifier(), board="stm32").estimate
    image = create_project(classifier(), find_board("stm32"), tmp_path / "out").image
    assert image.flash_bytes <= found.flash_bytes == pytest.approx(image.flash_bytes, abs=3000)
    assert found.ram_bytes == pytest.approx(image.ram_bytes, abs=500)


def test_what_is_too_big_names_its_layer_and_what_helps():
    graph = make_graph(Layer("Dense", (800,), 600), "large", "s8", "s8")
    found = tinyq.check(graph, board="arduino-mega")
    assert not found.ok
    big = [it for it in found.obstacles if it.kind == TOO_BIG]
    assert any("flash" in it.message or "RAM" in it.message for it in big)
    assert all(it.layer in {node.name for node in graph.nodes} for it in big)
    assert "bits" in big[0].remedy and "larger board" in big[0].remedy
    assert tinyq.check(graph).ok, "without a board nothing is too big"


def test_what_is_slow_says_for_which_formats_the_core_has_kernels():
    graph = make_graph(Layer("Dense", (64,), 64), "slow", "u2", "s8")
    found = tinyq.check(graph, board="stm32")
    slow = [it for it in found.obstacles if it.kind == SLOW]
    assert found.ok, "what is slow works"
    for it in slow:
        assert "plain C" in it.message and it.remedy
    assert not [it for it in tinyq.check(graph, board="host").obstacles if it.kind == SLOW]


def refuse_some(schema, model):
    """Turn two activations into operators that do not exist, and one into a custom one."""
    graph = model.subgraphs[0]
    for place, name in ((1, "CUSTOM"), (3, "LSH_PROJECTION")):
        code = schema.OperatorCodeT()
        number = getattr(schema.BuiltinOperator, name)
        code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
        code.customCode = b"Mine" if name == "CUSTOM" else None
        model.operatorCodes.append(code)
        operator = graph.operators[place]
        operator.opcodeIndex = len(model.operatorCodes) - 1
        operator.builtinOptions, operator.builtinOptionsType = None, 0
    tensor = graph.tensors[int(graph.operators[4].outputs[0])]
    tensor.quantization.zeroPoint = [300]


@pytest.fixture(scope="module")
def refused_file(tmp_path_factory):
    require_module("tensorflow")

    def build(tf, rng):
        first, last = conv(4, (3, 3))(tf, rng), dense(5)(tf, rng)

        def apply(x):
            y = tf.nn.tanh(first(x))
            y = tf.nn.leaky_relu(tf.nn.max_pool2d(y, 2, 2, "VALID"), 0.3)
            y = tf.nn.sigmoid(tf.nn.avg_pool2d(y, 2, 1, "SAME"))
            return last(tf.reshape(y, [1, 64]))

        return apply

    content = convert(Case("CONV_2D", (1, 8, 8, 3), build), np.random.default_rng(0))
    path = tmp_path_factory.mktemp("check") / "many.tflite"
    path.write_bytes(rewrite(content, refuse_some))
    return path


def test_all_refusals_of_a_tflite_file_at_once(refused_file, capsys):
    """The ones behind the first, too, and no error that only follows from another."""
    found = tinyq.check(refused_file, board="stm32")
    places = [it.layer for it in found.obstacles]
    assert places[:2] == ["operator 1 CUSTOM:Mine", "operator 3 LSH_PROJECTION"]
    assert any("zero point 300" in it.message for it in found.obstacles)
    assert kinds(found) == [REFUSED] * len(found.obstacles)
    assert all(it.remedy for it in found.obstacles[:2])
    assert len(found.obstacles) <= 4
    assert main(["check", str(refused_file), "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["ok"], said["estimate"]) == (False, None)
    assert [it["layer"] for it in said["obstacles"]] == places


def test_it_takes_about_a_second(refused_file):
    tinyq.check(refused_file)
    start = time.process_time()
    tinyq.check(refused_file, board="stm32")
    assert time.process_time() - start < 2.0


def test_float_models_are_checked_as_quantize_would(tmp_path):
    inputs = keras.Input((8, 8, 3), name="image")
    y = keras.layers.Conv2D(4, 3, name="first")(inputs)
    y = keras.layers.Conv3D(2, 1, name="volume")(keras.layers.Reshape((6, 6, 4, 1))(y))
    y = keras.layers.Reshape((6, 12, 4))(y)
    y = keras.layers.ConvLSTM1D(4, 3, name="memory")(y)
    y = keras.layers.GlobalAveragePooling1D()(y)
    model = keras.Model(inputs, keras.layers.Dense(2)(y), name="float")
    found = tinyq.check(model)
    assert found.is_float and not found.ok
    assert [it.layer for it in found.obstacles] == ["volume", "memory"]
    model.save(tmp_path / "float.keras")
    assert [it.layer for it in tinyq.check(tmp_path / "float.keras").obstacles] == [
        "volume",
        "memory",
    ]


def test_a_float_model_without_refusals_has_sizes(tmp_path):
    model = keras.Sequential(
        [keras.Input((12,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)]
    )
    found = tinyq.check(model, board="stm32")
    assert found.ok and found.is_float
    assert found.estimate is not None and found.estimate.macs == 12 * 8 + 8 * 3
    quantized = tinyq.quantize(model, data=np.zeros((4, 12), np.float32))
    found = tinyq.check(quantized)
    assert not found.is_float and found.estimate.macs == 12 * 8 + 8 * 3
    quantized.save(tmp_path / "model.keras")
    found = tinyq.check(tmp_path / "model.keras")
    assert not found.is_float and found.estimate.macs == 12 * 8 + 8 * 3


def test_wrong_arguments_are_errors_and_no_obstacles(tmp_path):
    save_graph(classifier(), tmp_path / "model.tqg")
    for arguments in (
        (tmp_path / "none.tqg",),
        (tmp_path / "model.tqg", "no board"),
        (tmp_path / "model.tqg", None, "fast"),
        (tmp_path / "model.tqg", None, "speed", "nearest"),
    ):
        with pytest.raises(TinyqError):
            tinyq.check(*arguments)
