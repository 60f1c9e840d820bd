"""Padding that a convolution or a maximum can do itself."""

from __future__ import annotations

from dataclasses import replace

from tinyq.errors import ModelError
from tinyq.graph import Graph, Node
from tinyq.graph.ops.conv2d import Conv2D
from tinyq.graph.ops.depthwise_conv2d import DepthwiseConv2D
from tinyq.graph.ops.max_pool2d import MaxPool2D
from tinyq.graph.ops.pad2d import Pad2D
from tinyq.graph.passes.rewrite import readers, with_nodes

_Windowed = Conv2D | DepthwiseConv2D | MaxPool2D


def fold_padding(graph: Graph) -> Graph:
    """Merge padding into the windows of what alone reads it and makes nothing of it.

    That is the zero point for a convolution, and the least code of the format for a maximum.
    """
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
        isinstance(node.op, _Windowed)
        and isinstance(pad.op, Pad2D)
        and pad.op.value == _find_nothing(graph, node)
        and readers_of_pad == 1
        and pad.output not in graph.results
        and _has_taps(graph, node, pad)
    )


def _find_nothing(graph: Graph, node: Node) -> int:
    """The code that changes no result."""
    if isinstance(node.op, MaxPool2D):
        return graph.tensors[node.inputs[0]].type.format.lo
    assert isinstance(node.op, Conv2D | DepthwiseConv2D)
    return node.op.x_zero


def _has_taps(graph: Graph, node: Node, pad: Node) -> bool:
    """Whether every window of a maximum keeps a tap inside the image; others need none."""
    if not isinstance(node.op, MaxPool2D):
        return True
    op = _merge(node, pad).op
    assert isinstance(op, MaxPool2D)
    try:
        op.window.require_taps(graph.tensors[pad.inputs[0]].type.shape)
    except ModelError:
        return False
    return True


def _merge(node: Node, pad: Node) -> Node:
    """The operation, reading the image before the padding."""
    assert isinstance(node.op, _Windowed) and isinstance(pad.op, Pad2D)
    window = node.op.window
    sides = zip(window.padding, pad.op.padding, strict=True)
    top, bottom, left, right = (inner + outer for inner, outer in sides)
    merged = replace(node.op, window=replace(window, padding=(top, bottom, left, right)))
    return replace(node, op=merged, inputs=(*pad.inputs, *node.inputs[1:]))
