"""Float .tflite files as Keras models: what LiteRT computes, to the error of float32."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from tests.bitexact.test_tflite_ops import CASES
from tests.bitexact.tflite_files import Case, convert, normal
from tests.bitexact.tflite_weighted import conv, dense, depthwise
from tests.requirements import require_module
from tinyq.errors import ModelError
from tinyq.importers.tflite import import_tflite
from tinyq.importers.tflite.litert import open_interpreter

require_module("ai_edge_litert")
CHOSEN = 4  # every so many cases in one test


def convert_floats(case: Case, rng, weights: str = "float32") -> bytes:
    """The case as a float file whose weights are float32, float16 or int8."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow as tf

        function = tf.function(case.build(tf, rng)).get_concrete_function(
            tf.TensorSpec(case.shape, tf.float32)
        )
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
        if weights != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if weights == "float16":
            converter.target_spec.supported_types = [tf.float16]
        return converter.convert()


def run_floats(content: bytes, inputs: np.ndarray) -> np.ndarray:
    interpreter = open_interpreter(content)
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    found = []
    for sample in inputs:
        interpreter.set_tensor(source["index"], sample.reshape(source["shape"]))
        interpreter.invoke()
        found.append(interpreter.get_tensor(target["index"]))
    return np.stack(found)


def compare(content: bytes, shape, path, rng, tolerance: float = 2e-5, spread: float = 1.0):
    from tinyq.importers.float_models import load_float_model

    path.write_bytes(content)
    model = load_float_model(path)
    inputs = normal(rng, 5, *shape, scale=spread)
    expected = run_floats(content, inputs)
    found = model.predict(inputs.reshape(5, *model.inputs[0].shape[1:]), verbose=0)
    scale = float(np.abs(expected).max()) + 1e-3
    error = float(np.abs(np.asarray(found).reshape(expected.shape) - expected).max())
    assert error <= tolerance * scale, f"{error} of {scale}"
    return model


@pytest.mark.parametrize("part", range(CHOSEN))
def test_float_operators_equal_litert(part, tmp_path, seed):
    for name, case in list(CASES.items())[part::CHOSEN]:
        if (list(CASES).index(name) + seed) % 3:
            continue
        check_case(name, case, tmp_path, seed)


def check_case(name, case, folder, seed):
    rng = np.random.default_rng([seed, list(CASES).index(name)])
    content = convert_floats(case, rng)
    compare(content, case.shape, folder / "model.tflite", rng, spread=case.spread)


def network(tf, rng):
    first, second = conv(8, (3, 3), 2, activation="relu6")(tf, rng), depthwise((3, 3))(tf, rng)
    third, last = conv(40, (1, 1))(tf, rng), dense(10)(tf, rng)

    def apply(x):
        y = tf.nn.relu(third(second(first(x))))
        y = tf.pad(y, [[0, 0], [1, 1], [0, 2], [0, 0]])
        y = tf.reduce_mean(y * tf.nn.sigmoid(y) + 0.5 * y, [1, 2])
        return tf.nn.softmax(last(y))

    return apply


@pytest.mark.parametrize(("weights", "tolerance"), [("float16", 2e-5), ("int8", 0.03)])
def test_weights_of_fewer_bits_are_multiplied_out(weights, tolerance, tmp_path, rng):
    """LiteRT rounds activations to int8 beside int8 weights, the Keras model does not."""
    case = Case("SOFTMAX", (1, 12, 10, 3), network)
    content = convert_floats(case, rng, weights)
    compare(content, case.shape, tmp_path / "model.tflite", rng, tolerance)


def test_a_float_file_is_quantized(tmp_path, rng):
    """From the file to the integers, by the function that users call."""
    import tinyq

    path = tmp_path / "network.tflite"
    path.write_bytes(convert_floats(Case("SOFTMAX", (1, 12, 10, 3), network), rng))
    with pytest.raises(ModelError, match="floating point") as refusal:
        import_tflite(path)
    assert "tinyq quantize" in str(refusal.value.remedy)
    inputs = normal(rng, 32, 12, 10, 3)
    model = tinyq.quantize(path, data=inputs)
    expected = run_floats(path.read_bytes(), inputs).reshape(32, 10)
    found = model.predict(inputs, verbose=0)
    assert np.abs(found - expected).max() < 0.1


def test_integers_are_not_quantized_again(tmp_path, rng):
    from tinyq.importers.float_models import load_float_model

    path = tmp_path / "model.tflite"
    path.write_bytes(convert(CASES["dense"], rng))
    with pytest.raises(ModelError, match="integers") as refusal:
        load_float_model(path)
    assert "tinyq build" in str(refusal.value.remedy)


def moves(tf, rng):
    """Blocks, broadcasts and images of other sizes: nearest and between, by every kind of place."""
    first = conv(8, (3, 3), 1)(tf, rng)

    def apply(x):
        raw = tf.raw_ops
        y = tf.nn.depth_to_space(first(x), 2)
        y = tf.nn.space_to_depth(y, 4)
        sizes = {"size": [7, 5], "half_pixel_centers": False}
        parts = [
            raw.ResizeBilinear(images=y, align_corners=True, **sizes),
            raw.ResizeBilinear(images=y, align_corners=False, **sizes),
            raw.ResizeNearestNeighbor(images=y, align_corners=True, **sizes),
            raw.ResizeNearestNeighbor(images=y, align_corners=False, **sizes),
            tf.broadcast_to(tf.reduce_mean(y, [1, 2], keepdims=True), [1, 7, 5, 32]),
        ]
        return tf.concat(parts, -1)

    return apply


def test_blocks_and_places_of_pixels_are_kept_to_the_integers(tmp_path, rng):
    from tinyq.importers.float_models import load_float_model
    from tinyq.training import post_training
    from tinyq.training.lowering.agreement import compare_layers
    from tinyq.training.lowering.network import lower_keras

    case = Case("CONCATENATION", (1, 6, 8, 3), moves)
    content = convert_floats(case, rng)
    compare(content, case.shape, tmp_path / "model.tflite", rng)
    inputs = normal(rng, 4, 6, 8, 3)
    quantized = post_training(load_float_model(tmp_path / "model.tflite"), inputs)
    graph = lower_keras(quantized)
    assert not any(layer.differing for layer in compare_layers(quantized, graph, inputs))
    expected = run_floats(content, inputs).reshape(4, 7, 5, -1)
    assert np.abs(quantized.predict(inputs, verbose=0) - expected).max() < 0.1
