"""Leads: outputs written so far before an input never meet a byte that is still read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.bench_layers import Layer, make_graph
from tinyq.graph import TensorType
from tinyq.kernels.layer import LayerSpec, describe_layer
from tinyq.kernels.leads import lead_freely, lead_lines, lead_pixels
from tinyq.numerics.formats import find_format
from tinyq.selection import gather_candidates, plan_kernels

S8 = find_format("s8")
BASE = describe_layer(
    make_graph(Layer("Conv2D", (4, 4, 4), 4), "model", "s8", "s8"),
    make_graph(Layer("Conv2D", (4, 4, 4), 4), "model", "s8", "s8").nodes[0],
    ("generic",),
)
Blocks = list[tuple[set[int], set[int]]]
"""Bytes of the input that each block reads, and of the output that it writes."""


def draw_layer(rng: np.random.Generator) -> LayerSpec:
    height, width, channels = (int(v) for v in rng.integers(1, (12, 4, 4)))
    kernel, stride, pad = (int(v) for v in rng.integers(1, (5, 4, 4)))
    pad -= 1
    out_height = max((height + 2 * pad - kernel) // stride + 1, 1)
    out = (out_height, int(rng.integers(1, 4)), int(rng.integers(1, 6)))
    geometry = {"in_height": height, "out_height": out_height, "stride_height": stride}
    return replace(
        BASE,
        inputs=(TensorType((height, width, channels), S8), BASE.inputs[1]),
        output=TensorType(out, S8),
        geometry={**geometry, "pad_top": pad, "kernel_height": kernel},
    )


def list_lines(layer: LayerSpec, high: int) -> Blocks:
    g, blocks = layer.geometry, []
    line = layer.inputs[0].packed_bytes // g["in_height"]
    out_line = layer.output.packed_bytes // g["out_height"]
    for r in range(0, g["out_height"], high):
        end = min(r + high, g["out_height"])
        first = max(r * g["stride_height"] - g["pad_top"], 0)
        last = (end - 1) * g["stride_height"] - g["pad_top"] + g["kernel_height"]
        read = range(first * line, max(min(last, g["in_height"]), 0) * line)
        blocks.append((set(read), set(range(r * out_line, end * out_line))))
    return blocks


def list_pixels(layer: LayerSpec, block: int) -> Blocks:
    pixels, blocks = layer.output.rows, []
    each, out_each = (it.packed_bytes // pixels for it in (layer.inputs[0], layer.output))
    for p in range(0, pixels, block):
        first = max(min(p, pixels - block), 0)
        read = range(first * each, min(first + block, pixels) * each)
        blocks.append((set(read), set(range(first * out_each, min(p + block, pixels) * out_each))))
    return blocks


def is_safe(blocks: Blocks, lead: int, *, ahead: bool) -> bool:
    """Whether nothing is read that was written, the input ``lead`` bytes behind the output."""
    written: set[int] = set()
    for reads, writes in blocks:
        at = {byte + lead for byte in reads}
        if not at.isdisjoint(written if ahead else written | writes):
            return False
        written |= writes
    return True


@pytest.mark.parametrize("ahead", [False, True])
def test_the_lead_of_lines_is_safe_and_one_less_is_not(ahead, rng):
    tight = 0
    for _ in range(300):
        layer, high = draw_layer(rng), int(rng.integers(1, 5))
        blocks = list_lines(layer, high)
        lead = lead_lines(layer, high, ahead=ahead)[0]
        for more in (0, 1, 5):
            assert is_safe(blocks, lead + more, ahead=ahead)
        tight += not is_safe(blocks, lead - 1, ahead=ahead)
    assert tight > 150


def test_the_lead_of_pixels_is_safe_and_one_less_is_not(rng):
    tight = 0
    for _ in range(300):
        pixels, block = int(rng.integers(1, 30)), int(rng.integers(1, 9))
        channels, outputs = (int(v) for v in rng.integers(1, 9, 2))
        layer = replace(
            BASE,
            inputs=(TensorType((pixels, 1, channels), S8), BASE.inputs[1]),
            output=TensorType((pixels, 1, outputs), S8),
        )
        blocks, lead = list_pixels(layer, block), lead_pixels(layer, block)[0]
        for more in (0, 1, 5):
            assert is_safe(blocks, lead + more, ahead=True)
        tight += not is_safe(blocks, lead - 1, ahead=True)
    assert tight > 150


def test_what_is_read_before_has_no_lead():
    size = BASE.inputs[0].packed_bytes
    assert lead_freely(BASE) == {0: -size}
    assert lead_lines(BASE, 8, ahead=True) == {0: -size}


LAYERS = (
    Layer("Conv2D", (8, 8, 8), 16),
    Layer("Conv2D", (8, 8, 8), 16, (1, 1)),
    Layer("Conv2D", (16, 16, 16), 8, stride=2),
    Layer("Conv2D", (16, 16, 4), 8, (5, 5)),
    Layer("DepthwiseConv2D", (64, 64, 8), size=(5, 5)),
)


@pytest.mark.parametrize("isa", ["generic", "armv7em", "armv6m"])
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.title)
def test_a_lead_makes_the_arena_smaller(isa, layer):
    """The plan of one layer holds the output exactly the lead before the input."""
    graph = make_graph(layer, "model", "s8", "s8")
    (found,) = gather_candidates(graph, (isa,) if isa == "generic" else (isa, "generic")).values()
    both = sum(graph.tensors[name].type.packed_bytes for name in ("input", graph.outputs[0]))
    saving = 0
    for bound in found:
        memory = plan_kernels(graph, {graph.nodes[0].name: bound})
        apart = memory.offsets["input"] - memory.offsets[graph.outputs[0]]
        if graph.outputs[0] in memory.overlaps:
            assert apart >= bound.leads[0]
        if bound.leads and bound.leads[0] < graph.output.type.packed_bytes:
            assert memory.proven
            assert memory.arena_bytes < both + -(-bound.scratch_bytes // 4) * 4
            saving += 1
    assert saving, "no kernel states a lead"
