"""Each pass alone keeps the bytes of random graphs, and does what it is for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.random_graphs import draw_codes, draw_graph, draw_inputs, draw_table
from tinyq.graph import Graph, GraphBuilder, TensorType, reference
from tinyq.graph.epilogues import Requantize, RequantizeTwice, Steps, Threshold
from tinyq.graph.ops.concatenate import Concatenate
from tinyq.graph.ops.conv2d import Conv2D
from tinyq.graph.ops.dense import Dense
from tinyq.graph.ops.depthwise_conv2d import DepthwiseConv2D
from tinyq.graph.ops.lookup import Lookup
from tinyq.graph.ops.reshape import Reshape
from tinyq.graph.ops.tflite_add import TfliteAdd
from tinyq.graph.ops.window import Window
from tinyq.graph.passes import PIPELINE
from tinyq.graph.passes.channel_ranges import channel_ranges
from tinyq.graph.passes.fold_constants import fold_constants
from tinyq.graph.passes.form_rings import form_rings
from tinyq.graph.passes.fuse_lookups import fuse_lookups
from tinyq.graph.passes.merge_duplicates import merge_duplicates
from tinyq.graph.passes.remove_constant_channels import remove_constant_channels
from tinyq.graph.passes.tabulate_constants import tabulate_constants
from tinyq.numerics.fixed_point import quantize_multiplier
from tinyq.numerics.formats import find_format

GRAPHS = 150
S8 = find_format("s8")
S32 = find_format("s32")


@pytest.mark.parametrize("transform", PIPELINE, ids=lambda transform: transform.__name__)
def test_pass_keeps_the_bytes_of_random_graphs(transform, seed):
    changed = 0
    for index in range(GRAPHS):
        rng = np.random.default_rng((seed, index, 77))
        graph = draw_graph(rng)
        inputs = draw_inputs(rng, graph)
        simple = transform(graph)
        simple.verify()
        assert (reference.run(graph, inputs) == reference.run(simple, inputs)).all(), index
        changed += simple is not graph
    # Rings need states, which these graphs have none of: tests/property/test_states.py draws them.
    assert changed or transform in (form_rings, remove_constant_channels, tabulate_constants)


def test_ranges_contain_all_codes(seed):
    for index in range(GRAPHS):
        rng = np.random.default_rng((seed, index, 78))
        graph = draw_graph(rng)
        ranges = channel_ranges(graph)

        def observe(name, codes, ranges=ranges):
            assert (codes >= ranges[name].lo).all(), name
            assert (codes <= ranges[name].hi).all(), name

        reference.run(graph, draw_inputs(rng, graph), observe)


def start(*shape: int) -> GraphBuilder:
    return GraphBuilder.start("model", TensorType(shape, S8, 0.5, 3))


def epilogue(builder: GraphBuilder, name: str, channels: int, twice: bool, **fields):
    """A epilogue with gains of about 1/100, and the names of its constants."""
    limits = {"format": "s8", "scale": 0.5, "zero_point": -5, "lo": -128, "hi": 127, **fields}
    if twice:
        multiplier, exponent = quantize_multiplier(0.011)
        values = ([7] * channels, [multiplier] * channels, [exponent] * channels)
        output = RequantizeTwice(**limits)
    else:
        values = ([7] * channels, [int(0.011 * 2**36)] * channels, [36] * channels)
        output = Requantize(**limits)
    names = [
        builder.constant(f"{name}_{part}", codes, S32)
        for part, codes in zip(output.names, values, strict=True)
    ]
    return output, names


def separable(twice: bool, padded: bool) -> Graph:
    """Pointwise, depthwise, pointwise; channels 1 and 4 of the first are constant."""
    rng = np.random.default_rng(5)
    builder = start(6, 5, 3)
    weights = rng.integers(-90, 90, (8, 1, 1, 3))
    weights[[1, 4]] = 0
    first = builder.constant("w1", weights, S8)
    output, names = epilogue(builder, "one", 8, twice)
    x = builder.apply("one", Conv2D(output, Window((1, 1)), 3), builder.input, first, *names)
    second = builder.constant("w2", rng.integers(-90, 90, (3, 3, 8)), S8)
    output, names = epilogue(builder, "two", 8, twice)
    window = Window((3, 3), padding=(1, 1, 1, 1) if padded else (0, 0, 0, 0))
    x = builder.apply("two", DepthwiseConv2D(output, window, -5), x, second, *names)
    last = rng.integers(-90, 90, (4, 1, 1, 8))
    last[..., 6] = 0
    third = builder.constant("w3", last, S8)
    output, names = epilogue(builder, "three", 4, twice)
    x = builder.apply("three", Conv2D(output, Window((1, 1)), -5), x, third, *names)
    return builder.build(x)


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_constant_and_unread_channels_go(twice, padded):
    graph = separable(twice, padded)
    simple = remove_constant_channels(graph)
    simple.verify()
    inputs = np.random.default_rng(0).integers(-128, 128, (20, 6, 5, 3))
    assert (reference.run(graph, inputs) == reference.run(simple, inputs)).all()
    # 1 and 4 are the code that bias 7 gives, which is the next zero point; 6 is read by nobody.
    assert simple.tensors["one"].type.shape[-1] == 5
    assert simple.tensors["two"].type.shape[-1] == 5
    assert simple.tensors["three"].type.shape[-1] == 4


def test_a_constant_channel_moves_into_the_bias():
    builder = start(9)
    weights = np.ones((4, 9), np.int32)
    weights[2] = 0
    output, names = epilogue(builder, "one", 4, twice=False, zero_point=40)
    first = builder.constant("w1", weights, S8)
    x = builder.apply("one", Dense(output, 3), builder.input, first, *names)
    second = builder.constant("w2", [[1, 2, 90, 4]], S8)
    flip = builder.constant("flip", [1], S32)
    level = builder.constant("level", [2813], S32)
    x = builder.apply("two", Dense(Threshold(), 11), x, second, level, flip)
    graph = builder.build(x)
    simple = remove_constant_channels(graph)
    assert simple.tensors["one"].type.shape == (3,)
    inputs = np.random.default_rng(0).integers(-128, 128, (200, 9))
    assert (reference.run(graph, inputs) == reference.run(simple, inputs)).all()
    assert len(np.unique(reference.run(graph, inputs))) == 2


@pytest.mark.parametrize("grouped", [False, True])
def test_tables_lose_the_channels_that_go(grouped):
    """Rows of a table go with their channels; groups keep their input channels."""
    rng = np.random.default_rng(0)
    builder = start(5)
    basis = draw_table(rng, "d2", (6, 5))
    first = builder.constant("w1", draw_codes(rng, basis, (6, 5)), basis)
    steps = Steps("s8", 1.0, 0, (-100, -7, 0, 9))
    thresholds = builder.constant("level", rng.integers(-2000, 2000, (3, 6)), S32)
    flip = builder.constant("flip", [0, 1, 0, 1, 0, 1], S32)
    x = builder.apply("one", Dense(steps, 3), builder.input, first, thresholds, flip)
    entry = find_format("g2").with_groups(4, [[3, 5], [1, 2]]) if grouped else S8
    second = builder.constant("w2", [[3, 0, -3, 0, 0, 5], [1, 0, 1, 0, 0, 2]], entry)
    output, names = epilogue(builder, "two", 2, twice=False)
    graph = builder.build(builder.apply("two", Dense(output), x, second, *names))
    simple = remove_constant_channels(graph)
    simple.verify()
    kept = simple.tensors[simple.nodes[0].inputs[1]].type.format
    rows = basis.coding.rows
    assert len(kept.coding.rows) == (6 if grouped else 3)
    assert kept.coding.rows == (rows if grouped else tuple(rows[i] for i in (0, 2, 5)))
    inputs = rng.integers(-128, 128, (200, 5))
    assert (reference.run(graph, inputs) == reference.run(simple, inputs)).all()


def test_a_sum_keeps_a_channel_that_one_side_needs():
    builder = start(4)
    weights = np.eye(4, dtype=np.int32)
    weights[1] = 0
    output, names = epilogue(builder, "one", 4, twice=True)
    first = builder.constant("w1", weights, S8)
    x = builder.apply("one", Dense(output, 3), builder.input, first, *names)
    pair = quantize_multiplier(0.5)
    total, names = epilogue(builder, "sum", 4, twice=True)
    y = builder.apply("sum", TfliteAdd(total, *pair, *pair), x, builder.input, *names)
    last = builder.constant("w3", [[1, 1, 0, 1]], S8)
    output, names = epilogue(builder, "three", 1, twice=True)
    graph = builder.build(builder.apply("three", Dense(output, 0), y, last, *names))
    # Channel 2 is not read, but it goes through the sum, whose other side is the input.
    assert remove_constant_channels(graph) is graph


def test_constants_are_folded_and_shared():
    builder = start(2, 3)
    one = builder.constant("one", np.arange(6).reshape(2, 3), S8, 0.5, 3)
    other = builder.constant("other", np.arange(6).reshape(2, 3), S8, 0.5, 3)
    flat = builder.apply("flat", Reshape((6,)), one)
    back = builder.apply("back", Reshape((2, 3)), flat)
    x = builder.apply("left", Concatenate(), builder.input, back)
    y = builder.apply("right", Concatenate(), builder.input, other)
    graph = builder.build(builder.apply("both", Concatenate(), x, y))
    folded = fold_constants(graph)
    assert [node.name for node in folded.nodes] == ["left", "right", "both"]
    merged = merge_duplicates(folded)
    merged.verify()
    assert [node.name for node in merged.nodes] == ["left", "both"]
    inputs = np.random.default_rng(0).integers(-128, 128, (5, 2, 3))
    assert (reference.run(graph, inputs) == reference.run(merged, inputs)).all()


def test_tables_are_composed_and_clips_join_the_epilogue():
    rng = np.random.default_rng(3)
    builder = start(9)
    weights = builder.constant("w", rng.integers(-90, 90, (5, 9)), S8)
    output, names = epilogue(builder, "one", 5, twice=True)
    x = builder.apply("one", Dense(output, 3), builder.input, weights, *names)
    clip = builder.constant("clip", np.clip(np.arange(-128, 128), -5, 60), S8)
    x = builder.apply("relu", Lookup(0.5, -5), x, clip)
    first = builder.constant("first", rng.integers(-128, 128, 256), S8)
    second = builder.constant("second", rng.integers(-128, 128, 256), S8)
    x = builder.apply("a", Lookup(0.1, 0), x, first)
    graph = builder.build(builder.apply("b", Lookup(0.2, 1), x, second))
    fused = fuse_lookups(graph)
    fused.verify()
    inputs = rng.integers(-128, 128, (60, 9))
    assert (reference.run(graph, inputs) == reference.run(fused, inputs)).all()
    assert len(fused.nodes) == 2
    clipped = fuse_lookups(replace(graph, nodes=graph.nodes[:2], outputs=("relu",)))
    assert [node.op.output.hi for node in clipped.nodes] == [60]


@pytest.mark.parametrize("seen", ["another node", "the output"])
def test_a_table_that_others_read_stays(seen):
    builder = GraphBuilder.start("tables", TensorType((3,), S8, 1.0))
    tables = [builder.constant(f"t{i}", np.roll(np.arange(-128, 128), i + 1), S8) for i in range(3)]
    first = builder.apply("a", Lookup(1.0, 0), builder.input, tables[0])
    second = builder.apply("b", Lookup(1.0, 0), first, tables[1])
    if seen == "the output":
        graph = builder.build(first, second)
    else:
        graph = builder.build(second, builder.apply("c", Lookup(1.0, 0), first, tables[2]))
    fused = fuse_lookups(graph)
    fused.verify()
    assert [node.name for node in fused.nodes] == [node.name for node in graph.nodes]
    assert [node.inputs for node in fused.nodes] == [node.inputs for node in graph.nodes]
