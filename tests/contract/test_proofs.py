"""Every operation and epilogue proves its documented ranges; ``Graph.verify`` holds all of them.

Boundary pairs: the last value inside a range is taken and computed, the first one outside refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import pytest

from tests.random_graphs import draw_graph, draw_inputs
from tinyq.errors import ModelError
from tinyq.graph import Graph, GraphBuilder, Op, TensorType
from tinyq.graph.accumulating import Accumulating
from tinyq.graph.epilogues import (
    WIDE_LIMIT,
    Epilogue,
    Raw,
    Requantize,
    RequantizeTwice,
    RequantizeWide,
    RoundEven,
    Steps,
    Threshold,
)
from tinyq.graph.offset_epilogue import RequantizeOffset, RequantizeSingle
from tinyq.graph.ops import EPILOGUES, OPERATIONS
from tinyq.graph.ops.add import Add
from tinyq.graph.ops.average_pool2d import AveragePool2D
from tinyq.graph.ops.conv2d import Conv2D
from tinyq.graph.ops.dense import Dense
from tinyq.graph.ops.depthwise_conv2d import DepthwiseConv2D
from tinyq.graph.ops.interpolate import Interpolate
from tinyq.graph.ops.matrix_multiply import MatrixMultiply
from tinyq.graph.ops.pick_pixels import PickPixels
from tinyq.graph.ops.rescale import Rescale
from tinyq.graph.ops.softmax import Softmax
from tinyq.graph.ops.sum_pool2d import SumPool2D
from tinyq.graph.ops.tflite_softmax import TfliteSoftmax
from tinyq.graph.ops.tflite_wide_softmax import TfliteWideSoftmax
from tinyq.graph.ops.window import Window
from tinyq.graph.passes import PIPELINE
from tinyq.graph.reference import run
from tinyq.graph.storage import load_graph, save_graph
from tinyq.numerics.fixed_point import softmax_exponentials
from tinyq.numerics.formats import find_format
from tinyq.numerics.rounding import INT32_MAX, INT32_MIN, softmax_table

S8, S16, S32 = (find_format(name) for name in ("s8", "s16", "s32"))


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_says_what_it_takes(name):
    operation = OPERATIONS[name]
    own = operation.sums if issubclass(operation, Accumulating) else operation.prove
    base = Accumulating.sums if issubclass(operation, Accumulating) else Op.prove
    assert own is not base, (
        f"{name} proves nothing: give it a method `{base.__name__}` that checks its attributes and "
        "constants and bounds its sums, see tinyq/graph/proofs.py"
    )


@pytest.mark.parametrize("name", EPILOGUES)
def test_every_epilogue_says_what_it_takes(name):
    assert EPILOGUES[name].prove is not Epilogue.prove, f"{name} has no method `prove`"
    assert name in {type(epilogue).__name__ for epilogue, _ in BOUNDARIES.values()}, (
        f"no boundary pair of {name} stands in BOUNDARIES of this file"
    )


CLIP = ("s8", 0.5, 0, -128, 127)
# Constants of a channel that a layer of one weight 1 takes, for each epilogue.
BOUNDARIES: dict[str, tuple[Epilogue, dict[str, int]]] = {
    "Requantize": (Requantize(*CLIP), {"bias": 0, "multiplier": 2**30, "shift": 31}),
    "RoundEven": (RoundEven(*CLIP), {"bias": 0, "multiplier": 2**30, "shift": 31, "even": 1}),
    "RequantizeTwice": (
        RequantizeTwice(*CLIP),
        {"bias": 0, "multiplier": 2**30, "exponent": 0},
    ),
    "RequantizeWide": (
        RequantizeWide(*CLIP),
        {"bias": 0, "bias_high": 0, "multiplier": 2**30, "multiplier_low": 0, "shift": 31},
    ),
    "RequantizeOffset": (
        RequantizeOffset(*CLIP),
        {"multiplier": 2**30, "offset_high": 0, "offset_low": 2**30, "shift": 31, "even": 1},
    ),
    "RequantizeSingle": (
        RequantizeSingle(*CLIP, 1),
        {"bias": 0, "multiplier": 2**23, "shift": 24},
    ),
    "Threshold": (Threshold(), {"threshold": 3, "flip": 0}),
    "Steps": (Steps("s8", 0.5, 0, (-3, 5)), {"threshold": 3, "flip": 1}),
    "Raw": (Raw(), {"bias": 0}),
}
LARGEST = 128  # of |code|, the layer's one weight being 1
# Epilogue, constant, last value inside, first value outside.
PAIRS = [
    ("Requantize", "shift", 1, 0),
    ("Requantize", "shift", 62, 63),
    ("Requantize", "shift", 1, -1),
    ("RoundEven", "shift", 1, 0),
    ("RoundEven", "shift", 62, 64),
    ("RoundEven", "even", 1, 2),
    ("RoundEven", "even", 0, -1),
    ("RequantizeWide", "shift", 17, 16),
    ("RequantizeWide", "shift", 62, 63),
    ("RequantizeWide", "multiplier", 0, -1),
    ("RequantizeWide", "bias_high", WIDE_LIMIT // 2**32, 2 * WIDE_LIMIT // 2**32),
    ("RequantizeWide", "bias_high", -WIDE_LIMIT // 2**32, -2 * WIDE_LIMIT // 2**32 - 1),
    ("RequantizeOffset", "shift", 1, 0),
    ("RequantizeOffset", "shift", 62, 63),
    ("RequantizeOffset", "multiplier", 0, -1),
    ("RequantizeOffset", "offset_high", 2**30 - 1, 2**30),
    ("RequantizeOffset", "offset_high", -(2**30), -(2**30) - 1),
    ("RequantizeOffset", "even", 2, 3),
    ("RequantizeSingle", "multiplier", 2**24 - 1, 2**24),
    ("RequantizeSingle", "multiplier", 0, -1),
    ("RequantizeSingle", "shift", 0, -1),
    ("RequantizeSingle", "shift", 46, 47),
    ("RequantizeTwice", "multiplier", 0, -1),
    ("RequantizeTwice", "exponent", -31, -32),
    ("RequantizeTwice", "exponent", 30, 31),
    *((name, "flip", 1, 2) for name in ("Threshold", "Steps")),
    *((name, "flip", 0, -1) for name in ("Threshold", "Steps")),
    *(
        (name, "bias", inside, inside + beyond)
        for name in ("Requantize", "RoundEven", "RequantizeSingle", "RequantizeTwice", "Raw")
        for inside, beyond in ((INT32_MAX - LARGEST + 1, 1), (INT32_MIN + LARGEST, -1))
    ),
]


def layer(epilogue: Epilogue, constants: dict[str, int]) -> Graph:
    builder = GraphBuilder.start("one", TensorType((1,), S8, 0.5))
    weights = builder.constant("w", [[1]], S8)
    names = []
    for name, shape in zip(epilogue.names, epilogue.constant_shapes(1), strict=True):
        names.append(builder.constant(name, np.full(shape, constants[name], np.int64), S32))
    return builder.build(builder.apply("y", Dense(epilogue), builder.input, weights, *names))


@pytest.mark.parametrize(("name", "constant", "inside", "outside"), PAIRS)
def test_the_last_value_inside_is_taken_the_first_outside_refused(
    name, constant, inside, outside, tmp_path
):
    epilogue, constants = BOUNDARIES[name]
    graph = layer(epilogue, constants | {constant: inside})
    codes = np.arange(-128, 128, dtype=np.int32)[:, None]
    run(graph, codes)
    with pytest.raises(ModelError) as caught:
        layer(epilogue, constants | {constant: outside})
    assert caught.value.where == "y" and caught.value.remedy
    # A file of such a graph is refused as well.
    tensors = dict(graph.tensors)
    shape = tensors[constant].type.shape
    tensors[constant] = replace(tensors[constant], codes=np.full(shape, outside, np.int32))
    save_graph(replace(graph, tensors=tensors), tmp_path / "graph.tqg")
    with pytest.raises(ModelError):
        load_graph(tmp_path / "graph.tqg")


@dataclass(frozen=True, slots=True)
class Limit:
    """A graph of one operation whose sums reach ``most`` for some input."""

    build: Callable[[int], Graph]
    inside: int
    outside: int


def one(operation: Op, shape, number_format, *constants, zero_point: int = 0) -> Graph:
    builder = GraphBuilder.start("one", TensorType(shape, number_format, 0.5, zero_point))
    names = [
        builder.constant(f"c{index}", codes, find_format(kind))
        for index, (codes, kind) in enumerate(constants)
    ]
    return builder.build(builder.apply("y", operation, builder.input, *names))


def dense(count: int) -> Graph:
    bias = [np.array([0]), "s32"]
    return one(Dense(Raw()), (count,), S16, [np.full((1, count), -128), "s8"], bias)


def conv(rows: int) -> Graph:
    weights = np.full((1, rows, 1, 4), 127)
    operation = Conv2D(Raw(), Window((rows, 1)))
    return one(operation, (rows, 1, 4), S16, [weights, "s8"], [np.array([0]), "s32"])


def depthwise(rows: int) -> Graph:
    operation = DepthwiseConv2D(Raw(), Window((rows, 1)))
    weights = np.full((rows, 1, 1), 127)
    return one(operation, (rows, 1, 1), S16, [weights, "s8"], [np.array([0]), "s32"])


def matrices(depth: int) -> Graph:
    builder = GraphBuilder.start("one", TensorType((1, 1, depth), S16, 0.5))
    bias = builder.constant("bias", [0], S32)
    operation = MatrixMultiply(Raw())
    return builder.build(builder.apply("y", operation, builder.input, builder.input, bias))


def pool(rows: int) -> Graph:
    operation = SumPool2D(Raw(), Window((rows, 257)))
    return one(operation, (rows, 257, 1), S16, [np.array([0]), "s32"])


def mean(rows: int) -> Graph:
    return one(AveragePool2D(Window((rows, 2**11))), (rows, 2**11, 1), S8)


def shifted(bits: int) -> Graph:
    return one(Rescale(Raw(), 0, bits), (1,), S16, [np.array([0]), "s32"])


def added(factor: int) -> Graph:
    builder = GraphBuilder.start("one", TensorType((1,), S16, 0.5))
    bias = builder.constant("bias", [0], S32)
    operation = Add(Raw(), factor, factor)
    return builder.build(builder.apply("y", operation, builder.input, builder.input, bias))


def picked(row: int) -> Graph:
    return one(PickPixels(), (3, 4, 1), S8, [np.array([row]), "u16"], [np.array([0]), "u16"])


def neighbour(row: int) -> Graph:
    tables = [np.array([[0, row, 512]]), "s16"], [np.array([[0, 3, 512]]), "s16"]
    return one(Interpolate(), (3, 4, 1), S8, *tables)


def table(first: int) -> Graph:
    codes = softmax_table(0.1)
    codes[0] = first
    return one(Softmax(), (4,), S8, [codes, "u16"])


def powers(first: int) -> Graph:
    codes = softmax_exponentials(0.1, 1.0)[0].astype(np.int64)
    codes[0] = first
    return one(TfliteSoftmax(), (4,), S8, [codes, "s32"])


def wide_powers(last: int) -> Graph:
    exponentials = np.full(513, last)
    tables = [exponentials, "s16"], [np.full(513, 100), "s16"]
    return one(TfliteWideSoftmax(2**30, 0), (4,), S16, *tables)


LIMITS = {
    "dense": Limit(dense, 511, 512),
    "conv2d": Limit(conv, 129, 130),
    "depthwise2d": Limit(depthwise, 516, 517),
    "matmul": Limit(matrices, 1, 2),
    "sumpool2d": Limit(pool, 255, 256),
    "averagepool2d": Limit(mean, 2**10, 2**11),
    "rescale": Limit(shifted, 16, 17),
    "add": Limit(added, 2**15 - 1, -(2**15)),
    "pickpixels": Limit(picked, 2, 3),
    "interpolate": Limit(neighbour, 2, 3),
    "interpolate below": Limit(neighbour, 0, -1),
    "softmax": Limit(table, 65535, 0),
    "tflitesoftmax": Limit(powers, INT32_MAX, 0),
    "tflitewidesoftmax": Limit(wide_powers, 2, 0),
}


@pytest.mark.parametrize("name", LIMITS)
def test_sums_and_tables_at_their_limits(name):
    limit = LIMITS[name]
    graph = limit.build(limit.inside)
    if np.prod(graph.input.type.shape) < 2**16:
        for code in (graph.input.type.format.lo, graph.input.type.format.hi):
            run(graph, np.full((1, *graph.input.type.shape), code, np.int32))
    with pytest.raises(ModelError):
        limit.build(limit.outside)


def test_the_wide_epilogue_takes_what_int32_does_not():
    epilogue, constants = BOUNDARIES["RequantizeWide"]
    values = [[np.array([constants[name]]), "s32"] for name in epilogue.names]
    weights = [np.full((1, 2000), 127), "s8"]
    graph = one(Dense(epilogue), (2000,), S16, weights, *values)
    assert run(graph, np.full((1, 2000), 32767, np.int32)).tolist() == [[127]]
    with pytest.raises(ModelError, match="can reach"):
        one(Dense(Requantize(*CLIP)), (2000,), S16, weights, *values[::2])


def test_a_clip_before_makes_room():
    """ReLU leaves half of the codes, so twice as many weights are proven."""
    builder = GraphBuilder.start("relu", TensorType((900,), S16, 0.5))
    zero, one_ = builder.constant("zero", np.zeros(900), S32), np.full(900, 2**30)
    constants = builder.constant("m", one_, S32), builder.constant("s", np.full(900, 30), S32)
    clip = Requantize("s16", 0.5, 0, 0, 16383)
    half = builder.apply("half", Rescale(clip), builder.input, zero, *constants)
    weights = builder.constant("w", np.full((1, 900), 127), S8)
    bias = builder.constant("b", [0], S32)
    builder.build(builder.apply("y", Dense(Raw()), half, weights, bias))
    with pytest.raises(ModelError, match="can reach"):
        dense(900)


def test_computed_constants_are_refused():
    builder = GraphBuilder.start("odd", TensorType((1,), S32))
    x = builder.constant("x", [[1]], S8)
    weights = builder.constant("w", [[1]], S8)
    name = builder.apply("y", Dense(Raw()), x, weights, builder.input)
    with pytest.raises(ModelError, match="bias is computed"):
        builder.build(name)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_scales_are_positive_numbers(scale):
    builder = GraphBuilder.start("odd", TensorType((4,), S8, scale))
    with pytest.raises(ModelError, match="positive number"):
        builder.build(
            builder.apply("y", Rescale(Raw()), "input", builder.constant("b", np.zeros(4), S32))
        )


def test_sizes_that_no_address_reaches_are_refused():
    with pytest.raises(ModelError, match="elements"):
        one(Rescale(Raw()), (2**15, 2**15, 1), S8, [np.zeros(1), "s32"])


def attributes() -> Iterator[tuple[str, str]]:
    for name, operation in OPERATIONS.items():
        for field in fields(operation):
            if field.type == "int":
                yield name, field.name


@pytest.mark.parametrize(("name", "attribute"), list(attributes()))
def test_no_attribute_is_larger_than_the_c_code_can_hold(name, attribute):
    """Whatever an integer of an operation means, 2**40 is refused, wherever the graph came from."""
    for seed in range(400):
        graph = draw_graph(np.random.default_rng((seed, 5)), preferred=name)
        for index, node in enumerate(graph.nodes):
            if type(node.op).__name__ != name:
                continue
            for value in (2**40, -(2**40)):
                nodes = list(graph.nodes)
                nodes[index] = replace(node, op=replace(node.op, **{attribute: value}))
                with pytest.raises(ModelError):
                    replace(graph, nodes=tuple(nodes)).verify()
            return
    pytest.fail(f"no random graph has {name}")


def test_passes_keep_the_proof(seed):
    """A pass never makes a graph, drawn up to the edges of int32, one that cannot be proven."""
    for index in range(60):
        rng = np.random.default_rng((seed, index, 17))
        graph = draw_graph(rng)
        codes = draw_inputs(rng, graph, 2)
        expected = run(graph, codes)
        for transform in PIPELINE:
            graph = transform(graph)
            graph.verify()
        np.testing.assert_array_equal(run(graph, codes), expected)
