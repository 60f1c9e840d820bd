"""uint8 in .tflite files: at the border, and networks of uint8 alone with asymmetric weights."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bitexact.litert import run_litert
from tests.bitexact.test_tflite_ops import CASES
from tests.bitexact.tflite_files import Case, compare, convert, plain, rewrite
from tests.bitexact.tflite_weighted import conv, dense, depthwise, transposed
from tests.harness import check_graph
from tests.requirements import require_module
from tinyq.errors import ModelError
from tinyq.graph import reference
from tinyq.importers.tflite import import_tflite

require_module("ai_edge_litert")

# Operators that LiteRT computes with uint8 codes.
LEGACY = (
    *("conv stride relu6", "conv dilated", "depthwise stride", "depthwise multiplier"),
    *("dense relu", "transposed conv", "average pool", "average pool relu", "max pool"),
    *("mean apart", "add channels", "sub", "mul gate", "concat rows", "pad channels", "softmax"),
    *("logistic", "leaky relu", "prelu", "argmax", "nearest", "requantize"),
)


def per_tensor(case: Case, rng) -> bytes:
    """The case with one scale for all weights of a layer."""
    return convert(case, rng, per_channel=False)


def as_unsigned(shift: int):
    """Turn int8 into uint8; weights get another zero point under the same codes."""

    def change(schema, model):
        graph, kinds = model.subgraphs[0], schema.TensorType
        weights = {int(node.inputs[1]) for node in graph.operators if len(node.inputs) > 2}
        for index, tensor in enumerate(graph.tensors):
            if tensor.type != kinds.INT8:
                continue
            tensor.type = kinds.UINT8
            moved = shift if index in weights and len(tensor.shape) in (2, 4) else 0
            zeros = [int(zero) + 128 for zero in tensor.quantization.zeroPoint]
            data = model.buffers[tensor.buffer].data
            if data is None:
                moved = 0
            else:
                model.buffers[tensor.buffer].data = np.asarray(data, np.uint8) ^ 0x80
            tensor.quantization.zeroPoint = [zero + moved for zero in zeros]

    return change


@pytest.mark.parametrize("name", LEGACY)
def test_unsigned_operator_equals_litert(name, tmp_path, seed):
    rng = np.random.default_rng([seed, 8, LEGACY.index(name)])
    shift = int(rng.choice([0, 1, -9, 40, -127]))
    content = rewrite(per_tensor(CASES[name], rng), as_unsigned(shift))
    graph = compare(content, CASES[name].operator, tmp_path, rng)
    assert "u8" not in {tensor.type.format.name for tensor in graph.tensors.values()}


def test_unsigned_bilinear_is_refused_where_it_is_floats(tmp_path, rng):
    path = tmp_path / "model.tflite"
    path.write_bytes(rewrite(per_tensor(CASES["bilinear"], rng), as_unsigned(0)))
    with pytest.raises(ModelError, match="floating point"):
        import_tflite(path, "tflite")
    import_tflite(path, "half_up")


def test_asymmetric_weights_in_c(tmp_path, rng):
    """Weights that leave int8 without their zero point, in every layer that has weights."""

    def build(tf, rng):
        first, second = conv(5, (3, 3), 2)(tf, rng), depthwise((3, 2), dilation=2)(tf, rng)
        third, last = transposed(3, (2, 2), 2, "VALID", (8, 8))(tf, rng), dense(4)(tf, rng)

        def apply(x):
            y = third(second(tf.nn.relu(first(x))))
            return tf.nn.softmax(last(tf.reshape(y, [1, 192])))

        return apply

    content = rewrite(per_tensor(Case("SOFTMAX", (1, 8, 8, 2), build), rng), as_unsigned(60))
    graph = compare(content, "TRANSPOSE_CONV", tmp_path, rng)
    assert sum("twice" in name for name in graph.tensors) >= 4
    check_graph(graph, rng.integers(-128, 128, (6, *graph.input.type.shape)))


def border(kind: str, factor: float, zero: int):
    """Give the network an input or output of uint8 with a scale of its own."""

    def change(schema, model):
        graph, kinds = model.subgraphs[0], schema.TensorType
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.QUANTIZE
        model.operatorCodes.append(code)
        ends = graph.inputs if kind == "input" else graph.outputs
        inner = int(ends[0])
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.name = graph.tensors[inner].shape, kinds.UINT8, b"u8"
        tensor.buffer = 0
        tensor.quantization = schema.QuantizationParametersT()
        meaning = graph.tensors[inner].quantization
        tensor.quantization.scale = [float(meaning.scale[0]) * factor]
        tensor.quantization.zeroPoint = [zero if zero >= 0 else int(meaning.zeroPoint[0]) + 128]
        graph.tensors.append(tensor)
        outer = len(graph.tensors) - 1
        operator = schema.OperatorT()
        operator.opcodeIndex = len(model.operatorCodes) - 1
        pair = [outer, inner] if kind == "input" else [inner, outer]
        operator.inputs, operator.outputs = pair[:1], pair[1:]
        place = 0 if kind == "input" else len(graph.operators)
        graph.operators.insert(place, operator)
        setattr(graph, f"{kind}s", [outer])

    return change


@pytest.mark.parametrize("kind", ["input", "output"])
@pytest.mark.parametrize(("factor", "zero"), [(1.0, -1), (1.0, 3), (0.77, 128), (1.9, 0)])
def test_border_of_unsigned_codes(kind, factor, zero, tmp_path, rng):
    content = rewrite(convert(CASES["dense"], rng), border(kind, factor, zero))
    graph = compare(content, "QUANTIZE", tmp_path, rng)
    relabelled = (factor, zero) == (1.0, -1)
    assert len(graph.nodes) == 1 if relabelled else len(graph.nodes) == 2


def test_every_code_of_an_unsigned_pair(tmp_path, rng):
    """A network of one QUANTIZE from uint8 to int8 and back, all codes and some scales."""
    for factor in (0.5, 0.9, 1.0, 1.1, 3.0):
        base = convert(Case("RELU", (1, 256), plain(lambda tf, x: tf.nn.relu(x))), rng)
        content = rewrite(rewrite(base, border("input", factor, 7)), border("output", 1.3, 200))
        path = tmp_path / "model.tflite"
        path.write_bytes(content)
        codes = np.arange(-128, 128)[None]
        found = reference.run(import_tflite(path, "tflite"), codes)
        assert (found == run_litert(content, codes)[0]).all()
