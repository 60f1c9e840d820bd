"""The memory plan: where every activation lives while the network runs, and how small that can be.

There is one array, the arena, with the inputs and the outputs in it; a state has a place of its own
in the state's memory, which its next value takes over where nobody reads the old one afterwards.
Tensors are first gathered
into *blocks*: a tensor and its reshaped views are one block, since they are the same bytes. A block
with an output of the graph stays from the node that writes it to the end.
Blocks that are alive at the same node never overlap, with two exceptions, both of an input that
nobody reads afterwards: an operation that can work in place may write over it, and one that goes
through the image line by line may write over the lines that it has read. How far the input must
lie ahead of the output for that, the kernel says: its *lead*.
Layers of a chain (`tinyq.memory.rows`) are one node for the plan: the tensors between them have no
place, the rings of their rows are the chain's scratch memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from tinyq.errors import ModelError
from tinyq.graph import Graph
from tinyq.memory.layout import Layout, Leads, lay_out, list_overwritable
from tinyq.memory.placement import Placement, bound_nodes, live_bytes, place
from tinyq.memory.rows import Chain, find_owners, fold, fold_scratch
from tinyq.memory.states import measure_states


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Where every activation lives.

    How to emit code from it: a tensor's address is the start of the arena plus ``offsets[name]``,
    or that of the state's memory plus ``held[name]``. A node whose name is in ``views`` needs no
    code, because its output is its first input's bytes.
    Every other node writes its output by its kernel. The output may share bytes with an input where
    the operation or the kernel allows it, and only then: see ``sharing`` and ``overlaps``.
    Behind the last node the tensors of ``copies`` are copied to the states.
    A tensor between two layers of a chain has no offset, but a ring at ``rooms[chain.name]`` and
    the ring's own offset.

    Attributes:
        arena_bytes: Size of the arena, a multiple of 4.
        offsets: Byte offset, a multiple of 4, of each activation that lives in the arena.
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
        state_bytes: Size of the state's memory, a multiple of 4.
        held: Byte offset, a multiple of 4, of each tensor that lives in the state's memory.
        copies: States, and the next values that live elsewhere.
        chains: Layers that are computed row by row.
        rooms: Byte offset in the arena of the rings of each chain, by its name.
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
    state_bytes: int = 0
    held: Mapping[str, int] = field(default_factory=dict)
    copies: tuple[tuple[str, str], ...] = ()
    chains: tuple[Chain, ...] = ()
    rooms: Mapping[str, int] = field(default_factory=dict)

    @property
    def ram_bytes(self) -> int:
        """Arena and state together."""
        return self.arena_bytes + self.state_bytes

    @property
    def gap_bytes(self) -> int:
        """How many bytes the arena may be above the optimum; 0 when proven."""
        return self.arena_bytes - self.lower_bound


def plan(
    graph: Graph,
    time_limit_s: float = 20.0,
    scratch: Mapping[str, int] | None = None,
    in_place: Mapping[str, tuple[int, ...]] | None = None,
    leads: Mapping[str, Leads] | None = None,
    chains: Sequence[Chain] = (),
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
        chains: Layers that are computed row by row.

    Raises:
        ModelError: An output is not computed by a node, so there is nothing to run.
    """
    if not {*graph.outputs} <= {node.output for node in graph.nodes}:
        raise ModelError("the graph computes nothing", where=graph.name)
    folded = fold(graph, chains)
    layout = _lay_out(folded, chains, scratch or {}, in_place or {}, leads or {})
    found = _describe(folded, layout, place(*layout.select_inside(), time_limit_s))
    return _unfold(graph, folded, found, chains, scratch or {}) if chains else found


def measure_needs(
    graph: Graph,
    scratch: Mapping[str, int],
    in_place: Mapping[str, tuple[int, ...]],
    leads: Mapping[str, Leads],
    chains: Sequence[Chain] = (),
) -> tuple[int, ...]:
    """Bytes of the arena that each node needs at least, however the rest of the graph is placed.

    What a node's kernel asks for changes its own need alone, so that kernels can be compared
    before one is chosen; of a chain's, those of all its layers. The arguments are those of `plan`.
    """
    folded = fold(graph, chains)
    needs = bound_nodes(*_lay_out(folded, chains, scratch, in_place, leads).select_inside())
    known = dict(zip((node.name for node in folded.nodes), needs, strict=False))
    owners = find_owners(graph, chains)
    return tuple(known.get(owners[node.name], 0) for node in graph.nodes)


def _lay_out(
    folded: Graph,
    chains: Sequence[Chain],
    scratch: Mapping[str, int],
    in_place: Mapping[str, tuple[int, ...]],
    leads: Mapping[str, Leads],
) -> Layout:
    """The layout of a graph in which chains are nodes."""
    own = {chain.name: chain.leads for chain in chains}
    return lay_out(folded, fold_scratch(chains, scratch), in_place, {**leads, **own})


def _unfold(
    graph: Graph,
    folded: Graph,
    found: MemoryPlan,
    chains: Sequence[Chain],
    scratch: Mapping[str, int],
) -> MemoryPlan:
    """The plan of a folded graph as one of the graph: a chain's layers all run when it does."""
    owners = find_owners(graph, chains)
    places = {node.name: place for place, node in enumerate(folded.nodes)}
    owner_of = [places[owners[node.name]] for node in graph.nodes]
    first = {owner: place for place, owner in reversed(list(enumerate(owner_of)))}
    last = {owner: place for place, owner in enumerate(owner_of)}
    rooms = {chain.name: found.scratch[chain.name][0] for chain in chains}
    kept = {name: place for name, place in found.scratch.items() if name not in rooms}
    for chain in chains:
        start, size = found.scratch[chain.name]
        room = start + chain.ring_bytes, size - chain.ring_bytes
        kept |= {node.name: room for node in chain.nodes if scratch.get(node.name)}
    live = tuple(found.live_bytes[owner] for owner in owner_of)
    return replace(
        found,
        lifetimes=MappingProxyType(
            {name: (first[one], last[other]) for name, (one, other) in found.lifetimes.items()}
        ),
        live_bytes=live,
        peak_node=graph.nodes[live.index(max(live))].name,
        scratch=MappingProxyType(kept),
        chains=tuple(chains),
        rooms=MappingProxyType(rooms),
    )


def _describe(graph: Graph, layout: Layout, placement: Placement) -> MemoryPlan:
    places = dict(zip(layout.inside, placement.offsets, strict=True))
    offsets = {name: places[it] for name, it in layout.block_of.items() if it in places}
    held = {name: layout.held[it] for name, it in layout.block_of.items() if it in layout.held}
    live = live_bytes([layout.blocks[index] for index in places], placement.offsets)
    live += [0] * (len(graph.nodes) - len(live))
    sharing = _find_sharing(graph, layout, offsets, held)
    return MemoryPlan(
        arena_bytes=placement.arena_bytes,
        offsets=MappingProxyType(offsets),
        lifetimes=MappingProxyType(dict(layout.lifetimes)),
        sizes=MappingProxyType(
            {name: graph.tensors[name].type.packed_bytes for name in layout.block_of}
        ),
        views=layout.views,
        sharing=MappingProxyType(sharing),
        overlaps=MappingProxyType(_find_overlaps(graph, layout, places, sharing)),
        live_bytes=tuple(live),
        peak_node=graph.nodes[live.index(max(live))].name,
        lower_bound=placement.lower_bound,
        proven=placement.arena_bytes == placement.lower_bound,
        scratch=MappingProxyType(
            {
                name: (places[index], layout.blocks[index].size)
                for name, index in layout.scratch_of.items()
            }
        ),
        state_bytes=measure_states(graph),
        held=MappingProxyType(held),
        copies=tuple(
            (it.name, it.next) for it in graph.states if held.get(it.next) != held[it.name]
        ),
    )


def _find_overlaps(
    graph: Graph, layout: Layout, offsets: Mapping[int, int], sharing: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Output that lies over read lines of inputs, not in place -> these inputs."""
    found: dict[str, tuple[str, ...]] = {}
    for node in graph.nodes:
        new = layout.block_of[node.output]
        if new in layout.held:
            continue
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


def _find_sharing(
    graph: Graph, layout: Layout, offsets: Mapping[str, int], held: Mapping[str, int]
) -> dict[str, str]:
    """Output that took over an input's bytes -> that input."""
    sharing = {}
    for node in graph.nodes:
        if node.name in layout.views:
            sharing[node.output] = node.inputs[0]
            continue
        new, output = layout.block_of[node.output], node.output
        for source in list_overwritable(graph, node, layout.reusable[node.name]):
            old = layout.block_of.get(source, new)
            inside = (old, new) in layout.shared.takeovers and source in offsets
            if inside and offsets[source] == offsets.get(output):
                sharing[output] = source
            if old != new and source in held and held[source] == held.get(output):
                sharing[output] = source
    return sharing
