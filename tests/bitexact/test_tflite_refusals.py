"""What LiteRT refuses tinyq refuses, what it takes tinyq takes: files with one thing changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.bitexact.litert import run_litert
from tests.bitexact.test_tflite_ops import CASES
from tests.bitexact.tflite_files import convert, rewrite
from tests.requirements import require_module
from tinyq.errors import ModelError
from tinyq.graph import reference
from tinyq.importers.tflite import import_tflite
from tinyq.importers.tflite.litert import run_layers

require_module("ai_edge_litert")
LAYERS = {"conv 3x3": 0, "depthwise": 3, "dense": 0}


@pytest.fixture(scope="module", params=LAYERS)
def layer(request):
    """A file of one layer with weights and a scale per channel: its name and content."""
    return request.param, convert(CASES[request.param], np.random.default_rng(0))


@pytest.fixture(scope="module")
def per_tensor():
    return convert(CASES["dense"], np.random.default_rng(0), per_channel=False)


def outcome(content: bytes, folder: Path) -> tuple[bool, bool]:
    """Whether LiteRT takes a file, and whether tinyq does; both give the same codes then."""
    path = folder / "model.tflite"
    path.write_bytes(content)
    codes = np.random.default_rng(1).integers(-128, 128, (4, *shape_of(content)))
    try:
        expected = run_litert(content, codes)
    except (ValueError, RuntimeError):
        expected = None
    try:
        found = reference.run(import_tflite(path, "tflite"), codes)
    except ModelError:
        return expected is not None, False
    if expected is not None:
        assert (found == expected.reshape(found.shape)).all()
    return expected is not None, True


def shape_of(content: bytes) -> list[int]:
    import tflite

    graph = tflite.Model.GetRootAs(content, 0).Subgraphs(0)
    return graph.Tensors(graph.Inputs(0)).ShapeAsNumpy()[1:].tolist()


def weights_of(model):
    graph = model.subgraphs[0]
    node = next(node for node in graph.operators if len(node.inputs) > 2)
    return graph.tensors[node.inputs[1]], graph.tensors[node.inputs[2]]


@pytest.mark.parametrize("axis", range(4))
def test_scales_along_another_axis(layer, axis, tmp_path):
    name, content = layer

    def change(schema, model):
        weights_of(model)[0].quantization.quantizedDimension = axis

    assert outcome(rewrite(content, change), tmp_path) == (axis == LAYERS[name],) * 2


@pytest.mark.parametrize(("factor", "taken"), [(1.0, True), (1.01, True), (10, False), (0, False)])
def test_the_scale_of_a_bias(per_tensor, factor, taken, tmp_path):
    """0 is for no scale at all."""

    def change(schema, model):
        meaning = weights_of(model)[1].quantization
        # The product of scales is far below the output's here; a wide output would hide any error.
        meaning.scale = [meaning.scale[0] * factor] if factor else None
        meaning.zeroPoint = [0] if factor else None

    litert, tinyq = outcome(rewrite(per_tensor, change), tmp_path)
    assert litert == tinyq
    assert tinyq == taken or factor == 0


def test_a_bias_of_another_scale_per_channel_counts_as_it_is(layer, tmp_path):
    def change(schema, model):
        meaning = weights_of(model)[1].quantization
        meaning.scale = [scale * 1000 for scale in meaning.scale]

    assert outcome(rewrite(layer[1], change), tmp_path) == (True, True)


def test_tensors_that_nobody_reads_may_be_anything(layer, tmp_path):
    def change(schema, model):
        for shape in ([0], [-1, 3], [1] * 9, [1 << 20, 1 << 20]):
            tensor = schema.TensorT()
            tensor.shape, tensor.type, tensor.buffer = shape, schema.TensorType.INT16, 0
            tensor.name = b"unread"
            model.subgraphs[0].tensors.append(tensor)

    path = tmp_path / "model.tflite"
    path.write_bytes(rewrite(layer[1], change))
    import_tflite(path)

    def read(schema, model):
        graph = model.subgraphs[0]
        graph.tensors[graph.inputs[0]].shape = [0]

    path.write_bytes(rewrite(layer[1], read))
    with pytest.raises(ModelError, match=r"shape \[0\]"):
        import_tflite(path)


def test_what_litert_refuses_is_no_fault_of_tinyq(per_tensor, tmp_path):
    def change(schema, model):
        weights_of(model)[0].quantization.quantizedDimension = 3

    path = tmp_path / "model.tflite"
    path.write_bytes(rewrite(per_tensor, change))
    graph = import_tflite(path, "tflite")
    codes = np.zeros((1, *graph.input.type.shape), np.int32)
    with pytest.raises(ModelError, match="LiteRT does not run the file: .*quantized_dimension"):
        run_layers(path, graph, codes)


@pytest.mark.parametrize("value", [2**31 - 1, -(2**31)])
@pytest.mark.parametrize("rounding", ["tflite", "half_up"])
def test_a_bias_that_leaves_int32(layer, value, rounding, tmp_path):
    def change(schema, model):
        buffer = model.buffers[weights_of(model)[1].buffer]
        data = np.full(len(buffer.data) // 4, value, "<i4").tobytes()
        buffer.data = np.frombuffer(data, np.uint8)

    path = tmp_path / "model.tflite"
    path.write_bytes(rewrite(layer[1], change))
    with pytest.raises(ModelError, match="leaves int32"):
        import_tflite(path, rounding)


def test_an_open_axis_is_named(tmp_path):
    content = convert(CASES["conv valid"], np.random.default_rng(0))

    def change(schema, model):
        graph = model.subgraphs[0]
        tensor = graph.tensors[graph.inputs[0]]
        tensor.shape, tensor.shapeSignature = [1, 1, 6, 2], [-1, -1, 6, 2]

    path = tmp_path / "model.tflite"
    path.write_bytes(rewrite(content, change))
    with pytest.raises(ModelError) as caught:
        import_tflite(path)
    assert "axis 1 is open" in str(caught.value.remedy)


@pytest.mark.parametrize("name", ["SOFTMAX", "LOG_SOFTMAX", "LOGISTIC"])
def test_a_last_function_in_floating_point_is_left_out(name, per_tensor, tmp_path):
    def change(schema, model):
        graph = model.subgraphs[0]
        last = int(graph.outputs[0])
        for kind in ("DEQUANTIZE", name):
            code = schema.OperatorCodeT()
            number = getattr(schema.BuiltinOperator, kind)
            code.builtinCode = code.deprecatedBuiltinCode = number
            model.operatorCodes.append(code)
            tensor = schema.TensorT()
            tensor.shape, tensor.type = graph.tensors[last].shape, schema.TensorType.FLOAT32
            tensor.buffer, tensor.name = 0, kind.encode()
            graph.tensors.append(tensor)
            operator = schema.OperatorT()
            operator.opcodeIndex = len(model.operatorCodes) - 1
            operator.inputs, operator.outputs = [last], [len(graph.tensors) - 1]
            if kind == "SOFTMAX":
                operator.builtinOptionsType = schema.BuiltinOptions.SoftmaxOptions
                operator.builtinOptions = schema.SoftmaxOptionsT()
                operator.builtinOptions.beta = 1.0
            graph.operators.append(operator)
            last = len(graph.tensors) - 1
        graph.outputs = [last]

    content = rewrite(per_tensor, change)
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=f"the last operator, {name}, is in floating point"):
        graph = import_tflite(path, "tflite")
    codes = np.random.default_rng(1).integers(-128, 128, (20, *graph.input.type.shape))
    found = reference.run(graph, codes)
    assert (run_layers(path, graph, codes)[graph.outputs[0]] == found).all()
    order = np.argsort(found, axis=-1, kind="stable")
    values = np.take_along_axis(run_litert(content, codes)[:, 0], order, -1)
    assert (np.diff(values, axis=-1) >= 0).all()
