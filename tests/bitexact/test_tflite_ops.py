"""Every supported TFLite operator: a small converted model against LiteRT's reference kernel."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bitexact.litert import run_litert
from tests.bitexact.tflite_arithmetic import ARITHMETIC
from tests.bitexact.tflite_files import Case, compare, convert, rewrite
from tests.bitexact.tflite_moves import MOVES
from tests.bitexact.tflite_weighted import WEIGHTED, conv, dense, depthwise, transposed
from tests.harness import check_graph
from tests.requirements import require_module
from tinyq.graph import reference
from tinyq.importers.tflite import import_tflite

require_module("ai_edge_litert")
CASES = {**WEIGHTED, **ARITHMETIC, **MOVES}

# Cases that TensorFlow's converter also makes with 16-bit activations, and two for that alone: sums
# that leave 32 bits. The others it refuses, or it writes what LiteRT refuses (pad value).
ONLY_EIGHT_BITS = (
    *("pad value", "log softmax", "log softmax wide", "relu1", "prelu", "hard swish"),
    *("hard swish wide", "argmax", "argmax rows"),
)
SIXTEEN_BIT_CASES = {name: case for name, case in CASES.items() if name not in ONLY_EIGHT_BITS} | {
    "dense deep": Case("FULLY_CONNECTED", (1, 2000), dense(3)),
    "conv deep": Case("CONV_2D", (1, 2, 2, 3000), conv(4, (1, 1))),
}


@pytest.mark.parametrize("name", CASES)
def test_operator_equals_litert(name, tmp_path, seed):
    case = CASES[name]
    rng = np.random.default_rng([seed, list(CASES).index(name)])
    compare(convert(case, rng), case.operator, tmp_path, rng)


@pytest.mark.parametrize("name", SIXTEEN_BIT_CASES)
def test_sixteen_bit_operator_equals_litert(name, tmp_path, seed):
    case = SIXTEEN_BIT_CASES[name]
    rng = np.random.default_rng([seed, 16, list(SIXTEEN_BIT_CASES).index(name)])
    graph = compare(convert(case, rng, 16), case.operator, tmp_path, rng)
    epilogues = {type(getattr(node.op, "output", None)).__name__ for node in graph.nodes}
    assert ("RequantizeWide" in epilogues) == (
        "deep" in name or case.operator in ("FULLY_CONNECTED", "BATCH_MATMUL")
    )


def test_sixteen_bit_network_in_c(tmp_path, rng):
    """Every kernel of 16-bit activations in one network, under both rules."""

    def build(tf, rng):
        first = conv(6, (3, 3), activation="relu")(tf, rng)
        second = depthwise((3, 3), multiplier=2)(tf, rng)
        third = transposed(3, (2, 2), 2, "VALID", (8, 8))(tf, rng)
        last, wide = dense(7)(tf, rng), dense(4)(tf, rng)

        def apply(x):
            y = second(tf.nn.max_pool2d(first(x), 2, 2, "VALID"))
            y = tf.nn.avg_pool2d(third(y), 2, 2, "SAME")
            y = tf.nn.leaky_relu(y * tf.nn.sigmoid(y), 0.2) + tf.nn.tanh(y)
            y = tf.raw_ops.ResizeBilinear(images=y, size=[5, 6])
            y = tf.raw_ops.ResizeNearestNeighbor(images=y, size=[6, 6])
            y = tf.pad(tf.transpose(y, [0, 2, 1, 3]), [[0, 0], [1, 0], [0, 1], [0, 0]])
            y = tf.concat([y, tf.nn.relu(y)], -1)
            flat = last(tf.reshape(y, [1, 7 * 7 * 6])) + 0.1 * last(tf.reshape(y * y, [1, 294]))
            rows = tf.reshape(tf.reduce_mean(y, 1), [1, 7, 6])
            flat = flat + tf.reduce_mean(tf.matmul(rows, rows, transpose_b=True), 2)
            return tf.nn.softmax(wide(flat))

        return apply

    content = convert(Case("SOFTMAX", (1, 8, 8, 2), build), rng, 16)
    path = tmp_path / "wide.tflite"
    path.write_bytes(content)
    for rounding in ("tflite", "half_up"):
        graph = import_tflite(path, rounding)
        codes = rng.integers(-32768, 32768, (6, *graph.input.type.shape))
        check_graph(graph, codes)
        if rounding == "tflite":
            assert (run_litert(content, codes)[:, 0] == reference.run(graph, codes)).all()


@pytest.mark.parametrize("operator", ["SQUEEZE", "EXPAND_DIMS"])
def test_reshape_under_another_name(operator, tmp_path, rng):
    """The converter writes these as RESHAPE, other tools do not."""

    def rename(schema, model):
        reshape = schema.BuiltinOperator.RESHAPE
        code = next(code for code in model.operatorCodes if code.builtinCode == reshape)
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, operator)
        node = model.subgraphs[0].operators[0]
        if operator == "SQUEEZE":
            node.inputs = node.inputs[:1]
            node.builtinOptionsType = schema.BuiltinOptions.SqueezeOptions
            node.builtinOptions = schema.SqueezeOptionsT()
            node.builtinOptions.squeezeDims = [2]
        else:
            node.builtinOptionsType = schema.BuiltinOptions.ExpandDimsOptions
            node.builtinOptions = schema.ExpandDimsOptionsT()
            axis = model.subgraphs[0].tensors[node.inputs[1]]
            axis.shape = [1]
            model.buffers[axis.buffer].data = np.frombuffer(np.array([2], "<i4"), np.uint8)

    content = rewrite(convert(CASES[operator.lower()], rng), rename)
    compare(content, operator, tmp_path, rng)


@pytest.mark.parametrize(
    "name", ["reshape", "slice", "strided slice", "split", "transpose", "unpack"]
)
@pytest.mark.parametrize("factor", [1.0, 0.37, 1.9])
def test_moves_in_floating_point(name, factor, tmp_path, rng):
    """DEQUANTIZE before the move and QUANTIZE to another scale behind it."""

    def leave_in_floats(schema, model):
        graph, kinds = model.subgraphs[0], schema.BuiltinOperator
        codes = [code.builtinCode for code in model.operatorCodes]
        wanted = getattr(kinds, CASES[name].operator)
        place = next(i for i, one in enumerate(graph.operators) if codes[one.opcodeIndex] == wanted)
        move = graph.operators[place]
        move.inputs, move.outputs = [*map(int, move.inputs)], [*map(int, move.outputs)]
        source = 1 if wanted == kinds.SPLIT else 0

        def add_operator(kind, reads, writes):
            code = schema.OperatorCodeT()
            number = getattr(kinds, kind)
            code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
            model.operatorCodes.append(code)
            operator = schema.OperatorT()
            operator.opcodeIndex = len(model.operatorCodes) - 1
            operator.inputs, operator.outputs = [reads], [writes]
            return operator

        def add_float(like):
            tensor = schema.TensorT()
            tensor.shape, tensor.type = graph.tensors[like].shape, schema.TensorType.FLOAT32
            tensor.buffer, tensor.name = 0, b"float"
            graph.tensors.append(tensor)
            return len(graph.tensors) - 1

        moved = add_float(move.inputs[source])
        before = add_operator("DEQUANTIZE", move.inputs[source], moved)
        move.inputs[source] = moved
        behind = []
        for position, index in enumerate(list(move.outputs)):
            move.outputs[position] = add_float(index)
            behind.append(add_operator("QUANTIZE", move.outputs[position], index))
            meaning = graph.tensors[index].quantization
            meaning.scale, meaning.zeroPoint = [meaning.scale[0] * factor], [5]
        graph.operators[place : place + 1] = [before, move, *behind]

    content = rewrite(convert(CASES[name], rng), leave_in_floats)
    compare(content, "DEQUANTIZE", tmp_path, rng)


@pytest.mark.parametrize("name", ["conv 3x3", "conv 1x1 relu", "depthwise", "dense"])
def test_four_bit_weights(name, tmp_path, rng):
    def narrow(schema, model):
        graph = model.subgraphs[0]
        kinds = {index: code.builtinCode for index, code in enumerate(model.operatorCodes)}
        wanted = getattr(schema.BuiltinOperator, CASES[name].operator)
        node = next(node for node in graph.operators if kinds[node.opcodeIndex] == wanted)
        weights = graph.tensors[node.inputs[1]]
        weights.type = schema.TensorType.INT4
        buffer = model.buffers[weights.buffer]
        codes = np.asarray(buffer.data, np.uint8).view(np.int8).astype(np.int32) >> 4
        fields = np.pad(codes & 15, (0, len(codes) % 2)).reshape(-1, 2)
        buffer.data = (fields[:, 0] | fields[:, 1] << 4).astype(np.uint8)

    content = rewrite(convert(CASES[name], rng), narrow)
    graph = compare(content, CASES[name].operator, tmp_path, rng)
    assert "s4" in {tensor.type.format.name for tensor in graph.tensors.values()}
