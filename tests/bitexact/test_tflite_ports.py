"""Files of several inputs and outputs, and parts of files: the codes of LiteRT's kernels."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path

import flatbuffers
import numpy as np
import pytest

import tinyq
from tests.harness import compile_model, named_differences
from tests.random_graphs import draw_all_inputs
from tests.requirements import require_module
from tinyq.codegen import emit
from tinyq.errors import ModelError
from tinyq.graph.cutting import Cut
from tinyq.graph.passes import simplify
from tinyq.graph.reference import run_named
from tinyq.importers.tflite import import_tflite
from tinyq.importers.tflite.litert import run_layers
from tinyq.memory.planner import plan
from tinyq.models import load_model

pytestmark = pytest.mark.requires("gcc")


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> Path:
    """An int8 file by TensorFlow's converter: image and mask in; boxes, scores and a copy out."""
    tf = require_module("tensorflow")
    require_module("ai_edge_litert")
    import keras

    keras.utils.set_random_seed(3)
    image, mask = keras.Input((8, 8, 2), name="image"), keras.Input((8, 8, 1), name="mask")
    x = keras.layers.Concatenate()([image, mask])
    x = keras.layers.Conv2D(6, 3, padding="same", activation="relu", name="stem")(x)
    y = keras.layers.Conv2D(4, 3, strides=2, activation="relu", name="down")(x)
    flat = keras.layers.Flatten()(y)
    outputs = {
        "boxes": keras.layers.Dense(4, name="boxes")(flat),
        "scores": keras.layers.Dense(3, name="scores")(flat),
        "features": keras.layers.Activation("relu", name="features")(y),
    }
    model = keras.Model([image, mask], outputs)
    rng = np.random.default_rng(0)

    def samples():
        for _ in range(20):
            yield {
                "image": rng.normal(size=(1, 8, 8, 2)).astype(np.float32),
                "mask": rng.uniform(size=(1, 8, 8, 1)).astype(np.float32),
            }

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    path = tmp_path_factory.mktemp("ports") / "detector.tflite"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path.write_bytes(converter.convert())
    return path


def check(path: Path, rng, cut: Cut = Cut(), samples: int = 20):  # noqa: B008  # frozen
    """Reference, generated C and LiteRT give the same codes; returns the graph."""
    graph = import_tflite(path, "tflite", cut)
    inputs = draw_all_inputs(rng, graph, samples)
    expected = run_layers(path, graph, inputs, cut)
    found = run_named(graph, inputs)
    for name in graph.outputs:
        np.testing.assert_array_equal(found[name], expected[name])
    simple = simplify(graph)
    assert named_differences(simple, compile_model(emit(simple, plan(simple))), inputs) == 0
    return graph


def test_inputs_and_outputs_have_the_names_of_the_signature(detector, rng):
    graph = check(detector, rng)
    assert sorted(graph.inputs) == ["image", "mask"]
    assert sorted(graph.outputs) == ["boxes", "features", "scores"]
    assert sorted(load_model(detector).outputs) == ["boxes", "features", "scores"]


def test_one_rounding_is_compiled_too(detector, rng):
    graph = load_model(detector)
    inputs = draw_all_inputs(rng, graph, 20)
    assert named_differences(graph, compile_model(emit(graph, plan(graph))), inputs) == 0


def test_a_part_begins_and_ends_anywhere(detector, rng):
    names = [node.name for node in import_tflite(detector).nodes]
    convolutions = [name for name in names if name.startswith("conv_2d_") and name.count("_") == 2]
    stem, down = sorted(convolutions, key=lambda it: int(it.rpartition("_")[2]))
    whole = import_tflite(detector, "tflite")
    first = check(detector, rng, Cut((), (stem,)))
    assert first.inputs == whole.inputs
    assert first.outputs == (stem,)
    second = check(detector, rng, Cut((stem,), (down,)))
    assert second.input.type == first.output.type
    third = check(detector, rng, Cut((stem,), ()))
    assert third.outputs == whole.outputs
    # In two parts as in one.
    inputs = draw_all_inputs(rng, whole, 5)
    middle = run_named(first, inputs)[stem]
    ends = run_named(third, {third.inputs[0]: middle})
    for name, codes in run_named(whole, inputs).items():
        np.testing.assert_array_equal(ends[name], codes)


@pytest.mark.parametrize(
    ("inputs", "outputs", "text"),
    [
        ((), ("conv_2d_99",), r"no tensor 'conv_2d_99'.*the nearest: .*conv_2d_"),
        (("nothing",), (), r"no tensor 'nothing'"),
        (("image",), (), r"the outputs depend on '.*mask.*', which is none of the inputs"),
        (("boxes", "image"), ("boxes", "boxes"), r"empty or there twice"),
    ],
)
def test_what_cannot_be_cut_is_refused(detector, inputs, outputs, text):
    named = {it: name for it, name in _file_names(detector).items()}
    with pytest.raises(ModelError, match=text):
        tinyq.load(
            detector,
            inputs=[named.get(it, it) for it in inputs],
            outputs=[named.get(it, it) for it in outputs],
        )


def _file_names(path: Path) -> dict[str, str]:
    """Tensor names in the file by those in the signature."""
    from tinyq.importers.tflite.reader import read_model

    model = read_model(path)
    return {label: model.tensors[index].name for index, label in model.labels.items()}


def test_what_is_cut_off_may_be_of_any_kind(detector, rng, tmp_path):
    """A custom operator behind the boxes, as the post-processing of detectors is."""
    schema = importlib.import_module("ai_edge_litert.schema_py_generated")
    model = schema.ModelT.InitFromPackedBuf(detector.read_bytes(), 0)
    graph = model.subgraphs[0]
    custom, state = schema.OperatorCodeT(), schema.OperatorCodeT()
    custom.builtinCode = custom.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    custom.customCode = b"TFLite_Detection_PostProcess"
    state.builtinCode, state.deprecatedBuiltinCode = schema.BuiltinOperator.VAR_HANDLE, 127
    model.operatorCodes += [custom, state]
    result, broken = schema.TensorT(), schema.TensorT()
    result.name, result.shape, result.type, result.buffer = b"detections", [-3, 0], 0, 0
    broken.name, broken.shape, broken.type, broken.buffer = b"handle", [], 0, 0
    graph.tensors += [result, broken]
    for code, reads, writes in (
        (custom, list(graph.outputs), len(graph.tensors) - 2),
        (state, [], len(graph.tensors) - 1),
    ):
        operator = schema.OperatorT()
        operator.opcodeIndex = model.operatorCodes.index(code)
        operator.inputs, operator.outputs = reads, [writes]
        graph.operators.append(operator)
    ends = [graph.tensors[index].name.decode() for index in graph.outputs]
    graph.outputs, model.signatureDefs = [len(graph.tensors) - 2], []
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path = tmp_path / "custom.tflite"
    path.write_bytes(bytes(builder.Output()))
    with pytest.raises(ModelError):
        import_tflite(path)
    graph = check(path, rng, Cut((), tuple(ends)))
    assert len(graph.outputs) == 3


def test_commands_take_a_part(detector, rng, tmp_path):
    graph = import_tflite(detector, "tflite")
    inputs = draw_all_inputs(rng, graph, 8)
    arrays = {
        f"x_{name}": (codes - graph.tensors[name].type.zero_point)
        * np.float64(graph.tensors[name].type.scale)
        for name, codes in inputs.items()
    }
    np.savez(tmp_path / "data.npz", **arrays)
    scores = _file_names(detector)["scores"]
    found = tinyq.diff(
        f"{detector}@litert", f"{detector}@reference", tmp_path / "data.npz", outputs=scores
    )
    assert found.ok
    assert found.comparison.samples == 8
    assert len(found.comparison.compared) >= 3
    shown = tinyq.inspect(detector, outputs=[scores])
    assert shown.graph.output.type.shape == (3,)
    tinyq.export(detector, "c", tmp_path / "c", outputs=scores)
    built = tinyq.build(detector, "host", tmp_path / "host", rounding="tflite", outputs=scores)
    again = tinyq.diff(f"{detector}@litert", built, tmp_path / "data.npz", outputs=scores)
    assert again.ok
    whole = tinyq.build(detector, "host", tmp_path / "whole", rounding="tflite")
    measured = tinyq.measure(whole, tmp_path / "data.npz", "host")
    assert measured.ok
    assert [it.name for it in measured.measurement.outputs] == list(whole.project.graph.outputs)
