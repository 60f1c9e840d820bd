"""Every supported TFLite operator: a small converted model against LiteRT's reference kernel."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bitexact.litert import run_litert
from tests.harness import check_graph
from tests.requirements import require_module
from tinyq.graph import Graph, reference
from tinyq.importers.tflite import import_tflite
from tinyq.importers.tflite.reader import read_model

require_module("ai_edge_litert")
SAMPLES = 24


@dataclass(frozen=True)
class Case:
    """One model: ``build(tf, rng)`` gives a function of one tensor of ``shape``."""

    operator: str
    shape: tuple[int, ...]
    build: Callable[[Any, np.random.Generator], Callable[[Any], Any]]
    spread: float = 1.0


def normal(rng, *shape, scale=0.5):
    return (rng.normal(size=shape) * scale).astype(np.float32)


def conv(filters, kernel, strides=1, padding="SAME", dilation=1, bias=True, activation=None):
    def build(tf, rng):
        height, width = kernel

        def apply(x):
            weights = tf.constant(normal(rng, height, width, x.shape[-1], filters))
            # One channel that is nearly zero, so that multipliers differ widely.
            y = tf.nn.conv2d(
                x, weights * make_scale(tf, filters), strides, padding, dilations=dilation
            )
            y = y + normal(rng, filters) if bias else y
            return getattr(tf.nn, activation)(y) if activation else y

        return apply

    return build


def grouped(filters, groups):
    def build(tf, rng):
        def apply(x):
            weights = tf.constant(normal(rng, 3, 3, x.shape[-1] // groups, filters))
            return tf.nn.conv2d(x, weights, 1, "SAME") + normal(rng, filters)

        return apply

    return build


def make_scale(tf, channels):
    return tf.constant(np.geomspace(0.01, 1.0, channels), tf.float32)


def depthwise(kernel, strides=1, padding="SAME", multiplier=1, dilation=1, activation=None):
    def build(tf, rng):
        def apply(x):
            weights = tf.constant(normal(rng, *kernel, x.shape[-1], multiplier))
            y = tf.nn.depthwise_conv2d(
                x, weights, [1, strides, strides, 1], padding, dilations=[dilation, dilation]
            )
            y = y + normal(rng, y.shape[-1])
            return getattr(tf.nn, activation)(y) if activation else y

        return apply

    return build


def dense(units, activation=None):
    def build(tf, rng):
        def apply(x):
            y = tf.matmul(x, tf.constant(normal(rng, x.shape[-1], units))) + normal(rng, units)
            return getattr(tf.nn, activation)(y) if activation else y

        return apply

    return build


def plain(function):
    """A function of (tf, x) as a builder."""
    return lambda tf, rng: lambda x: function(tf, x)


def randomly(function):
    """A function of (tf, rng, x) as a builder."""
    return lambda tf, rng: lambda x: function(tf, rng, x)


def transposed(filters, kernel, stride, padding, size):
    def build(tf, rng):
        weights = None

        def apply(x):
            nonlocal weights
            weights = tf.constant(normal(rng, *kernel, filters, x.shape[-1]))
            shape = [1, *size, filters]
            return tf.nn.conv2d_transpose(x, weights, shape, stride, padding)

        return apply

    return build


def resize(method, size, corners=False, centers=False):
    name = {"nearest": "ResizeNearestNeighbor", "bilinear": "ResizeBilinear"}[method]
    return plain(
        lambda tf, x: getattr(tf.raw_ops, name)(
            images=x, size=list(size), align_corners=corners, half_pixel_centers=centers
        )
    )


CASES = {
    "conv 3x3": Case("CONV_2D", (1, 9, 7, 3), conv(8, (3, 3))),
    "conv 1x1 relu": Case("CONV_2D", (1, 5, 6, 17), conv(5, (1, 1), activation="relu")),
    "conv stride relu6": Case(
        "CONV_2D", (1, 11, 8, 4), conv(6, (3, 2), 2, activation="relu6"), 4.0
    ),
    "conv valid": Case("CONV_2D", (1, 10, 6, 2), conv(3, (5, 3), (1), "VALID", bias=False)),
    "conv dilated": Case("CONV_2D", (1, 12, 12, 3), conv(4, (3, 3), 1, "SAME", 2)),
    "conv groups": Case("CONV_2D", (1, 7, 6, 8), grouped(6, 2)),
    "depthwise": Case("DEPTHWISE_CONV_2D", (1, 9, 8, 5), depthwise((3, 3))),
    "depthwise stride": Case(
        "DEPTHWISE_CONV_2D", (1, 10, 9, 6), depthwise((3, 3), 2, "VALID", activation="relu6"), 3.0
    ),
    "depthwise multiplier": Case(
        "DEPTHWISE_CONV_2D", (1, 6, 6, 3), depthwise((3, 3), 1, "SAME", 4)
    ),
    "dense": Case("FULLY_CONNECTED", (1, 37), dense(11)),
    "dense relu": Case("FULLY_CONNECTED", (1, 64), dense(16, "relu"), 3.0),
    "dense rows": Case("FULLY_CONNECTED", (1, 5, 12), dense(7)),
    "average pool": Case(
        "AVERAGE_POOL_2D", (1, 9, 7, 5), plain(lambda tf, x: tf.nn.avg_pool2d(x, 3, 2, "SAME"))
    ),
    "average pool valid": Case(
        "AVERAGE_POOL_2D",
        (1, 6, 8, 3),
        plain(lambda tf, x: tf.nn.avg_pool2d(x, (6, 8), 1, "VALID")),
    ),
    "average pool relu": Case(
        "AVERAGE_POOL_2D",
        (1, 8, 8, 3),
        plain(lambda tf, x: tf.nn.relu(tf.nn.avg_pool2d(x, 2, 2, "VALID"))),
    ),
    "max pool": Case(
        "MAX_POOL_2D", (1, 9, 7, 5), plain(lambda tf, x: tf.nn.max_pool2d(x, (3, 2), 2, "SAME"))
    ),
    "mean": Case("MEAN", (1, 7, 5, 6), plain(lambda tf, x: tf.reduce_mean(x, [1, 2]))),
    "mean keep": Case(
        "MEAN", (1, 3, 4, 6), plain(lambda tf, x: tf.reduce_mean(x, [1, 2], keepdims=True)), 9.0
    ),
    "mean apart": Case("MEAN", (1, 5, 4, 6), plain(lambda tf, x: tf.reduce_mean(x, [1, 3])), 3.0),
    "mean last": Case("MEAN", (1, 4, 9), plain(lambda tf, x: tf.reduce_mean(x, -1))),
    "mean middle": Case("MEAN", (1, 5, 7, 3), plain(lambda tf, x: tf.reduce_mean(x, 1))),
    "add": Case("ADD", (1, 6, 5, 4), plain(lambda tf, x: x + tf.nn.relu(x) * 0.37)),
    "add constant": Case(
        "ADD", (1, 6, 5, 4), randomly(lambda tf, rng, x: x + normal(rng, 6, 5, 4))
    ),
    "add channels": Case("ADD", (1, 6, 5, 4), randomly(lambda tf, rng, x: x + normal(rng, 4))),
    "add broadcast": Case(
        "ADD", (1, 6, 5, 4), plain(lambda tf, x: x + tf.nn.max_pool2d(x, (6, 1), 1, "VALID"))
    ),
    "add relu": Case("ADD", (1, 6, 5, 4), plain(lambda tf, x: tf.nn.relu(x + tf.nn.tanh(x)))),
    "sub": Case("SUB", (1, 6, 5, 4), plain(lambda tf, x: tf.nn.sigmoid(x) - x)),
    "sub scalar": Case("SUB", (1, 9), plain(lambda tf, x: 1.0 - x)),
    "mul": Case("MUL", (1, 6, 5, 4), plain(lambda tf, x: x * tf.nn.tanh(x))),
    "mul gate": Case(
        "MUL",
        (1, 6, 5, 4),
        plain(lambda tf, x: x * tf.nn.sigmoid(tf.reduce_mean(x, [1, 2], keepdims=True))),
    ),
    "concat channels": Case(
        "CONCATENATION", (1, 4, 5, 3), plain(lambda tf, x: tf.concat([x, tf.nn.relu(x), x], -1))
    ),
    "concat rows": Case(
        "CONCATENATION", (1, 4, 5, 3), plain(lambda tf, x: tf.concat([tf.nn.relu6(x), x], 1))
    ),
    "pack": Case("PACK", (1, 4, 3), plain(lambda tf, x: tf.stack([x, tf.nn.relu(x)], 2))),
    "unpack": Case(
        "UNPACK",
        (1, 3, 4, 5),
        # Every part is used: of a part that nobody reads the converter knows no range, and it then
        # leaves the operator in floating point in some runs and not in others.
        plain(lambda tf, x: (lambda parts: parts[2] + parts[0] * parts[1])(tf.unstack(x, axis=1))),
    ),
    "split": Case(
        "SPLIT",
        (1, 4, 6),
        plain(lambda tf, x: (lambda parts: parts[1] - parts[0])(tf.split(x, 2, axis=2))),
    ),
    "split sizes": Case(
        "SPLIT_V",
        (1, 7, 3),
        plain(lambda tf, x: tf.concat(tf.split(x, [2, 4, 1], axis=1)[::-1], 1)),
    ),
    "pad": Case(
        "PAD", (1, 5, 4, 3), plain(lambda tf, x: tf.pad(x, [[0, 0], [1, 2], [0, 3], [0, 0]]))
    ),
    "pad channels": Case(
        "PAD", (1, 5, 4, 3), plain(lambda tf, x: tf.pad(x, [[0, 0], [1, 0], [0, 0], [2, 1]]))
    ),
    "pad vector": Case("PAD", (1, 5), plain(lambda tf, x: tf.pad(x, [[0, 0], [3, 4]]))),
    "pad value": Case(
        "PADV2",
        (1, 5, 4, 3),
        plain(lambda tf, x: tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=-0.4)),
    ),
    "reshape": Case("RESHAPE", (1, 6, 4), plain(lambda tf, x: tf.reshape(x, [1, 3, 8]))),
    "reshape rows": Case(
        "RESHAPE",
        (1, 6, 4),
        plain(lambda tf, x: tf.nn.relu(tf.reshape(x, [6, 4]))),
    ),
    "transpose": Case(
        "TRANSPOSE", (1, 4, 5, 3), plain(lambda tf, x: tf.transpose(x, [0, 3, 1, 2]))
    ),
    "transpose batch": Case(
        "TRANSPOSE", (1, 4, 5), plain(lambda tf, x: tf.transpose(x, [2, 0, 1]))
    ),
    "slice": Case(
        "SLICE", (1, 6, 5, 4), plain(lambda tf, x: tf.slice(x, [0, 1, 0, 2], [1, 3, -1, 2]))
    ),
    "strided slice ellipsis": Case("STRIDED_SLICE", (1, 9, 5, 4), plain(lambda tf, x: x[..., 1:3])),
    "strided slice new axis": Case(
        "STRIDED_SLICE", (1, 9, 5), plain(lambda tf, x: x[:, tf.newaxis, 2:8:2, 1:])
    ),
    "strided slice": Case("STRIDED_SLICE", (1, 9, 5, 4), plain(lambda tf, x: x[:, 1:8:3, ::-2])),
    "strided slice shrink": Case(
        "STRIDED_SLICE", (1, 9, 5, 4), plain(lambda tf, x: x[:, -2, :, 1:])
    ),
    "squeeze": Case("RESHAPE", (1, 4, 1, 3), plain(lambda tf, x: tf.squeeze(x, [2]))),
    "expand_dims": Case(
        "RESHAPE", (1, 4, 3), plain(lambda tf, x: tf.raw_ops.ExpandDims(input=x, axis=2))
    ),
    "softmax": Case("SOFTMAX", (1, 13), plain(lambda tf, x: tf.nn.softmax(x)), 4.0),
    "softmax rows": Case("SOFTMAX", (1, 3, 200), plain(lambda tf, x: tf.nn.softmax(x)), 0.1),
    "softmax wide": Case("SOFTMAX", (1, 2), plain(lambda tf, x: tf.nn.softmax(x)), 60.0),
    "log softmax": Case("LOG_SOFTMAX", (1, 11), plain(lambda tf, x: tf.nn.log_softmax(x)), 3.0),
    "log softmax wide": Case(
        "LOG_SOFTMAX", (1, 40), plain(lambda tf, x: tf.nn.log_softmax(x)), 40.0
    ),
    "logistic": Case("LOGISTIC", (1, 300), plain(lambda tf, x: tf.nn.sigmoid(x)), 4.0),
    "tanh": Case("TANH", (1, 300), plain(lambda tf, x: tf.nn.tanh(x)), 2.0),
    "relu": Case("RELU", (1, 300), plain(lambda tf, x: tf.nn.relu(x))),
    "relu6": Case("RELU6", (1, 300), plain(lambda tf, x: tf.nn.relu6(x)), 5.0),
    "relu1": Case(
        "RELU_N1_TO_1", (1, 300), plain(lambda tf, x: tf.maximum(-1.0, tf.minimum(x, 1.0))), 2.0
    ),
    "leaky relu": Case("LEAKY_RELU", (1, 300), plain(lambda tf, x: tf.nn.leaky_relu(x, 0.23))),
    "leaky relu negative": Case(
        "LEAKY_RELU", (1, 300), plain(lambda tf, x: tf.nn.leaky_relu(x, -0.4))
    ),
    "prelu": Case(
        "PRELU",
        (1, 6, 5, 4),
        randomly(lambda tf, rng, x: tf.nn.relu(x) + -normal(rng, 1, 1, 4) * tf.nn.relu(-x)),
    ),
    "hard swish": Case(
        "HARD_SWISH", (1, 300), plain(lambda tf, x: x * tf.nn.relu6(x + 3.0) / 6.0), 3.0
    ),
    "hard swish wide": Case(
        "HARD_SWISH", (1, 300), plain(lambda tf, x: x * tf.nn.relu6(x + 3.0) / 6.0), 30.0
    ),
    "argmax": Case("ARG_MAX", (1, 12), plain(lambda tf, x: tf.argmax(x, -1, tf.int32))),
    "argmax rows": Case("ARG_MAX", (1, 4, 5, 6), plain(lambda tf, x: tf.argmax(x, 2, tf.int32))),
    "matmul": Case(
        "BATCH_MATMUL",
        (1, 3, 4, 5),
        plain(lambda tf, x: tf.matmul(x, tf.nn.tanh(x), transpose_b=True)),
    ),
    "matmul left": Case(
        "BATCH_MATMUL",
        (1, 3, 4, 5),
        plain(lambda tf, x: tf.matmul(tf.nn.relu(x), x, transpose_a=True)),
    ),
    "transposed conv": Case(
        "TRANSPOSE_CONV", (1, 4, 5, 3), transposed(4, (3, 3), 2, "SAME", (8, 10))
    ),
    "transposed conv valid": Case(
        "TRANSPOSE_CONV", (1, 4, 3, 2), transposed(3, (4, 2), 3, "VALID", (13, 8))
    ),
    "transposed conv crop": Case(
        "TRANSPOSE_CONV", (1, 4, 3, 2), transposed(3, (5, 5), 1, "SAME", (4, 3))
    ),
    "nearest": Case("RESIZE_NEAREST_NEIGHBOR", (1, 5, 4, 3), resize("nearest", (10, 7))),
    "nearest corners": Case(
        "RESIZE_NEAREST_NEIGHBOR", (1, 5, 4, 3), resize("nearest", (9, 7), corners=True)
    ),
    "nearest centers": Case(
        "RESIZE_NEAREST_NEIGHBOR", (1, 5, 4, 3), resize("nearest", (3, 8), centers=True)
    ),
    "bilinear": Case("RESIZE_BILINEAR", (1, 5, 4, 3), resize("bilinear", (10, 7))),
    "bilinear corners": Case(
        "RESIZE_BILINEAR", (1, 5, 4, 3), resize("bilinear", (9, 7), corners=True)
    ),
    "bilinear centers": Case(
        "RESIZE_BILINEAR", (1, 5, 4, 3), resize("bilinear", (12, 3), centers=True)
    ),
    "requantize": Case(
        "QUANTIZE", (1, 4, 5, 3), plain(lambda tf, x: tf.concat([x, tf.nn.sigmoid(x)], 1))
    ),
}


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


def convert(
    case: Case,
    rng: np.random.Generator,
    bits: int = 8,
    per_channel: bool = True,
    allow_floats: bool = False,
) -> bytes:
    """The case as a .tflite file with int8 or int16 activations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow as tf

        function = tf.function(case.build(tf, rng)).get_concrete_function(
            tf.TensorSpec(case.shape, tf.float32)
        )
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter._experimental_disable_per_channel = not per_channel
        converter.representative_dataset = lambda: (
            [normal(rng, *case.shape, scale=case.spread)] for _ in range(8)
        )
        sets = tf.lite.OpsSet
        wide = sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [sets.TFLITE_BUILTINS_INT8 if bits == 8 else wide]
        converter.inference_input_type = tf.int8 if bits == 8 else tf.int16
        converter.inference_output_type = converter.inference_input_type
        content = converter.convert()
    if not allow_floats:
        require_integers(content)
    return content


def require_integers(content: bytes) -> None:
    """Fail where the converter left an operator in floating point or computes what nobody reads.

    Of an output that nobody reads it knows no range, and then some runs are quantized and others
    are not.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        model = read_model(path)
    read = {index for operator in model.operators for index in operator.inputs} | {*model.outputs}
    for operator in model.operators:
        places = [index for index in (*operator.inputs, *operator.outputs) if index >= 0]
        floats = [str(model.tensors[i]) for i in places if model.tensors[i].type == "FLOAT32"]
        assert not floats, f"the converter left {operator} in floating point: {floats}"
        unread = [str(model.tensors[i]) for i in operator.outputs if i not in read]
        assert not unread, f"nobody reads {unread} of {operator}: change the case"


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


def rewrite(content: bytes, change: Callable[[Any, Any], None]) -> bytes:
    """The file after ``change(schema, model)``."""
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    change(schema, model)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def compare(content: bytes, operator: str, tmp_path: Path, rng: np.random.Generator) -> Graph:
    """Check that the file has the operator and that both rules compute what they should."""
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    assert operator in {entry.name for entry in read_model(path).operators}
    graph = import_tflite(path, "tflite")
    limits = graph.input.type.format
    codes = rng.integers(limits.lo, limits.hi + 1, (SAMPLES, *graph.input.type.shape))
    codes[0], codes[1] = limits.lo, limits.hi
    expected = run_litert(content, codes)
    found = reference.run(graph, codes)
    mismatches = int((found != expected.reshape(found.shape)).sum())
    assert mismatches == 0, f"{mismatches} of {found.size} codes differ"
    single = reference.run(import_tflite(path, "half_up"), codes)
    assert np.abs(single - found).max() <= 2, np.abs(single - found).max()
    return graph
