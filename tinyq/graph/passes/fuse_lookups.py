"""Tables that follow a table, and clips that an epilogue can do itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tinyq.graph import Graph, Node, Tensor
from tinyq.graph.accumulating import Accumulating
from tinyq.graph.epilogues import Requantize, RequantizeTwice
from tinyq.graph.ops.lookup import Lookup
from tinyq.graph.passes.rewrite import readers, with_nodes
from tinyq.numerics.formats import Codes


def fuse_lookups(graph: Graph) -> Graph:
    """Compose a table with the table before it; turn a mere clip into the epilogue's range."""
    tensors = dict(graph.tensors)
    reading = readers(graph)
    producers: dict[str, Node] = {}
    gone: set[str] = set()
    for node in graph.nodes:
        before = producers.get(node.inputs[0])
        merged = None
        if isinstance(node.op, Lookup) and before is not None:
            alone = len(reading[before.output]) == 1 and before.output not in graph.results
            merged = _merge(tensors, before, node) if alone else None
        if merged is not None and before is not None:
            gone.add(before.output)
        producers[node.output] = merged or node
    nodes = [producers[node.output] for node in graph.nodes if node.output not in gone]
    return with_nodes(replace(graph, tensors=tensors), nodes, {})


def _merge(tensors: dict[str, Tensor], before: Node, node: Node) -> Node | None:
    """One node for both, or None."""
    table = tensors[node.inputs[1]].codes
    if table is None:
        return None
    if isinstance(before.op, Lookup):
        first = tensors[before.inputs[1]].codes
        if first is None:
            return None
        name = f"{node.output}_table"
        while name in tensors:
            name += "_"
        tensors[name] = replace(tensors[node.inputs[1]], name=name, codes=table[first + 128])
        return replace(node, inputs=(before.inputs[0], name))
    return _clipped(tensors, before, node, table)


def _clipped(tensors: Mapping[str, Tensor], before: Node, node: Node, table: Codes) -> Node | None:
    """The producer with a narrower range, where the table is a clip and keeps the meaning."""
    if tensors[before.output].type != tensors[node.output].type:
        return None
    operation = before.op
    if not isinstance(operation, Accumulating):
        return None
    epilogue = operation.output
    if not isinstance(epilogue, Requantize | RequantizeTwice) or epilogue.format != "s8":
        return None
    codes = np.arange(-128, 128)
    inside = table[(codes >= epilogue.lo) & (codes <= epilogue.hi)]
    lo, hi = int(inside.min()), int(inside.max())
    reached = np.clip(codes, epilogue.lo, epilogue.hi)
    if not np.array_equal(table[reached + 128], np.clip(reached, lo, hi)):
        return None
    fused = replace(operation, output=replace(epilogue, lo=lo, hi=hi))
    return replace(before, op=fused, output=node.output)
