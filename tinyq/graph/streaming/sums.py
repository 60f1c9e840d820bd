"""Sums over the whole window: kept from step to step in place of being computed anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyq.graph import Node
from tinyq.graph.epilogues import Raw
from tinyq.graph.ops.rescale import Rescale
from tinyq.graph.ops.sliding_sum import SlidingSum
from tinyq.graph.ops.sum_pool2d import SumPool2D
from tinyq.graph.ops.window import Window
from tinyq.graph.streaming.timeline import Timeline
from tinyq.graph.streaming.weaving import Need, Weaving
from tinyq.numerics.formats import find_format

_WORTH = 4  # times as many columns in the window as a step brings, from which on a sum is kept


def can_keep_sum(node: Node, line: Timeline | None, step: int) -> bool:
    """Whether a node sums over whole windows of which a step changes a small part."""
    if line is None or not isinstance(node.op, SumPool2D) or line.axis > 1:
        return False
    window, axis = node.op.window, line.axis
    whole = window.size[axis] == line.length and window.dilation[axis] == 1
    return whole and line.length >= _WORTH * line.count_new(step)


def keep_sum(weaving: Weaving, node: Node, need: Need) -> None:
    """Add the nodes of a kept sum.

    sum = sum + sum of the new columns - sum of those that leave;  y = epilogue(sum)
    """
    operation = node.op
    assert isinstance(operation, SumPool2D)
    source, fill = need
    builder, line, new = weaving.builder, weaving.lines[source], weaving.count_new(source)
    nothing = builder.constant(
        weaving.name(f"{node.output}_nothing"),
        np.zeros(weaving.type_of(node.output).shape[-1], np.int32),
        find_format("s32"),
    )
    summing = replace(operation, output=Raw())

    def add_up(suffix: str, columns: int, held: str) -> str:
        part = replace(summing, window=_limit(operation.window, line.axis, new, columns))
        return builder.apply(weaving.name(f"{node.output}_{suffix}"), part, held, nothing)

    # Those that leave are the first ones of the ring before new ones are appended to it.
    leaving = add_up("leaving", line.length, weaving.find_ring(need, line.length))
    weaving.hold(need, line.length)
    coming = add_up("coming", new, source)
    low, high = _bound(weaving, operation, need)
    taps = operation.window.size[0] * operation.window.size[1]
    first = taps * (fill - operation.x_zero)
    kept = builder.add_state(
        weaving.name(f"{node.output}_sum"), builder.type(coming), np.int32(first)
    )
    total = builder.apply(
        weaving.name(f"{node.output}_total"), SlidingSum(low, high), kept, coming, leaving
    )
    builder.keep(kept, total)
    constants = [weaving.take(name) for name in node.inputs[1:]]
    builder.apply(node.output, Rescale(operation.output), total, *constants)


def _limit(window: Window, axis: int, new: int, columns: int) -> Window:
    """The window over the first ``new`` of some columns, at one place alone."""
    size, stride = list(window.size), list(window.stride)
    size[axis], stride[axis] = new, columns
    return replace(window, size=(size[0], size[1]), stride=(stride[0], stride[1]))


def _bound(weaving: Weaving, operation: SumPool2D, need: Need) -> tuple[int, int]:
    """What a sum over the window can be."""
    source, fill = need
    number_format = weaving.type_of(source).format
    low, high = weaving.spans.get(source, (number_format.lo, number_format.hi))
    taps = operation.window.size[0] * operation.window.size[1]
    return (
        taps * (min(low, fill) - operation.x_zero),
        taps * (max(high, fill) - operation.x_zero),
    )
