"""What of a graph matters for its memory: blocks of bytes, their lifetimes, what may share one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tinyq.graph import Graph, Node
from tinyq.graph.interface import label_ports
from tinyq.memory.placement import Block, Takeovers
from tinyq.memory.states import ALIGNMENT, place_states


@dataclass(frozen=True, slots=True)
class Layout:
    """What of a graph matters for its memory.

    Attributes:
        lifetimes: See ``MemoryPlan``.
        views: See ``MemoryPlan``.
        block_of: Block index of each activation; the graph's inputs have the first ones.
        blocks: All blocks.
        takeovers: Where working in place is legal.
        scratch_of: Block index of each node's scratch memory.
        reusable: Operands that a node may write over.
        given: Labels of the blocks that hold an input or an output.
        written: Blocks that hold an output, in the order of the outputs.
        held: Byte offset in the state's memory of the blocks that live there: those of the states,
            and of next values that are written in the place of the old ones.
    """

    lifetimes: Mapping[str, tuple[int, int]]
    views: frozenset[str]
    block_of: Mapping[str, int]
    blocks: tuple[Block, ...]
    takeovers: Takeovers
    scratch_of: Mapping[str, int]
    reusable: Mapping[str, tuple[int, ...]]
    given: Mapping[int, str]
    written: tuple[int, ...]
    held: Mapping[int, int]

    @property
    def inside(self) -> Iterator[int]:
        """Blocks that can live in the arena: neither an input nor in the state's memory."""
        kept = {index for index in self.given if index not in self.written}
        return (it for it in range(len(self.blocks)) if it not in kept and it not in self.held)


def lay_out(
    graph: Graph, scratch: Mapping[str, int], in_place: Mapping[str, tuple[int, ...]]
) -> Layout:
    """Gather blocks; the arguments are those of `tinyq.memory.planner.plan`."""
    lifetimes = _find_lifetimes(graph)
    views = find_views(graph)
    block_of = _gather_blocks(graph, views)
    blocks = _measure_blocks(graph, block_of, lifetimes)
    reusable = {
        node.name: (*node.op.in_place, *in_place.get(node.name, ())) for node in graph.nodes
    }
    given = {block_of[name]: label for name, label in label_ports(graph).items()}
    pairs = _find_takeovers(graph, block_of, blocks, reusable)
    kept = {*given, *(block_of[name] for name in (*graph.sources, *graph.results))}
    takeovers = frozenset((old, new) for old, new in pairs if old not in kept)
    needs = [(index, node) for index, node in enumerate(graph.nodes) if scratch.get(node.name)]
    rooms = tuple(Block(_aligned(scratch[node.name]), index, index) for index, node in needs)
    scratch_of = {node.name: len(blocks) + place for place, (_, node) in enumerate(needs)}
    return Layout(
        lifetimes,
        views,
        block_of,
        blocks + rooms,
        takeovers,
        scratch_of,
        reusable,
        given,
        tuple(block_of[name] for name in graph.outputs),
        place_states(graph, block_of, blocks, given, pairs),
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

    What lies in one of the caller's buffers, or is a state, cannot become what lies in another
    without a copy, so a reshape from an input, a state, an output, a state's next value or a view
    of one of them to an output or a next value is no view.
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
            _aligned(max(graph.tensors[name].type.packed_bytes for name in names)),
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
) -> Takeovers:
    """Blocks that could be written over: in the same format and size, read for the last time."""
    found = set()
    for index, node in enumerate(graph.nodes):
        for source in list_overwritable(graph, node, reusable[node.name]):
            old = block_of.get(source)
            if old is not None and blocks[old].last == index:
                found.add((old, block_of[node.output]))
    return frozenset(found)


def list_overwritable(graph: Graph, node: Node, positions: tuple[int, ...]) -> Iterator[str]:
    """Inputs of a node that have the format and the bytes of its output."""
    output = graph.tensors[node.output].type
    for position in positions:
        source = graph.tensors[node.inputs[position]].type
        if source.format == output.format and source.packed_bytes == output.packed_bytes:
            yield node.inputs[position]


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
