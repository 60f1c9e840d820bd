"""Each pass keeps the output's codes and removes what it says."""

from __future__ import annotations

import numpy as np
import pytest

from tinyq.errors import ModelError
from tinyq.graph import GraphBuilder, TensorType
from tinyq.graph.epilogues import Requantize, Threshold
from tinyq.graph.ops.add import Add
from tinyq.graph.ops.conv2d import Conv2D
from tinyq.graph.ops.depthwise_conv2d import DepthwiseConv2D
from tinyq.graph.ops.extremum import Extremum
from tinyq.graph.ops.lookup import Lookup
from tinyq.graph.ops.max_pool2d import MaxPool2D
from tinyq.graph.ops.multiply import Multiply
from tinyq.graph.ops.pad2d import Pad2D
from tinyq.graph.ops.rescale import Rescale
from tinyq.graph.ops.reshape import Reshape
from tinyq.graph.ops.tflite_add import TfliteAdd
from tinyq.graph.ops.tflite_squared_difference import TfliteSquaredDifference
from tinyq.graph.ops.window import Window
from tinyq.graph.passes import PIPELINE, simplify
from tinyq.graph.passes.drop_dead_nodes import drop_dead_nodes
from tinyq.graph.passes.drop_identity import drop_identity
from tinyq.graph.passes.fold_padding import fold_padding
from tinyq.graph.passes.merge_reshapes import merge_reshapes
from tinyq.graph.passes.tabulate_constants import tabulate_constants
from tinyq.graph.reference import run
from tinyq.numerics.formats import find_format

S8, S32 = find_format("s8"), find_format("s32")
IMAGE = TensorType((5, 4, 3), S8, 0.5, -7)


class Sketch:
    """A graph builder with constants of suitable sizes."""

    def __init__(self, rng, start=IMAGE):
        self.rng, self.builder = rng, GraphBuilder.start("sketch", start, "x")

    def constants(self, name, epilogue, channels):
        ranges = {"bias": (-50, 50), "multiplier": (2**29, 2**30), "shift": (34, 35)}
        return [
            self.builder.constant(f"{name}_{part}", self.rng.integers(*ranges[part], channels), S32)
            for part in epilogue.names
        ]

    def conv(self, name, source, padding=(0, 0, 0, 0), zero=-7, depthwise=False):
        kind = self.builder.type(source)
        shape = (3, 3, kind.shape[2]) if depthwise else (2, 3, 3, kind.shape[2])
        channels = shape[-1] if depthwise else shape[0]
        weights = self.builder.constant(f"{name}_w", self.rng.integers(-127, 128, shape), S8)
        epilogue = Requantize("s8", 0.25, 3, -128, 127)
        window = Window((3, 3), (1, 1), (1, 1), padding)
        operation = (DepthwiseConv2D if depthwise else Conv2D)(epilogue, window, zero)
        return self.add(name, operation, source, weights, *self.constants(name, epilogue, channels))

    def rescale(self, name, source, multiplier, zero=-7):
        kind = self.builder.type(source)
        epilogue = Requantize("s8", kind.scale, kind.zero_point, -128, 127)
        values = {"bias": 0, "multiplier": multiplier, "shift": 30}
        parts = [
            self.builder.constant(f"{name}_{part}", np.full(kind.shape[-1], value), S32)
            for part, value in values.items()
        ]
        return self.add(name, Rescale(epilogue, zero), source, *parts)

    def add(self, name, operation, *inputs):
        return self.builder.apply(name, operation, *inputs)


@pytest.fixture
def sketch(rng):
    return Sketch(rng)


def same(graph, changed, rng):
    """The changed graph, after its codes were found equal."""
    changed.verify()
    kind = graph.input.type
    x = rng.integers(kind.format.lo, kind.format.hi + 1, (50, *kind.shape)).astype(np.int32)
    np.testing.assert_array_equal(run(graph, x), run(changed, x))
    return [node.name for node in changed.nodes]


@pytest.mark.parametrize("depthwise", [False, True])
def test_padding_goes_into_the_window(sketch, rng, depthwise):
    sketch.add("pad", Pad2D((1, 0, 2, 1), -7), "x")
    sketch.add("more", Pad2D((0, 1, 0, 0), -7), "pad")
    graph = sketch.builder.build(sketch.conv("conv", "more", (1, 1, 0, 0), depthwise=depthwise))
    changed = fold_padding(graph)
    assert same(graph, changed, rng) == ["conv"]
    assert changed.nodes[0].op.window.padding == (2, 2, 2, 1)
    assert set(changed.tensors) == set(graph.tensors) - {"pad", "more"}


def test_padding_with_another_value_stays(sketch, rng):
    sketch.add("pad", Pad2D((1, 1, 1, 1), 5), "x")
    graph = sketch.builder.build(sketch.conv("conv", "pad"))
    assert same(graph, fold_padding(graph), rng) == ["pad", "conv"]


@pytest.mark.parametrize(("value", "border", "folds"), [(-128, 1, 1), (-127, 1, 0), (-128, 4, 0)])
def test_padding_of_a_maximum_with_the_least_code_goes_into_the_window(rng, value, border, folds):
    builder = GraphBuilder.start("pool", TensorType((6, 5, 4), find_format("s8"), 1.0))
    builder.apply("pad", Pad2D((1, border, 1, border), value), "input")
    window = Window((3, 3), (2, 2), padding=(0, 0, 1, 0))
    graph = builder.build(builder.apply("pool", MaxPool2D(window), "pad"))
    changed = fold_padding(graph)
    assert same(graph, changed, rng) == (["pool"] if folds else ["pad", "pool"])
    if folds:
        assert changed.nodes[0].op.window.padding == (1, 1, 2, 1)


def test_padding_that_others_read_stays(sketch, rng):
    sketch.add("pad", Pad2D((1, 1, 1, 1), -7), "x")
    sketch.conv("unread", "pad")
    graph = sketch.builder.build(sketch.add("pool", MaxPool2D(Window((2, 2))), "pad"))
    assert same(graph, fold_padding(graph), rng) == ["pad", "unread", "pool"]


def test_dead_nodes_and_their_constants_go(sketch, rng):
    sketch.conv("dead", "x")
    sketch.rescale("dead_too", "dead", 1 << 30, zero=3)
    graph = sketch.builder.build(sketch.conv("conv", "x"))
    changed = drop_dead_nodes(graph)
    assert same(graph, changed, rng) == ["conv"]
    assert not [name for name in changed.tensors if name.startswith("dead")]


def test_identities_go(sketch, rng):
    sketch.rescale("same", "x", 1 << 30)
    sketch.add("flat", Reshape((5, 4, 3)), "same")
    graph = sketch.builder.build(sketch.conv("conv", "flat"))
    assert same(graph, drop_identity(graph), rng) == ["conv"]


def test_identity_at_the_output_goes(sketch, rng):
    sketch.conv("conv", "x")
    graph = sketch.builder.build(sketch.rescale("same", "conv", 1 << 30, zero=3))
    changed = drop_identity(graph)
    assert same(graph, changed, rng) == ["conv"]
    assert changed.outputs == ("conv",)


def test_a_lonely_identity_stays(sketch, rng):
    graph = sketch.builder.build(sketch.rescale("same", "x", 1 << 30))
    assert same(graph, drop_identity(graph), rng) == ["same"]


def test_nearly_an_identity_stays(sketch, rng):
    sketch.rescale("nearly", "x", (1 << 30) + (1 << 23))
    graph = sketch.builder.build(sketch.conv("conv", "nearly"))
    assert same(graph, drop_identity(graph), rng) == ["nearly", "conv"]


def test_sign_of_signs_is_an_identity(rng):
    binary = TensorType((2, 2, 3), find_format("b1"), 1.0)
    sketch = Sketch(rng, binary)
    for name, flip in (("same", 0), ("turned", 1)):
        parts = [
            sketch.builder.constant(f"{name}_threshold", np.full(3, flip), S32),
            sketch.builder.constant(f"{name}_flip", np.full(3, flip), S32),
        ]
        source = "x" if name == "same" else "same"
        sketch.add(name, Rescale(Threshold(1.0)), source, *parts)
    graph = sketch.builder.build("turned")
    changed = drop_identity(graph)
    changed.verify()
    x = rng.choice([-1, 1], (20, 2, 2, 3)).astype(np.int32)
    np.testing.assert_array_equal(run(graph, x), run(changed, x))
    assert [node.name for node in changed.nodes] == ["turned"]


def test_reshapes_of_reshapes_merge(sketch, rng):
    sketch.add("rows", Reshape((20, 3)), "x")
    sketch.add("flat", Reshape((60,)), "rows")
    sketch.add("back", Reshape((5, 4, 3)), "flat")
    graph = sketch.builder.build(sketch.conv("conv", "back"))
    merged = merge_reshapes(graph)
    assert same(graph, merged, rng) == ["back", "conv"]
    assert same(graph, drop_identity(merged), rng) == ["conv"]


def pair_operations(epilogue):
    scales = (1 << 30, -1, 1 << 30, -2)
    return {
        "add": Add(epilogue, 700, -300, -7, 5),
        "tflite": TfliteAdd(epilogue, *scales, -1, 20, -7, 5),
        "multiply": Multiply(epilogue, -7, 5),
        "square": TfliteSquaredDifference(epilogue, *scales, -7, 5),
        "extremum": Extremum(1),
    }


@pytest.mark.parametrize("name", ["add", "tflite", "multiply", "square", "extremum"])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("kind", ["number", "channels", "epilogue"])
def test_an_operation_with_one_number_is_a_table(name, first, kind, rng):
    epilogue = Requantize("s8", 0.5, 4, -100, 127)
    builder = GraphBuilder.start("sketch", IMAGE, "x")
    number = np.full(IMAGE.shape, 35)
    if kind == "channels":
        number[..., 1] = 36
    other = builder.constant("number", number, S8, IMAGE.scale, IMAGE.zero_point)
    values = {"bias": 11, "multiplier": 1 << 24, "shift": 34}
    parts = [np.full(3, value) for value in values.values()]
    if kind == "epilogue":
        parts[0][2] += 5000
    operation = pair_operations(epilogue)[name]
    constants = []
    if name != "extremum":
        constants = [builder.constant(f"c_{i}", part, S32) for i, part in enumerate(parts)]
    operands = (other, "x") if first else ("x", other)
    graph = builder.build(builder.apply("y", operation, *operands, *constants))
    table = tabulate_constants(graph)
    same(graph, table, rng)
    is_one = kind == "number" or (kind == "epilogue" and name == "extremum")
    assert isinstance(table.nodes[0].op, Lookup) == is_one
    assert ("number" in table.tensors) != is_one


def test_the_pipeline_keeps_codes(sketch, rng):
    sketch.rescale("same", "x", 1 << 30)
    sketch.add("pad", Pad2D((1, 1, 1, 1), -7), "same")
    sketch.conv("dead", "pad")
    sketch.conv("conv", "pad")
    sketch.add("rows", Reshape((20, 2)), "conv")
    graph = sketch.builder.build(sketch.add("back", Reshape((5, 4, 2)), "rows"))
    names = same(graph, simplify(graph), rng)
    assert names in (["conv"], ["pad", "conv"])
    for transform in PIPELINE:
        same(graph, transform(graph), rng)


def test_a_faulty_graph_is_refused(sketch):
    graph = sketch.builder.build(sketch.conv("conv", "x"))
    broken = type(graph)(graph.name, graph.inputs, ("nothing",), graph.tensors, graph.nodes)
    with pytest.raises(ModelError):
        simplify(broken)


@pytest.mark.parametrize(
    ("scale", "zero_point", "stays"), [(0.5, 0, True), (1.0, 3, True), (1.0, 0, False)]
)
def test_equal_codes_of_another_meaning_stay(scale, zero_point, stays):
    builder = GraphBuilder.start("same", TensorType((2,), S8, 1.0))
    table = builder.constant("codes", np.arange(-128, 128), S8)
    same = builder.apply("same", Lookup(scale, zero_point), builder.input, table)
    other = builder.constant("other", np.arange(-128, 128)[::-1], S8)
    graph = drop_identity(builder.build(builder.apply("end", Lookup(1.0, 0), same, other)))
    assert ("same" in [node.name for node in graph.nodes]) == stays
