"""Channels that always hold one code, and channels that nobody needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tinyq.graph import Graph, Node, Op, Tensor
from tinyq.graph.accumulating import Accumulating
from tinyq.graph.ops.add import Add
from tinyq.graph.ops.average_pool2d import AveragePool2D
from tinyq.graph.ops.concatenate import Concatenate
from tinyq.graph.ops.conv2d import Conv2D
from tinyq.graph.ops.dense import Dense
from tinyq.graph.ops.depthwise_conv2d import DepthwiseConv2D
from tinyq.graph.ops.interpolate import Interpolate
from tinyq.graph.ops.lookup import Lookup
from tinyq.graph.ops.max_pool2d import MaxPool2D
from tinyq.graph.ops.multiply import Multiply
from tinyq.graph.ops.pad2d import Pad2D
from tinyq.graph.ops.pick_pixels import PickPixels
from tinyq.graph.ops.rescale import Rescale
from tinyq.graph.ops.reshape import Reshape
from tinyq.graph.ops.sum_pool2d import SumPool2D
from tinyq.graph.ops.tflite_add import TfliteAdd
from tinyq.graph.ops.tflite_average_pool2d import TfliteAveragePool2D
from tinyq.graph.passes.channel_ranges import Range, channel_ranges
from tinyq.numerics.formats import Codes
from tinyq.numerics.rounding import INT32_MAX

Mask = npt.NDArray[np.bool_]
Indexes = npt.NDArray[np.int64]

_REDUCING = (Conv2D, Dense)
_PLAIN = (
    AveragePool2D,
    Interpolate,
    Lookup,
    MaxPool2D,
    Pad2D,
    PickPixels,
    Rescale,
    SumPool2D,
    TfliteAveragePool2D,
)
_PAIRS = (Add, Multiply, TfliteAdd)


def remove_constant_channels(graph: Graph) -> Graph:
    """Leave out channels that convolutions and dense layers can do without.

    A channel goes when each of its readers either knows its only code, whose product with the
    weights then joins the bias, or multiplies it by zero, or is itself a channel that goes.
    Which channels go is the largest set with that property.
    """
    ranges = channel_ranges(graph)
    drop = _find(graph, ranges)
    if not any(mask.any() for mask in drop.values()):
        return graph
    return _rewrite(graph, ranges, drop)


def _find(graph: Graph, ranges: Mapping[str, Range]) -> dict[str, Mask]:
    """Per activation, which channels go."""
    drop = {
        name: np.ones(tensor.type.shape[-1], bool)
        for name, tensor in graph.tensors.items()
        if not tensor.is_constant
    }
    for name in (*graph.sources, *graph.results):
        drop[name][:] = False
    changed = True
    while changed:
        before = {name: mask.copy() for name, mask in drop.items()}
        for node in reversed(graph.nodes):
            _narrow(graph, node, ranges, drop)
        for mask in drop.values():
            if mask.all():
                mask[0] = False  # a tensor has at least one channel
        changed = any((before[name] != mask).any() for name, mask in drop.items())
    return drop


def _narrow(
    graph: Graph, node: Node, ranges: Mapping[str, Range], drop: Mapping[str, Mask]
) -> None:
    """Take back what one node does not allow."""
    if isinstance(node.op, _REDUCING):
        if node.inputs[0] in drop:
            drop[node.inputs[0]][:] &= _unneeded(graph, node, ranges, drop[node.output])
        return
    ties = _ties(graph, node)
    if ties is None:
        for name in (*node.inputs, node.output):
            if name in drop:
                drop[name][:] = False
        return
    output = drop[node.output]
    for name, own, theirs in ties:
        if name not in drop:
            if output[own].all():
                output[own[0]] = False  # a constant has at least one channel, too
            continue
        goes = drop[name].copy()
        np.logical_and.at(goes, theirs, output[own])
        drop[name][:] = goes
        output[own] &= goes[theirs]


def _ties(graph: Graph, node: Node) -> list[tuple[str, Indexes, Indexes]] | None:
    """Which output channels stand or fall with which input channels; None if it is not known.

    Each entry is an input, indexes of output channels, and indexes of that input's channels.
    """
    first = node.inputs[0]
    inside = graph.tensors[first].type.shape
    outside = graph.tensors[node.output].type.shape
    every = np.arange(outside[-1], dtype=np.int64)
    if graph.tensors[first].is_constant and not isinstance(node.op, (*_PAIRS, Concatenate)):
        return None
    if isinstance(node.op, _PLAIN):
        return [(first, every, every)]
    if isinstance(node.op, _PAIRS):
        return [(name, every, every) for name in node.inputs[:2]]
    if isinstance(node.op, DepthwiseConv2D):
        return [(first, every, every // (outside[-1] // inside[-1]))]
    if isinstance(node.op, Reshape) and outside[-1] % inside[-1] == 0:
        return [(first, every, every % inside[-1])]
    if isinstance(node.op, Concatenate):
        second = np.arange(outside[-1] - inside[-1], dtype=np.int64)
        return [
            (first, every[: inside[-1]], every[: inside[-1]]),
            (node.inputs[1], every[inside[-1] :], second),
        ]
    return None


def _known(node: Node, source: Range) -> Mask:
    """Channels whose code the node can fold into its bias."""
    operation = node.op
    assert isinstance(operation, Conv2D | Dense)
    padded = isinstance(operation, Conv2D) and any(operation.window.padding)
    known: Mask = source.is_constant
    return known if not padded else np.logical_and(known, source.lo == operation.x_zero)


def _by_channel(weights: Codes) -> npt.NDArray[np.int64]:
    """Sum of the weights over the window, shape (out_channels, in_channels)."""
    wide = weights.astype(np.int64)
    return wide if wide.ndim == 2 else wide.sum(axis=(1, 2))


def _unneeded(graph: Graph, node: Node, ranges: Mapping[str, Range], output: Mask) -> Mask:
    """Input channels that a convolution or dense layer can do without."""
    weights, first = (graph.tensors[name].codes for name in node.inputs[1:3])
    source = ranges[node.inputs[0]]
    if weights is None or first is None or graph.tensors[node.inputs[1]].type.format.coding.sizes:
        return np.zeros(len(source.lo), bool)  # groups count channels from the first on
    used = np.moveaxis(weights[~output] != 0, -1, 0).reshape(weights.shape[-1], -1).any(axis=1)
    known = _known(node, source)
    constant = np.where(known, source.lo - _zero(node.op), 0)
    folded = np.abs(_by_channel(weights)) @ np.abs(constant)
    if (folded + np.abs(first.astype(np.int64)) > INT32_MAX).any():
        known = np.zeros_like(known)
    needless: Mask = np.logical_or(known, np.logical_not(used))
    return needless


def _zero(operation: Op) -> int:
    assert isinstance(operation, Conv2D | Dense)
    return operation.x_zero


def _rewrite(graph: Graph, ranges: Mapping[str, Range], drop: Mapping[str, Mask]) -> Graph:
    tensors = dict(graph.tensors)
    nodes = []
    for node in graph.nodes:
        slim = _slim_node(graph, node, ranges, drop, tensors)
        inferred = slim.op.infer(*(tensors[name].type for name in slim.inputs))
        tensors[slim.output] = replace(tensors[slim.output], type=inferred)
        nodes.append(slim)
    used = {name for node in nodes for name in (*node.inputs, node.output)} | {*graph.sources}
    kept = {name: tensor for name, tensor in tensors.items() if name in used}
    return replace(graph, nodes=tuple(nodes), tensors=kept)


def _slim_node(
    graph: Graph,
    node: Node,
    ranges: Mapping[str, Range],
    drop: Mapping[str, Mask],
    tensors: dict[str, Tensor],
) -> Node:
    """A node without the channels that go; its changed constants are added to ``tensors``."""
    live = ~drop[node.output]
    gone = drop.get(node.inputs[0], np.zeros(graph.tensors[node.inputs[0]].type.shape[-1], bool))
    inputs = list(node.inputs)
    for position, name in enumerate(node.inputs):
        codes = graph.tensors[name].codes
        if codes is None:
            continue
        slim = _slim_constant(node, position, codes, live, gone)
        if position == 2 and isinstance(node.op, _REDUCING) and gone.any():
            slim = _with_constants(graph, node, ranges[node.inputs[0]], gone)[..., live]
        if slim.shape != codes.shape or (slim != codes).any():
            inputs[position] = _unused_name(f"{node.name}_input_{position}", tensors)
            old = graph.tensors[name].type
            tensor_type = replace(old, shape=slim.shape, format=old.format.take(live))
            tensors[inputs[position]] = Tensor(inputs[position], tensor_type, slim)
    operation = node.op
    if isinstance(operation, Reshape):
        operation = Reshape((*operation.shape[:-1], int(live.sum())))
    return replace(node, op=operation, inputs=tuple(inputs))


def _slim_constant(node: Node, position: int, codes: Codes, live: Mask, gone: Mask) -> Codes:
    operation = node.op
    if isinstance(operation, _REDUCING) and position < 2:
        return codes[live][..., ~gone] if position else codes
    if live.all():
        return codes
    if isinstance(operation, Concatenate):
        part = live[: codes.shape[-1]] if position == 0 else live[-codes.shape[-1] :]
        return codes[..., part]
    if isinstance(operation, Accumulating):
        return codes[..., live]  # weights of a depthwise layer, operands, the epilogue's constants
    return codes


def _with_constants(graph: Graph, node: Node, source: Range, gone: Mask) -> Codes:
    """The epilogue's first constant, a bias or a threshold, with the known channels' part in it."""
    weights, first = (graph.tensors[name].codes for name in node.inputs[1:3])
    assert weights is not None and first is not None and isinstance(node.op, Accumulating)
    folded = gone & _known(node, source)
    constant = np.where(folded, source.lo - _zero(node.op), 0)
    part = _by_channel(weights) @ constant
    sign = -1 if node.op.output.names[0] == "threshold" else 1
    return (first + sign * part).astype(np.int32)


def _unused_name(base: str, tensors: Mapping[str, Tensor]) -> str:
    name, count = base, 1
    while name in tensors:
        name, count = f"{base}_{count}", count + 1
    return name
