"""The memory plan: where every activation lives while the network runs, and how small that can be.

There is one array, the arena, with the inputs and the outputs in it. Tensors are first gathered
into *blocks*: a tensor and its reshaped views are one block, since they are the same bytes. A block
with an output of the graph stays from the node that writes it to the end.
Blocks that are alive at the same node never overlap, with two exceptions, both of an input that
nobody reads afterwards: an operation that can work in place may write over it, and one that goes
through the image line by line may write over the lines that it has read. How far the input must
lie ahead of the output for that, the kernel says: its *lead*.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from tinyq.errors import ModelError
from tinyq.graph import Graph, Node
from tinyq.memory.placement import Block, Pair, Placement, Sharing, bound_nodes, live_bytes, place

ALIGNMENT = 4
Leads = Mapping[int, int]
"""Bytes by which an operand must begin behind the output that may lie over it, by its index."""


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Where every activation lives.

    How to emit code from it: a tensor's address is the start of the arena plus ``offsets[name]``. A
    node whose name is in ``views`` needs no code, because its output is its first input's bytes.
    Every other node writes its output by its kernel. The output may share bytes with an input where
    the operation or the kernel allows it, and only then: see ``sharing`` and ``overlaps``.

    Attributes:
        arena_bytes: Size of the arena, a multiple of 4.
        offsets: Byte offset, a multiple of 4, of each activation.
        lifetimes: First and last node index, inclusive, at which each activation is needed.
        sizes: Packed bytes of each activation.
        views: Names of the nodes that need no code.
        sharing: For an output that took over an input's bytes, in place or as a view: the input.
        overlaps: For an output that lies over lines of an input that were read: the inputs.
        live_bytes: Arena bytes in use at each node, sizes rounded up to the alignment.
        peak_node: Name of the first node at which most arena bytes are in use.
        scratch: Byte offset in the arena and bytes of what a node's kernel needs while it runs.
        lower_bound: No plan needs fewer arena bytes than this.
        proven: Whether ``arena_bytes`` equals ``lower_bound``, so that no plan is better.
    """

    arena_bytes: int
    offsets: Mapping[str, int]
    lifetimes: Mapping[str, tuple[int, int]]
    sizes: Mapping[str, int]
    views: frozenset[str]
    sharing: Mapping[str, str]
    overlaps: Mapping[str, tuple[str, ...]]
    live_bytes: tuple[int, ...]
    peak_node: str
    lower_bound: int
    proven: bool
    scratch: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def gap_bytes(self) -> int:
        """How many bytes the arena may be above the optimum; 0 when proven."""
        return self.arena_bytes - self.lower_bound


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
    """

    lifetimes: Mapping[str, tuple[int, int]]
    views: frozenset[str]
    block_of: Mapping[str, int]
    blocks: tuple[Block, ...]
    shared: Sharing
    scratch_of: Mapping[str, int]
    reusable: Mapping[str, tuple[int, ...]]


def plan(
    graph: Graph,
    time_limit_s: float = 20.0,
    scratch: Mapping[str, int] | None = None,
    in_place: Mapping[str, tuple[int, ...]] | None = None,
    leads: Mapping[str, Leads] | None = None,
) -> MemoryPlan:
    """Place the activations of a graph in as few bytes as possible.

        minimise max(offset + size),  blocks that some node needs together lie apart

    Greedy placements come first; one as small as the lower bound (the most bytes alive at a
    node) is optimal by itself. Otherwise a mixed-integer program looks for a better placement
    or proves that there is none. Working in place is a choice of the program and not a rule: it
    frees bytes at one node, but ties two blocks to one address.

    Args:
        graph: A verified graph.
        time_limit_s: Seconds for the program; when they do not suffice, the best placement
            found is returned with ``proven`` False and the gap to the best known bound.
        scratch: Bytes that a node's kernel needs beside its operands while it runs.
        in_place: Operands that a node's kernel may write over, beside ``Op.in_place``.
        leads: How far operands must lie ahead of the output where that may share bytes with them.

    Raises:
        ModelError: An output is not computed by a node, so there is nothing to run.
    """
    if not {*graph.outputs} <= {node.output for node in graph.nodes}:
        raise ModelError("the graph computes nothing", where=graph.name)
    layout = _lay_out(graph, scratch or {}, in_place or {}, leads or {})
    return _describe(graph, layout, place(layout.blocks, layout.shared, time_limit_s))


def measure_needs(
    graph: Graph,
    scratch: Mapping[str, int],
    in_place: Mapping[str, tuple[int, ...]],
    leads: Mapping[str, Leads],
) -> tuple[int, ...]:
    """Bytes of the arena that each node needs at least, however the rest of the graph is placed.

    What a node's kernel asks for changes its own need alone, so that kernels can be compared
    before one is chosen. The arguments are those of `plan`.
    """
    layout = _lay_out(graph, scratch, in_place, leads)
    return tuple(bound_nodes(layout.blocks, layout.shared))


def _lay_out(
    graph: Graph,
    scratch: Mapping[str, int],
    in_place: Mapping[str, tuple[int, ...]],
    leads: Mapping[str, Leads],
) -> Layout:
    lifetimes = _find_lifetimes(graph)
    views = find_views(graph)
    block_of = _gather_blocks(graph, views)
    blocks = _measure_blocks(graph, block_of, lifetimes)
    reusable = {
        node.name: (*node.op.in_place, *in_place.get(node.name, ())) for node in graph.nodes
    }
    shared = Sharing(
        _find_takeovers(graph, block_of, blocks, reusable),
        MappingProxyType(_find_leads(graph, block_of, blocks, leads)),
    )
    needs = [(index, node) for index, node in enumerate(graph.nodes) if scratch.get(node.name)]
    rooms = tuple(Block(_aligned(scratch[node.name]), index, index) for index, node in needs)
    scratch_of = {node.name: len(blocks) + place for place, (_, node) in enumerate(needs)}
    return Layout(lifetimes, views, block_of, blocks + rooms, shared, scratch_of, reusable)


def _find_lifetimes(graph: Graph) -> dict[str, tuple[int, int]]:
    lifetimes = dict.fromkeys(graph.inputs, (0, 0))
    for index, node in enumerate(graph.nodes):
        lifetimes[node.output] = (index, index)
        for name in node.inputs:
            if name in lifetimes:
                lifetimes[name] = (lifetimes[name][0], index)
    for name in graph.outputs:
        lifetimes[name] = (lifetimes[name][0], len(graph.nodes) - 1)
    return lifetimes


def find_views(graph: Graph) -> frozenset[str]:
    """Nodes whose output is the first input's bytes.

    An output has bytes of its own: a reshape from an input, another output or a view of one of them
    to an output is no view.
    """
    views = set()
    given = {*graph.inputs}
    members: dict[str, list[str]] = {}
    for node in graph.nodes:
        members[node.output] = [node.output]
        if node.output in graph.outputs:
            given.add(node.output)
        source = node.inputs[0] if node.inputs else ""
        if not node.op.aliases(*graph.types(node)) or graph.tensors[source].is_constant:
            continue
        same = members.setdefault(source, [source])
        if node.output in graph.outputs and not given.isdisjoint(same):
            continue
        same.append(node.output)
        members[node.output] = same
        views.add(node.name)
    return frozenset(views)


def _gather_blocks(graph: Graph, views: frozenset[str]) -> dict[str, int]:
    """Block index of each activation; blocks are numbered in the order in which they appear."""
    block_of = {name: index for index, name in enumerate(graph.inputs)}
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
) -> frozenset[Pair]:
    """Blocks that may be written over: in the same format and size, and read for the last time."""
    found, kept = set(), {block_of[name] for name in graph.outputs}
    for index, node in enumerate(graph.nodes):
        for source in _overwritable(graph, node, reusable[node.name]):
            old = block_of.get(source)
            if old is not None and old not in kept and blocks[old].last == index:
                found.add((old, block_of[node.output]))
    return frozenset(found)


def _find_leads(
    graph: Graph,
    block_of: Mapping[str, int],
    blocks: Sequence[Block],
    leads: Mapping[str, Leads],
) -> dict[Pair, int]:
    """Leads between blocks, of operands that are read for the last time and once alone."""
    found, kept = {}, {block_of[name] for name in graph.outputs}
    for index, node in enumerate(graph.nodes):
        new = block_of[node.output]
        for position, lead in leads.get(node.name, {}).items():
            source = node.inputs[position]
            old = block_of.get(source, new)
            once = node.inputs.count(source) == 1
            last = old not in kept and blocks[old].last == blocks[new].first == index
            if old != new and once and last:
                found[old, new] = _aligned(lead)
    return found


def _overwritable(graph: Graph, node: Node, positions: tuple[int, ...]) -> Iterator[str]:
    output = graph.tensors[node.output].type
    for position in positions:
        source = graph.tensors[node.inputs[position]].type
        if source.format == output.format and source.packed_bytes == output.packed_bytes:
            yield node.inputs[position]


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _describe(graph: Graph, layout: Layout, placement: Placement) -> MemoryPlan:
    offsets = {name: placement.offsets[index] for name, index in layout.block_of.items()}
    live = live_bytes(layout.blocks, placement.offsets)
    sharing = _find_sharing(graph, layout, offsets)
    return MemoryPlan(
        arena_bytes=placement.arena_bytes,
        offsets=MappingProxyType(offsets),
        lifetimes=MappingProxyType(dict(layout.lifetimes)),
        sizes=MappingProxyType(
            {name: graph.tensors[name].type.packed_bytes for name in layout.block_of}
        ),
        views=layout.views,
        sharing=MappingProxyType(sharing),
        overlaps=MappingProxyType(_find_overlaps(graph, layout, placement.offsets, sharing)),
        live_bytes=tuple(live),
        peak_node=graph.nodes[live.index(max(live))].name,
        lower_bound=placement.lower_bound,
        proven=placement.arena_bytes == placement.lower_bound,
        scratch=MappingProxyType(
            {
                name: (placement.offsets[index], layout.blocks[index].size)
                for name, index in layout.scratch_of.items()
            }
        ),
    )


def _find_overlaps(
    graph: Graph, layout: Layout, offsets: Sequence[int], sharing: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Output that lies over read lines of inputs, not in place -> these inputs."""
    found: dict[str, tuple[str, ...]] = {}
    for node in graph.nodes:
        new = layout.block_of[node.output]
        end = offsets[new] + layout.blocks[new].size
        over = tuple(
            name
            for name in dict.fromkeys(node.inputs)
            if name != sharing.get(node.output)
            and (old := layout.block_of.get(name, new)) != new
            and (old, new) in layout.shared.leads
            and offsets[old] < end
            and offsets[new] < offsets[old] + layout.blocks[old].size
        )
        if over:
            found[node.output] = over
    return found


def _find_sharing(graph: Graph, layout: Layout, offsets: Mapping[str, int]) -> dict[str, str]:
    """Output that took over an input's bytes -> that input."""
    sharing = {}
    for node in graph.nodes:
        if node.name in layout.views:
            sharing[node.output] = node.inputs[0]
            continue
        new = layout.block_of[node.output]
        for source in _overwritable(graph, node, layout.reusable[node.name]):
            old = layout.block_of.get(source, new)
            if (old, new) in layout.shared.takeovers and offsets[source] == offsets[node.output]:
                sharing[node.output] = source
    return sharing
