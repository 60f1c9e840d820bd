"""tf_keras models trained with tfmot: the imported graph equals their own TFLite conversion."""

from __future__ import annotations

import importlib
import os

import numpy as np
import pytest

from tests.bitexact.litert import run_litert
from tests.harness import check_graph
from tinyq.commands.cli import main
from tinyq.errors import DataError, ModelError
from tinyq.graph import GraphBuilder, TensorType, reference
from tinyq.graph.epilogues import Raw
from tinyq.graph.ops.dense import Dense
from tinyq.graph.passes import simplify
from tinyq.importers import tfmot as tfmot_importer
from tinyq.importers.float_models import load_float_model
from tinyq.importers.tfmot import convert_tfmot, import_tfmot, load_tfmot, store_in_4_bits
from tinyq.measurement.diff import compare, open_execution
from tinyq.numerics.formats import FORMATS

pytestmark = pytest.mark.filterwarnings("ignore")
SAMPLES = 200


@pytest.fixture(scope="module")
def digits():
    from tinyq.support.digits import load_digits

    return load_digits()


@pytest.fixture(scope="module")
def tools():
    return load_tfmot()


def network(tf_keras, depthwise):
    layers = tf_keras.layers
    image = tf_keras.Input((8, 8, 1))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv_1")(image)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    if depthwise:
        x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.Conv2D(16, 1, activation="relu", name="conv_2")(x)
    x = layers.Flatten()(layers.MaxPooling2D()(x))
    return tf_keras.Model(image, layers.Dense(10, name="logits")(x), name="small")


def train(tf_keras, model, digits, epochs):
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf_keras.optimizers.legacy.Adam(3e-3), loss, metrics=["accuracy"])
    model.fit(digits[0].x, digits[0].y, epochs=epochs, batch_size=64, verbose=0)
    return model


@pytest.fixture(scope="module")
def trained(tools, digits):
    tools[0].utils.set_random_seed(0)
    return train(tools[0], network(tools[0], depthwise=False), digits, 4)


def quantize_bits(tools, model, weights=4, activations=8):
    path = (
        "tensorflow_model_optimization.python.core.quantization.keras.experimental."
        "default_n_bit.default_n_bit_quantize_scheme"
    )
    scheme = importlib.import_module(path).DefaultNBitQuantizeScheme(
        num_bits_weight=weights, num_bits_activation=activations
    )
    keras_api = tools[1].quantization.keras
    return keras_api.quantize_apply(keras_api.quantize_annotate_model(model), scheme=scheme)


@pytest.fixture
def conversions(monkeypatch):
    """The .tflite files that were made on the way."""
    made = []

    def convert(*arguments):
        made.append(convert_tfmot(*arguments))
        return made[-1]

    monkeypatch.setattr(tfmot_importer, "convert_tfmot", convert)
    return made


def expect_equal(graph, content, digits, path, least=0.6):
    """The graph computes what LiteRT's reference kernels make of the file, and so does its C."""
    path.write_bytes(content)
    pair = [open_execution(f"{path}@{place}", "tflite") for place in ("litert", "reference")]
    found = compare(*pair, digits[1].x[:20])
    assert found.output_equal and found.difference is None
    assert len(found.compared) >= 4  # convolutions, pooling, logits
    codes = reference.quantize_input(digits[1].x[:SAMPLES], graph.input.type)
    # The ends of the file are float: codes go in and come out as their real values.
    answers = run_litert(content, reference.dequantize(codes, graph.input.type))[:, 0]
    found = reference.run(graph, codes)
    np.testing.assert_array_equal(reference.dequantize(found, graph.output.type), answers)
    assert (found.argmax(1) == digits[1].y[:SAMPLES]).mean() > least
    check_graph(simplify(graph), codes[:20])


def test_eight_bit_model_equals_its_conversion(tools, digits, conversions, tmp_path):
    tools[0].utils.set_random_seed(0)
    model = tools[1].quantization.keras.quantize_model(network(tools[0], depthwise=True))
    model = train(tools[0], model, digits, 4)
    graph = import_tfmot(model, rounding="tflite")
    expect_equal(graph, conversions[0], digits, tmp_path / "converted.tflite")
    kernels = [node.op.kernel for node in graph.nodes]
    assert kernels == ["conv2d", "depthwise2d", "conv2d", "maxpool2d", "reshape", "dense"]


def test_four_bit_weights_are_stored_in_four_bits(tools, trained, digits, conversions, tmp_path):
    model = quantize_bits(tools, trained)
    path = tmp_path / "few_bits.h5"
    train(tools[0], model, digits, 1).save(path)
    graph = import_tfmot(path, rounding="tflite")
    expect_equal(graph, conversions[0], digits, tmp_path / "converted.tflite")
    assert graph.name == "few_bits"
    weights = [graph.tensors[node.inputs[1]] for node in graph.nodes if len(node.inputs) > 1]
    weights = [tensor for tensor in weights if tensor.codes is not None and tensor.codes.ndim > 1]
    assert [tensor.type.format.name for tensor in weights] == ["s4", "s4", "s4"]


def test_two_bit_weights_keep_their_three_levels(tools, trained, digits, conversions, tmp_path):
    model = train(tools[0], quantize_bits(tools, trained, 2), digits, 1)
    graph = import_tfmot(model, rounding="tflite")
    expect_equal(graph, conversions[0], digits, tmp_path / "converted.tflite", least=0.2)
    weights = [graph.tensors[node.inputs[1]] for node in graph.nodes if len(node.inputs) > 1]
    for tensor in weights:
        assert tensor.type.format.name == "s4"
        assert set(np.unique(tensor.codes)) <= {-7, 0, 7}


@pytest.mark.parametrize(
    ("bits", "message", "remedy"),
    [
        ((3, 8), "3 bits lie between", "num_bits_weight = 2, 4, 8"),
        ((6, 8), "6 bits lie between", "num_bits_weight = 2, 4, 8"),
        ((4, 4), "activations trained with 4 bits", "num_bits_activation = 8"),
    ],
)
def test_bits_that_the_converter_does_not_keep_are_refused(tools, bits, message, remedy):
    model = quantize_bits(tools, network(tools[0], depthwise=True), *bits)
    with pytest.raises(ModelError, match=message) as caught:
        import_tfmot(model)
    assert caught.value.where and remedy in caught.value.remedy


def test_pruned_model_is_stripped_and_calibrated(tools, trained, digits, conversions, tmp_path):
    sparsity = tools[1].sparsity.keras
    schedule = sparsity.ConstantSparsity(0.5, 0)
    pruned = sparsity.prune_low_magnitude(trained, schedule)
    with pytest.raises(ModelError, match="no trained ranges"):
        import_tfmot(pruned)
    with pytest.raises(DataError, match="shape"):
        import_tfmot(pruned, digits[0].x[:, :4])
    graph = import_tfmot(pruned, digits[0].x, rounding="tflite")
    expect_equal(graph, conversions[0], digits, tmp_path / "converted.tflite")


def test_saved_model_becomes_a_float_model_of_keras_3(trained, digits, tmp_path):
    trained.save(tmp_path / "saved", save_format="tf")
    model = load_float_model(tmp_path / "saved", trust=True)
    x = digits[1].x[:50]
    expected = trained.predict(x, verbose=0)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-4)


def test_tf_keras_leaves_keras_3_where_it_was(tools):
    import keras
    import tensorflow as tf

    assert tools[0].layers.Layer is not keras.layers.Layer
    assert tf.keras.layers.Layer is keras.layers.Layer
    assert "TF_USE_LEGACY_KERAS" not in os.environ


def test_int8_weights_of_few_codes_become_4_bits(rng):
    builder = GraphBuilder.start("few", TensorType((6,), FORMATS["s8"], 0.1))
    weights = rng.integers(-8, 8, (3, 6))
    name = builder.constant("weights", weights, FORMATS["s8"])
    bias = builder.constant("bias", rng.integers(-50, 50, 3), FORMATS["s32"])
    graph = builder.build(builder.apply("dense", Dense(Raw(), 3), "input", name, bias))
    narrow = store_in_4_bits(graph)
    assert narrow.tensors["weights"].type.format.name == "s4"
    codes = rng.integers(-128, 128, (50, 6)).astype(np.int32)
    np.testing.assert_array_equal(reference.run(narrow, codes), reference.run(graph, codes))


@pytest.mark.parametrize(
    "content", [None, b"", b"\x89HDF\r\n\x1a\n"], ids=["missing", "empty", "cut"]
)
def test_damaged_file_is_one_message(content, tmp_path, capsys):
    path = tmp_path / "model.h5"
    if content is not None:
        path.write_bytes(content)
    assert main(["inspect", str(path)]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("error: ") and "model.h5" in shown.err
    assert shown.out == ""
