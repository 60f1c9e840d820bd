"""Specialized kernels behind an unpacking: candidates like any other."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench_layers import Layer, make_graph
from tests.selected import emit_for, list_specialized
from tinyq.graph import GraphBuilder, TensorType
from tinyq.graph.epilogues import Requantize
from tinyq.graph.ops import OPERATIONS
from tinyq.graph.ops.window import Window
from tinyq.kernels.base import Bound, Refusal
from tinyq.numerics.formats import find_format
from tinyq.selection import (
    choose_kernels,
    force_kernels,
    gather_candidates,
    plan_kernels,
    select_kernel,
)

CORES = ("armv6m", "armv7m", "armv7em", "mve")
ODD = Layer("Conv2D", (8, 8, 28), 8)
ROWS = "conv2d_s8_int8_armv7em-rows"
LAYERS = (
    (ODD, "u4"),
    (ODD, "u2"),
    (Layer("Dense", (129,), 16), "u4"),
    (Layer("Dense", (129,), 16), "u2"),
    (Layer("DepthwiseConv2D", (8, 8, 8)), "u4"),
)


def find_special(graph, isa: str) -> dict[str, Bound]:
    found = list_specialized(graph, graph.nodes[0], (isa,))
    return {s.kernel.name: s for s in found if isinstance(s, Bound)}


@pytest.mark.parametrize("isa", CORES)
@pytest.mark.parametrize(
    ("layer", "narrow"), LAYERS, ids=lambda value: getattr(value, "title", value)
)
def test_they_take_what_has_no_kernel_of_its_own(isa, layer, narrow):
    graph, wide = (make_graph(layer, "model", name, "s8") for name in (narrow, "s8"))
    found, same = find_special(graph, isa), find_special(wide, isa)
    assert found.keys() == same.keys()
    codes = int(np.prod(layer.shape))
    for name, special in found.items():
        assert special.scratch_bytes == same[name].scratch_bytes + (codes + 7) // 8 * 8
        assert codes < special.instructions - same[name].instructions < 15 * codes


@pytest.mark.parametrize("objective", ["speed", "balanced"])
def test_they_are_chosen_where_nothing_else_is_fast(objective):
    graph, isas = make_graph(ODD, "model", "u4", "s8"), ("armv7em", "generic")
    found = gather_candidates(graph, isas)
    chosen = choose_kernels(graph, found, objective).bounds["layer"]
    assert chosen.kernel.name.startswith("conv2d_s8_int8_armv7em-")
    assert "tq_unpack_u4" in chosen.code
    smallest = choose_kernels(graph, found, "ram").bounds["layer"]
    assert smallest.kernel.name == "conv2d_u4_s8_generic"


def test_a_kernel_of_the_format_itself_is_cheaper():
    layer = Layer("Conv2D", (8, 8, 32), 8, (5, 5))
    graph = make_graph(layer, "model", "u4", "s8")
    own, unpacked = (
        find_special(graph, "armv7em")[name] for name in (ROWS.replace("s8", "u4", 1), ROWS)
    )
    assert own.instructions < unpacked.instructions
    assert own.inner is None
    chosen = select_kernel(graph, graph.nodes[0], ("armv7em", "generic"))
    assert chosen.kernel == own.kernel


def test_a_refusal_is_that_of_the_kernel():
    layer = Layer("Conv2D", (8, 8, 28), 8, stride=2)
    graph = make_graph(layer, "model", "u2", "s8")
    reasons = {
        found.kernel.variant: found.reason
        for found in list_specialized(graph, graph.nodes[0], ("armv7em",))
        if isinstance(found, Refusal)
    }
    assert reasons["winograd2"] == "the output is not as large as the input"


def test_generic_kernels_are_not_unpacked():
    graph = make_graph(ODD, "model", "u4", "s8")
    assert list_specialized(graph, graph.nodes[0], ("generic",)) == []
    assert select_kernel(graph, graph.nodes[0]).kernel.name == "conv2d_u4_s8_generic"


def test_signs_of_whole_words_are_counted_and_others_unpacked():
    chosen = {}
    for channels in (16, 64):
        layer = Layer("Conv2D", (12, 12, channels), 32)
        graph, isas = make_graph(layer, "model", "b1", "b1"), ("armv7em", "generic")
        choice = choose_kernels(graph, gather_candidates(graph, isas), "speed")
        chosen[channels] = choice.bounds["layer"]
    assert "tq_unpack_b1" in chosen[16].code
    assert chosen[64].kernel.name == "conv2d_b1_b1_armv7em-slices"


@pytest.mark.parametrize("operand", ["s8", "s16"])
def test_other_formats_are_not_unpacked(operand):
    graph = make_graph(Layer("Dense", (64,), 32), "model", operand, "s8")
    found = list_specialized(graph, graph.nodes[0], (*CORES, "generic"))
    assert not any(special.kernel.unpacked for special in found)


def test_layers_share_what_unpacks_and_may_write_over_their_input():
    entry, s32 = find_format("u4"), find_format("s32")
    builder = GraphBuilder.start("model", TensorType((8, 8, 10), entry))
    weights = builder.constant("w", np.ones((10, 3, 3, 10)), find_format("s8"))
    tables = [
        builder.constant(name, np.full(10, value), s32)
        for name, value in (("bias", 0), ("multiplier", 2**30), ("shift", 38))
    ]
    last = "input"
    for index in range(3):
        epilogue, window = Requantize("u4", 1.0, index, 0, 15), Window((3, 3), padding=(1, 1, 1, 1))
        operation = OPERATIONS["Conv2D"](epilogue, window)
        last = builder.apply(f"layer_{index}", operation, last, weights, *tables)
    graph, isas = builder.build(last), ("armv7em", "generic")
    names = {node.name: ROWS for node in graph.nodes}
    memory = plan_kernels(graph, force_kernels(graph, isas, names))
    assert memory.sharing == {"layer_0": "input", "layer_1": "layer_0", "layer_2": "layer_1"}
    text = "".join(emit_for(graph, isas, names).files.values())
    assert text.count("static void tq_unpack_u4(") == 1
    assert text.count("    tq_unpack_u4(x, 640, scratch);") == 3
    assert "static void tq_conv2d_u4_s8_u4_armv7em_rows_unpacked_3(" in text
