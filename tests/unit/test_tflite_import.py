"""What the .tflite importer refuses, and the integer rules that it finds."""

from __future__ import annotations

import math

import flatbuffers
import numpy as np
import pytest

from tests.requirements import require_module
from tinyq.errors import ModelError, TinyqError
from tinyq.graph.cutting import Cut
from tinyq.importers.tflite import import_tflite
from tinyq.importers.tflite.exact import exact_multiplier, exact_wide_multiplier
from tinyq.importers.tflite.reader import read_model
from tinyq.models import load_model


def write_model(schema, operators, tensor_types=("INT8", "INT8"), shape=(1, 4), zero=1):
    """A file whose tensors form a chain: operator i reads tensor i and writes tensor i + 1."""
    model = schema.ModelT()
    model.version = 3
    model.buffers = [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors, graph.operators = [], []
    model.operatorCodes = []
    for name in tensor_types:
        tensor = schema.TensorT()
        tensor.shape, tensor.type = list(shape), getattr(schema.TensorType, name)
        tensor.buffer, tensor.name = 0, b"t"
        if name != "FLOAT32":
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [0.5], [zero]
        graph.tensors.append(tensor)
    for index, name in enumerate(operators):
        code = schema.OperatorCodeT()
        number = getattr(schema.BuiltinOperator, name)
        code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
        if name == "CUSTOM":
            code.customCode = b"MyOperator"
        model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = index, [index], [index + 1]
        graph.operators.append(operator)
    graph.inputs, graph.outputs = [0], [len(tensor_types) - 1]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.fixture(scope="module")
def schema():
    return require_module("tensorflow.lite.python.schema_py_generated")


def refuse(content: bytes, tmp_path, rounding: str = "half_up") -> ModelError:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        import_tflite(path, rounding)
    assert str(path) in str(caught.value)
    return caught.value


def test_unsupported_operators_are_all_named_with_their_index(schema, tmp_path):
    names = ("RELU", "COS", "RELU", "CUSTOM", "WHILE")
    content = write_model(schema, names, ("INT8",) * 6)
    error = refuse(content, tmp_path)
    assert "1 COS, 3 CUSTOM:MyOperator, 4 WHILE" in error.message


@pytest.mark.parametrize("name", ["READ_VARIABLE", "ASSIGN_VARIABLE"])
def test_a_variable_needs_its_handle(schema, name, tmp_path):
    error = refuse(write_model(schema, ["RELU", name], ("INT8",) * 3), tmp_path)
    assert "no handle of a variable" in error.message
    assert name in str(error.where)


def test_a_part_of_a_file_with_variables_is_refused(schema, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(write_model(schema, ["RELU", "READ_VARIABLE"], ("INT8",) * 3))
    with pytest.raises(ModelError, match=r"part of a file with variables \(READ_VARIABLE\)"):
        import_tflite(path, "tflite", Cut((), ("read_variable_1",)))


def test_a_call_that_initializes_nothing_is_left_out(schema, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(write_model(schema, ["CALL_ONCE", "RELU"], ("INT8",) * 3))
    assert [operator.name for operator in read_model(path).operators] == ["RELU"]


def test_float_models_are_refused(schema, tmp_path):
    error = refuse(write_model(schema, ["RELU"], ("FLOAT32", "FLOAT32")), tmp_path)
    assert "floating point" in error.message
    assert "tinyq quantize" in str(error.remedy)


def test_a_batch_is_no_image(schema, tmp_path):
    content = write_model(schema, ["AVERAGE_POOL_2D"], shape=(2, 4, 4, 3))
    error = refuse(content, tmp_path)
    assert "operator 0 AVERAGE_POOL_2D" in str(error.where)
    assert "one sample" in error.message


def test_a_missing_option_is_no_crash(schema, tmp_path):
    content = write_model(schema, ["AVERAGE_POOL_2D"], shape=(1, 4, 4, 3))
    assert "make no sense" in refuse(content, tmp_path).message


def test_types_that_do_not_fit(schema, tmp_path):
    error = refuse(write_model(schema, ["RESHAPE"], ("INT8", "INT16")), tmp_path)
    assert "computes s8" in error.message


@pytest.mark.parametrize("name", ["LOG_SOFTMAX", "HARD_SWISH", "ARG_MAX"])
def test_operators_without_16_bits_are_refused_by_name(schema, name, tmp_path):
    error = refuse(write_model(schema, [name], ("INT16", "INT16"), zero=0), tmp_path)
    assert f"operator 0 {name}" in str(error.where)
    assert "INT16" in error.message


def test_16_bit_activations_are_symmetric(schema, tmp_path):
    error = refuse(write_model(schema, ["RELU"], ("INT16", "INT16")), tmp_path)
    assert "symmetric" in error.message


def test_formats_without_a_kernel_are_refused_with_the_operator(schema, tmp_path):
    error = refuse(write_model(schema, ["TRANSPOSE"], ("INT8", "INT16")), tmp_path)
    assert "operator 0 TRANSPOSE" in str(error.where)


def test_an_operator_in_floating_point_is_refused_by_name(schema, tmp_path):
    names = ("DEQUANTIZE", "RESHAPE", "CUMSUM", "QUANTIZE")
    types = ("INT8", "FLOAT32", "FLOAT32", "FLOAT32", "INT8")
    error = refuse(write_model(schema, names, types), tmp_path)
    assert "operator 2 CUMSUM" in str(error.where)
    assert "FLOAT32" in error.message
    assert "full-integer quantization" in str(error.remedy)


def test_an_output_that_nobody_computes(schema, tmp_path):
    error = refuse(write_model(schema, ["RELU"], ("INT8", "INT8", "INT8")), tmp_path)
    assert "never computed" in error.message


def test_unknown_rounding(tmp_path):
    with pytest.raises(TinyqError, match="rounding"):
        import_tflite(tmp_path / "model.tflite", "nearest")


def test_float_ends_become_the_quantized_tensors(schema, tmp_path):
    names = ("QUANTIZE", "RELU", "DEQUANTIZE")
    types = ("FLOAT32", "INT8", "INT8", "FLOAT32")
    path = tmp_path / "2 odd-name.tflite"
    path.write_bytes(write_model(schema, names, types))
    graph = import_tflite(path)
    assert [type(node.op).__name__ for node in graph.nodes] == ["Lookup"]
    assert graph.input.type.zero_point == 1
    assert graph.name == "m_2_odd_name"


def test_load_model_knows_the_suffix(schema, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(write_model(schema, ["RELU"]))
    assert load_model(path).output.type.shape == (4,)


def expected(acc: int, scale: float, least: int, most: int) -> int:
    product = float(acc) * scale
    code = math.copysign(math.floor(abs(product) + 0.5), product)
    return int(min(max(code, least), most))


@pytest.mark.parametrize("least", [-128, 0, -1])
def test_exact_multiplier_equals_the_float_product(least, rng):
    for power in rng.uniform(-19, 3, 60):
        scale = float(np.float32(2.0**power))
        multiplier, shift = exact_multiplier(scale, least, 127)
        edges = [int((code - 0.5) / scale) for code in range(-130, 130)]
        near = {edge + step for edge in edges for step in (-1, 0, 1)}
        for acc in (*near, -(2**31), 2**31 - 1):
            if not -(2**31) <= acc < 2**31:
                continue
            code = (acc * multiplier + (1 << (shift - 1))) >> shift
            assert min(max(code, least), 127) == expected(acc, scale, least, 127), (scale, acc)


@pytest.mark.parametrize("scale", [0.5, 0.25, 1.0, 1.5, 2.0**-12])
def test_exact_multiplier_rounds_ties_away_from_zero(scale):
    multiplier, shift = exact_multiplier(scale, -128, 127)
    for acc in range(-2000, 2000):
        code = (acc * multiplier + (1 << (shift - 1))) >> shift
        assert min(max(code, -128), 127) == expected(acc, scale, -128, 127)


@pytest.mark.parametrize("reach", [3000, 2**31 - 1, 2**40])
def test_exact_wide_multiplier_equals_the_float_product(reach, rng):
    for power in (*rng.uniform(-30, 3, 8), 0.0, -12.0):
        scale = float(2.0**power)
        mantissa, shift = exact_wide_multiplier(scale, -(2**15), 2**15 - 1, reach)
        assert 0 <= mantissa < 2**63
        assert 17 <= shift <= 62
        codes = rng.integers(-(2**15), 2**15, 400)
        edges = [int((code - 0.5) / scale) for code in codes]
        for acc in (*(edge + step for edge in edges for step in (-1, 0, 1)), -reach, reach):
            if abs(acc) <= reach:
                code = (acc * mantissa + (1 << (shift + 31))) >> (shift + 32)
                clipped = min(max(code, -(2**15)), 2**15 - 1)
                assert clipped == expected(acc, scale, -(2**15), 2**15 - 1), (scale, acc)


def test_63_bits_do_what_31_bits_cannot():
    scale = 1.1892555034165452e-07
    assert exact_multiplier(scale, -128, 127) is None
    mantissa, shift = exact_wide_multiplier(scale, -128, 127, 2**31 - 1)
    for edge in (int((code - 0.5) / scale) for code in range(-128, 129)):
        for acc in range(edge - 3, edge + 4):
            code = (acc * mantissa + (1 << (shift + 31))) >> (shift + 32)
            assert min(max(code, -128), 127) == expected(acc, scale, -128, 127)


def test_a_tiny_scale_is_exact_as_far_as_accumulators_reach(rng):
    for power in rng.uniform(-44, -14, 80):
        scale = float(np.float32(2.0**power)) * 1.3
        reach = 640 * 127 * 255
        multiplier, shift = exact_multiplier(scale, -128, 127, reach)
        edges = [int((code - 0.5) / scale) for code in range(-128, 128)]
        for acc in (*(edge + step for edge in edges for step in (-1, 0, 1)), -reach, reach):
            if abs(acc) <= reach:
                code = (acc * multiplier + (1 << (shift - 1))) >> shift
                assert min(max(code, -128), 127) == expected(acc, scale, -128, 127)
