"""What of a graph matters for its memory: blocks of bytes, their lifetimes, what may share one."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from tinyq.graph import Graph, Node
from tinyq.memory.placement import Block, Pair, Sharing
from tinyq.memory.states import align, place_states

Leads = Mapping[int, int]
"""Bytes by which an operand must begin behind the output that may lie over it, by its index."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What of a graph matters for its memory.

    Attributes:
        lifetimes: See ``MemoryPlan``.
        views: See ``MemoryPlan``.
        block_of: Block index of each activation; the graph's inputs have the first ones.
        blocks: All blocks.
        shared: Which bytes of old blocks new ones may take.
        scratch_of: Block index of each node's scratch memory.
        reusable: Operands that a node may write over.
        held: Byte offset in the state's memory of the blocks that live there: those of the states,
            and of next values that are written in the place of the old ones.
    """

    lifetimes: Mapping[str, tuple[int, int]]
    views: frozenset[str]
    block_of: Mapping[str, int]
    blocks: tuple[Block, ...]
    shared: Sharing
    scratch_of: Mapping[str, int]
    reusable: Mapping[str, tuple[int, ...]]
    held: Mapping[int, int]

    @property
    def inside(self) -> tuple[int, ...]:
        """Blocks that live in the arena."""
        return tuple(index for index in range(len(self.blocks)) if index not in self.held)

    def select_inside(self) -> tuple[list[Block], Sharing]:
        """The blocks of the arena alone, and what they may share, by their places among these."""
        renumbered = {index: position for position, index in enumerate(self.inside)}
        return [self.blocks[index] for index in self.inside], self.shared.select(renumbered)


def lay_out(
    graph: Graph,
    scratch: Mapping[str, int],
    in_place: Mapping[str, tuple[int, ...]],
    leads: Mapping[str, Leads],
) -> Layout:
    """Gather blocks; the arguments are those of `tinyq.memory.planner.plan`."""
    lifetimes = _find_lifetimes(graph)
    views = find_views(graph)
    block_of = _gather_blocks(graph, views)
    blocks = _measure_blocks(graph, block_of, lifetimes)
    reusable = {
        node.name: (*node.op.in_place, *in_place.get(node.name, ())) for node in graph.nodes
    }
    pairs = _find_takeovers(graph, block_of, blocks, reusable)
    states = {block_of[state.name] for state in graph.states}
    kept = {*states, *(block_of[name] for name in graph.results)}
    shared = Sharing(
        frozenset((old, new) for old, new in pairs if old not in kept),
        MappingProxyType(_find_leads(graph, block_of, blocks, leads, kept)),
    )
    ports = {block_of[name] for name in (*graph.inputs, *graph.outputs)}
    needs = [(index, node) for index, node in enumerate(graph.nodes) if scratch.get(node.name)]
    rooms = tuple(Block(align(scratch[node.name]), index, index) for index, node in needs)
    scratch_of = {node.name: len(blocks) + place for place, (_, node) in enumerate(needs)}
    return Layout(
        lifetimes,
        views,
        block_of,
        blocks + rooms,
        shared,
        scratch_of,
        reusable,
        place_states(graph, block_of, blocks, ports, pairs),
    )


def _find_lifetimes(graph: Graph) -> dict[str, tuple[int, int]]:
    lifetimes = dict.fromkeys(graph.sources, (0, 0))
    for index, node in enumerate(graph.nodes):
        lifetimes[node.output] = (index, index)
        for name in node.inputs:
            if name in lifetimes:
                lifetimes[name] = (lifetimes[name][0], index)
    for name in graph.results:
        lifetimes[name] = (lifetimes[name][0], len(graph.nodes) - 1)
    return lifetimes


def find_views(graph: Graph) -> frozenset[str]:
    """Nodes whose output is the first input's bytes.

    An output, a state and its next value have bytes of their own: a reshape from an input, a state,
    an output, a next value or a view of one of them to an output or a next value is no view.
    """
    views = set()
    given = {*graph.sources}
    members: dict[str, list[str]] = {}
    for node in graph.nodes:
        members[node.output] = [node.output]
        if node.output in graph.results:
            given.add(node.output)
        source = node.inputs[0] if node.inputs else ""
        if not node.op.aliases(*graph.types(node)) or graph.tensors[source].is_constant:
            continue
        same = members.setdefault(source, [source])
        if node.output in graph.results and not given.isdisjoint(same):
            continue
        same.append(node.output)
        members[node.output] = same
        views.add(node.name)
    return frozenset(views)


def _gather_blocks(graph: Graph, views: frozenset[str]) -> dict[str, int]:
    """Block index of each activation; blocks are numbered in the order in which they appear."""
    block_of = {name: index for index, name in enumerate(graph.sources)}
    count = len(block_of)
    for node in graph.nodes:
        if node.name in views:
            block_of[node.output] = block_of[node.inputs[0]]
        else:
            block_of[node.output] = count
            count += 1
    return block_of


def _measure_blocks(
    graph: Graph, block_of: Mapping[str, int], lifetimes: Mapping[str, tuple[int, int]]
) -> tuple[Block, ...]:
    members: dict[int, list[str]] = {}
    for name, index in block_of.items():
        members.setdefault(index, []).append(name)
    return tuple(
        Block(
            align(max(graph.tensors[name].type.packed_bytes for name in names)),
            min(lifetimes[name][0] for name in names),
            max(lifetimes[name][1] for name in names),
        )
        for _, names in sorted(members.items())
    )


def _find_takeovers(
    graph: Graph,
    block_of: Mapping[str, int],
    blocks: Sequence[Block],
    reusable: Mapping[str, tuple[int, ...]],
) -> frozenset[Pair]:
    """Blocks that could be written over: in the same format and size, read for the last time."""
    found = set()
    for index, node in enumerate(graph.nodes):
        for source in list_overwritable(graph, node, reusable[node.name]):
            old = block_of.get(source)
            if old is not None and blocks[old].last == index:
                found.add((old, block_of[node.output]))
    return frozenset(found)


def _find_leads(
    graph: Graph,
    block_of: Mapping[str, int],
    blocks: Sequence[Block],
    leads: Mapping[str, Leads],
    kept: Container[int],
) -> dict[Pair, int]:
    """Leads between blocks, of operands that are read for the last time and once alone."""
    found = {}
    for index, node in enumerate(graph.nodes):
        new = block_of[node.output]
        for position, lead in leads.get(node.name, {}).items():
            source = node.inputs[position]
            old = block_of.get(source, new)
            once = node.inputs.count(source) == 1
            last = old not in kept and blocks[old].last == blocks[new].first == index
            if old != new and once and last:
                found[old, new] = align(lead)
    return found


def list_overwritable(graph: Graph, node: Node, positions: tuple[int, ...]) -> Iterator[str]:
    """Inputs of a node that have the format and the bytes of its output."""
    output = graph.tensors[node.output].type
    for position in positions:
        source = graph.tensors[node.inputs[position]].type
        if source.format == output.format and source.packed_bytes == output.packed_bytes:
            yield node.inputs[position]
