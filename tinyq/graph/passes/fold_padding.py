"""Padding that a convolution can do itself."""

from __future__ import annotations

from dataclasses import replace

from tinyq.graph import Graph, Node
from tinyq.graph.ops.conv2d import Conv2D
from tinyq.graph.ops.depthwise_conv2d import DepthwiseConv2D
from tinyq.graph.ops.pad2d import Pad2D
from tinyq.graph.passes.rewrite import readers, with_nodes


def fold_padding(graph: Graph) -> Graph:
    """Merge padding with the zero point into the window of the one convolution that reads it."""
    reading = readers(graph)
    producers = {node.output: node for node in graph.nodes}
    folded: set[str] = set()
    nodes: list[Node] = []
    for node in graph.nodes:
        pad = producers.get(node.inputs[0])
        while pad is not None and _can_fold(graph, node, pad, len(reading[pad.output])):
            node = _merge(node, pad)
            folded.add(pad.output)
            pad = producers.get(node.inputs[0])
        nodes.append(node)
    return with_nodes(graph, (node for node in nodes if node.output not in folded), {})


def _can_fold(graph: Graph, node: Node, pad: Node, readers_of_pad: int) -> bool:
    return (
        isinstance(node.op, Conv2D | DepthwiseConv2D)
        and isinstance(pad.op, Pad2D)
        and pad.op.value == node.op.x_zero
        and readers_of_pad == 1
        and pad.output not in graph.results
    )


def _merge(node: Node, pad: Node) -> Node:
    """The convolution, reading the image before the padding."""
    assert isinstance(node.op, Conv2D | DepthwiseConv2D) and isinstance(pad.op, Pad2D)
    window = node.op.window
    sides = zip(window.padding, pad.op.padding, strict=True)
    top, bottom, left, right = (inner + outer for inner, outer in sides)
    merged = replace(node.op, window=replace(window, padding=(top, bottom, left, right)))
    return replace(node, op=merged, inputs=(*pad.inputs, *node.inputs[1:]))
