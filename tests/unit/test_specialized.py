"""Specialized kernels: which one a node takes, and what it asks of the memory plan."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench_layers import Layer, make_graph
from tests.selected import emit_for, list_specialized
from tinyq.errors import TinyqError
from tinyq.graph import GraphBuilder, TensorType
from tinyq.graph.epilogues import Epilogue, Raw, Requantize, RoundEven, Steps, Threshold
from tinyq.graph.ops import OPERATIONS
from tinyq.graph.ops.window import Window
from tinyq.kernels.base import Bound, Refusal
from tinyq.kernels.text import make_once
from tinyq.numerics.formats import find_format
from tinyq.selection import (
    force_kernels,
    plan_kernels,
    prefer_isas,
    select_kernel,
    select_kernels,
)

FAST = ("armv7em", "generic")
S8, S32 = find_format("s8"), find_format("s32")
CONV = Layer("Conv2D", (8, 8, 16), 8)


def graph_of(layer: Layer = CONV):
    return make_graph(layer, "model", "s8", "s8")


def chain(channels: int, count: int = 3):
    """Depthwise layers in a row."""
    builder = GraphBuilder.start("model", TensorType((6, 6, channels), S8))
    weights = builder.constant("w", np.ones((3, 3, channels)), S8)
    tables = [
        builder.constant(name, np.full(channels, value), S32)
        for name, value in (("bias", 0), ("multiplier", 2**30), ("shift", 35))
    ]
    epilogue = Requantize("s8", 1.0, 0, -128, 127)
    operation = OPERATIONS["DepthwiseConv2D"](epilogue, Window((3, 3), padding=(1, 1, 1, 1)))
    last = "input"
    for index in range(count):
        last = builder.apply(f"layer_{index}", operation, last, weights, *tables)
    return builder.build(last)


def test_the_cheapest_that_fits_is_chosen():
    graph = graph_of()
    node = graph.nodes[0]
    fitting = [s for s in list_specialized(graph, node, FAST) if isinstance(s, Bound)]
    chosen = select_kernel(graph, node, FAST)
    assert len(fitting) > 1
    assert chosen.kernel == min(fitting, key=lambda it: it.instructions).kernel


def test_a_refusal_says_why():
    graph = graph_of(Layer("Conv2D", (8, 8, 16), 8, stride=2))
    refusals = {
        found.kernel.variant: found.reason
        for found in list_specialized(graph, graph.nodes[0], FAST)
        if isinstance(found, Refusal)
    }
    assert refusals["winograd2"] == "the output is not as large as the input"
    assert not select_kernel(graph, graph.nodes[0], FAST).shared


def test_what_no_special_kernel_takes_stays_generic():
    layer = Layer("DepthwiseConv2D", (6, 6, 8), size=(5, 5))
    graph = make_graph(layer, "model", "b1", "s8")
    assert select_kernel(graph, graph.nodes[0], FAST).kernel.isa == "generic"


def test_generic_alone_is_generic():
    graph = graph_of()
    assert select_kernel(graph, graph.nodes[0]).shared


def test_a_name_chooses():
    graph = graph_of()
    names = {"layer": "conv2d_s8_int8_armv7em-rows"}
    assert force_kernels(graph, FAST, names)["layer"].kernel.name == names["layer"]
    text = "".join(emit_for(graph, FAST, names).files.values())
    assert "tq_conv2d_s8_s8_s8_armv7em_rows_1(TQ_ARENA(" in text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("conv2d_s8_int8_armv7em-pixels", "the window is more than one pixel"),
        ("conv2d_s8_int8_armv7em-nothing", "there is no kernel"),
    ],
)
def test_a_name_that_does_not_fit(name, message):
    graph = graph_of()
    with pytest.raises(TinyqError, match=message) as caught:
        force_kernels(graph, FAST, {"layer": name})
    assert caught.value.where == "layer"


def test_the_plan_has_room_for_scratch():
    graph = graph_of()
    bounds = select_kernels(graph, FAST)
    needed = bounds["layer"].scratch_bytes
    memory = plan_kernels(graph, bounds)
    assert needed
    assert memory.arena_bytes >= needed
    assert memory.proven


def plan_for(graph, isas):
    return plan_kernels(graph, select_kernels(graph, isas))


def test_layers_write_over_their_input_where_they_can():
    shared = plan_for(chain(8), FAST).sharing
    assert shared == {"layer_0": "input", "layer_1": "layer_0", "layer_2": "layer_1"}
    assert plan_for(chain(6), FAST).sharing == {}, "the last four channels overlap others"
    assert plan_for(chain(8), ("generic",)).sharing == {}


def test_layers_of_one_kind_share_a_function():
    graph = chain(8)
    text = "".join(map(str, emit_for(graph, FAST).files.values()))
    assert text.count("static void tq_depthwise2d_s8_s8_s8_armv7em_rowpairs_1(") == 1
    assert "rowpairs_2" not in text


def test_the_same_graph_gives_the_same_text():
    first, second = (emit_for(g, FAST).files for g in (graph_of(), graph_of()))
    assert first == second


def test_once_is_true_once():
    once = make_once()
    assert [once("a"), once("a"), once("b")] == [True, False, True]


def test_preferences_end_with_the_generic_kernels():
    assert prefer_isas("generic") == ("generic",)
    assert prefer_isas("armv7em") == ("armv7em", "generic")
    assert prefer_isas("mve")[0] == "mve"
    assert prefer_isas("rv32")[-1] == "generic"


@pytest.mark.parametrize("isa", ["armv6m", "armv7m"])
@pytest.mark.parametrize(
    ("layer", "variant"),
    [
        (Layer("Conv2D", (8, 8, 64), 64), "winograd4"),
        (Layer("Conv2D", (16, 16, 32), 64, stride=2), "rows"),
        (Layer("Conv2D", (6, 6, 128), 128, (1, 1)), "pixels"),
        (Layer("DepthwiseConv2D", (25, 5, 64)), "planes"),
        (Layer("Dense", (128,), 16), "row"),
    ],
    ids=lambda value: getattr(value, "title", value),
)
def test_cores_without_dsp_have_kernels_of_their_own(isa, layer, variant):
    graph = graph_of(layer)
    kernel = select_kernel(graph, graph.nodes[0], (isa, "generic")).kernel
    assert (kernel.isa, kernel.variant) == (isa, variant)


def test_sums_that_leave_a_field_of_24_bits_are_refused():
    builder = GraphBuilder.start("model", TensorType((640,), S8))
    weights = builder.constant("w", np.full((4, 640), 127), S8)
    tables = [
        builder.constant(name, np.full(4, value), S32)
        for name, value in (("bias", 0), ("multiplier", 2**30), ("shift", 45))
    ]
    operation = OPERATIONS["Dense"](Requantize("s8", 1.0, 0, -128, 127))
    builder.apply("layer", operation, "input", weights, *tables)
    graph = builder.build("layer")
    found = {s.kernel.isa: s for s in list_specialized(graph, graph.nodes[0], ("armv6m", "armv7m"))}
    assert isinstance(found["armv6m"], Bound)
    assert found["armv7m"].reason == "accumulators leave 24 bits"


def node_of(name, number_format, weight_format):
    """A layer of 32 channels whose codes, 0 to 3, lie in bit planes."""
    builder = GraphBuilder.start("model", TensorType((8, 8, 32), find_format(number_format)))
    shape = {"Conv2D": (32, 3, 3, 32), "DepthwiseConv2D": (3, 3, 32), "Dense": (32, 32)}[name]
    weights = builder.constant("w", np.ones(shape), find_format(weight_format))
    tables = [
        builder.constant(key, np.full(32, value), S32)
        for key, value in (("bias", 0), ("multiplier", 2**30), ("shift", 38))
    ]
    epilogue = Requantize("u2", 1.0, 0, 0, 3)
    window = () if name == "Dense" else (Window((3, 3)),)
    builder.apply("layer", OPERATIONS[name](epilogue, *window), "input", weights, *tables)
    return builder.build("layer")


@pytest.mark.parametrize("name", ["Conv2D", "DepthwiseConv2D", "Dense"])
@pytest.mark.parametrize("number_format", ["b1", "u2", "u4", "s8"])
def test_no_special_kernel_stores_bit_planes_code_by_code(name, number_format):
    every = ("armv7em", "armv7m", "armv6m", "mve", "cmsisnn", "generic")
    for weight_format in ("b1", "t2", "s4", "s8"):
        graph = node_of(name, number_format, weight_format)
        found = list_specialized(graph, graph.nodes[0], every)
        fitting = [s.kernel.name for s in found if isinstance(s, Bound) and not s.calls_epilogue]
        assert not fitting, f"{fitting} would write outputs of u2"


def staged_graph(epilogue: Epilogue):
    """A first layer whose epilogue is not one of two roundings."""
    builder = GraphBuilder.start("model", TensorType((8, 8, 1), S8))
    weights = builder.constant("w", np.ones((16, 3, 3, 1)), S8)
    shapes = zip(epilogue.names, epilogue.constant_shapes(16), strict=True)
    values = {"multiplier": 2**30, "shift": 38, "threshold": 9}
    tables = [
        builder.constant(name, np.full(shape, values.get(name, 0)), S32) for name, shape in shapes
    ]
    builder.apply(
        "layer", OPERATIONS["Conv2D"](epilogue, Window((3, 3))), "input", weights, *tables
    )
    return builder.build("layer")


@pytest.mark.parametrize(
    "epilogue",
    [
        Threshold(),
        Steps("u4", 1.0, 0, (0, 1, 5)),
        RoundEven("s8", 1.0, 0, -128, 127),
        Requantize("u2", 1.0, 0, 0, 3),
    ],
    ids=lambda epilogue: type(epilogue).__name__,
)
def test_any_epilogue_is_finished_by_its_own_function(epilogue):
    graph = staged_graph(epilogue)
    bound = select_kernel(graph, graph.nodes[0], FAST)
    assert bound.kernel.variant in ("sumsrows", "sumsimage")
    files = emit_for(graph, FAST).files
    text = "".join(files.values())
    assert f"{bound.finisher.name}(epilogue, y, " in text
    assert text.count(f"static const {bound.finisher.struct} model_layer_output ") == 1
    assert "model_layer_geometry" not in text
    assert "const int8_t model_w[" not in text, "the weights lie in the kernel's table alone"
    for isa in ("armv6m", "armv7m"):
        only = select_kernel(graph, graph.nodes[0], (isa, "generic"))
        assert only.kernel.isa == "generic"


@pytest.mark.parametrize("isa", ["armv6m", "armv7m", "armv7em", "armv8m", "mve"])
@pytest.mark.parametrize("name", ["Conv2D", "DepthwiseConv2D", "Dense"])
@pytest.mark.parametrize("number_format", ["b1", "u2", "u4", "s8"])
def test_raw_sums_are_computed_on_every_core(isa, name, number_format):
    builder = GraphBuilder.start("model", TensorType((8, 8, 32), find_format(number_format)))
    shape = {"Conv2D": (32, 3, 3, 32), "DepthwiseConv2D": (3, 3, 32), "Dense": (32, 32)}[name]
    weights = builder.constant("w", np.ones(shape), S8)
    bias = builder.constant("bias", np.zeros(32), S32)
    window = () if name == "Dense" else (Window((3, 3)),)
    builder.apply("layer", OPERATIONS[name](Raw(), *window), "input", weights, bias)
    graph = builder.build("layer")
    isas = prefer_isas(isa)
    assert emit_for(graph, isas).files


def test_what_assembly_finishes_needs_no_epilogue():
    graph = staged_graph(Requantize("s8", 1.0, 0, -128, 127))
    found = list_specialized(graph, graph.nodes[0], FAST)
    assert any(isinstance(s, Bound) and not s.calls_epilogue for s in found)
    assert not select_kernel(graph, graph.nodes[0], FAST).calls_epilogue


@pytest.mark.parametrize(
    ("layer", "isas"),
    [
        (Layer("Conv2D", (8, 8, 64), 32), {"armv7em", "armv7m", "armv6m"}),
        (Layer("Conv2D", (8, 8, 32), 32), {"armv7em", "armv7m"}),
        (Layer("Dense", (96,), 64), {"armv7em", "armv7m"}),
        (Layer("Dense", (80,), 64), set()),
    ],
    ids=lambda value: getattr(value, "title", None),
)
def test_binary_layers_count_whole_words(layer, isas):
    graph = make_graph(layer, "model", "b1", "b1")
    every = list_specialized(graph, graph.nodes[0], ("armv7em", "armv7m", "armv6m"))
    found = [special for special in every if not special.kernel.unpacked]
    assert {s.kernel.isa for s in found if isinstance(s, Bound)} == isas
    refused = [s.reason for s in found if isinstance(s, Refusal)]
    assert all(reason.startswith("the number of input channels") for reason in refused)
    assert len(refused) == 3 - len(isas)
