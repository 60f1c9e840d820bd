"""The memory plan: where every activation lives while the network runs, and how small that can be.

The caller gives a buffer for each input and each output; beside them there is the arena. Tensors
are first gathered into *blocks*: a tensor and its reshaped views are one block, since they are the
same bytes. A block with an input of the graph lives in the caller's buffer for it and is never
overwritten; one with an output lives in the caller's buffer for that output, from the node that
writes it to the end; one with a state has a place of its own in the state's memory, which the
state's next value takes over where nobody reads the old one afterwards; all others share the arena.
Blocks that are alive at the same node never overlap, with one exception: an operation that can
work in place may write over an input that nobody reads afterwards.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from tinyq.errors import ModelError
from tinyq.graph import Graph
from tinyq.memory.layout import Layout, lay_out, list_overwritable
from tinyq.memory.placement import Block, Takeovers, live_bytes, place
from tinyq.memory.states import measure_states

ARENA = "arena"
STATE = "kept state"  # no label of an input or output: it is no identifier
# How many ways of working in place inside the output buffers are tried; two per final addition.
_MOST_CHAINS = 16


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Where every activation lives.

    How to emit code from it: a tensor's address is the start of ``buffers[name]``, plus
    ``offsets[name]`` in the arena. A node whose name is in ``views`` needs no code, because its
    output is its first input's bytes. Every other node writes its output by its kernel, also a
    reshape that moves no bytes within a row: that happens only from one of the caller's buffers to
    another. The output may have the address of an input for the operations that allow it
    (``Op.in_place``), and only then: see ``sharing``. The caller's buffers must not overlap. Behind
    the last node the tensors of ``copies`` are copied to the states.

    Attributes:
        arena_bytes: Size of the arena, a multiple of 4.
        offsets: Byte offset, a multiple of 4, of each tensor that lives in the arena.
        buffers: ``"arena"``, ``STATE`` or the label of an input or output (`label_ports`), which a
            graph of one has as ``"input"`` and ``"output"``, for each activation.
        lifetimes: First and last node index, inclusive, at which each activation is needed.
        sizes: Packed bytes of each activation.
        views: Names of the nodes that need no code.
        sharing: For an output that took over an input's bytes, in place or as a view: the input.
        live_bytes: Arena bytes in use at each node, sizes rounded up to the alignment.
        peak_node: Name of the first node at which most arena bytes are in use.
        scratch: Byte offset in the arena and bytes of what a node's kernel needs while it runs.
        lower_bound: No plan needs fewer arena bytes than this.
        proven: Whether ``arena_bytes`` equals ``lower_bound``, so that no plan is better.
        state_bytes: Size of the state's memory, a multiple of 4.
        held: Byte offset, a multiple of 4, of each tensor that lives in the state's memory.
        copies: States, and the next values that live elsewhere.
    """

    arena_bytes: int
    offsets: Mapping[str, int]
    buffers: Mapping[str, str]
    lifetimes: Mapping[str, tuple[int, int]]
    sizes: Mapping[str, int]
    views: frozenset[str]
    sharing: Mapping[str, str]
    live_bytes: tuple[int, ...]
    peak_node: str
    lower_bound: int
    proven: bool
    scratch: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    state_bytes: int = 0
    held: Mapping[str, int] = field(default_factory=dict)
    copies: tuple[tuple[str, str], ...] = ()

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

    Raises:
        ModelError: An output is not computed by a node, so there is nothing to run.
    """
    if not {*graph.outputs} <= {node.output for node in graph.nodes}:
        raise ModelError("the graph computes nothing", where=graph.name)
    deadline = time.monotonic() + time_limit_s
    layout = lay_out(graph, scratch or {}, in_place or {})
    choices = _list_chains(layout.written, layout.takeovers)
    candidates = []
    for chains in itertools.islice(choices, _MOST_CHAINS):
        given = _find_given(layout, chains)
        inside = [index for index in layout.inside if index not in given]
        blocks, takeovers = _select(layout, inside)
        placement = place(blocks, takeovers, deadline - time.monotonic())
        candidates.append((given, inside, placement))
    given, inside, placement = min(candidates, key=lambda found: found[2].arena_bytes)
    # A chain that was not tried could need as little as nothing.
    complete = next(choices, None) is None
    bound = min(found[2].lower_bound for found in candidates) if complete else 0
    places = {index: (label, 0) for index, label in given.items()}
    places.update((index, (STATE, offset)) for index, offset in layout.held.items())
    places.update(
        (index, (ARENA, offset)) for index, offset in zip(inside, placement.offsets, strict=True)
    )
    return _describe(graph, layout, places, placement.arena_bytes, bound)


def measure_needs(
    graph: Graph, scratch: Mapping[str, int], in_place: Mapping[str, tuple[int, ...]]
) -> tuple[int, ...]:
    """Bytes of the arena that each node needs at least, however the rest of the graph is placed.

    What a node's kernel asks for changes its own need alone, so that kernels can be compared
    before one is chosen. The arguments are those of `plan`.
    """
    layout = lay_out(graph, scratch, in_place)
    given = _find_given(layout, next(_list_chains(layout.written, layout.takeovers)))
    inside = [index for index in layout.inside if index not in given]
    blocks, takeovers = _select(layout, inside)
    live = live_bytes(blocks, {new for _, new in takeovers})
    return (*live, *[0] * (len(graph.nodes) - len(live)))


def _find_given(layout: Layout, chains: Mapping[int, int]) -> dict[int, str]:
    """Labels of the caller's buffers by the blocks that live in them."""
    inputs = {index: label for index, label in layout.given.items() if index not in layout.written}
    return {**inputs, **{index: layout.given[output] for index, output in chains.items()}}


def _list_chains(outputs: Sequence[int], takeovers: Takeovers) -> Iterator[dict[int, int]]:
    """Blocks that can live in the outputs' buffers, with the output whose buffer it is.

    No block can live in two of them: the one node that takes it over says in which.
    """
    if not outputs:
        yield {}
        return
    for chain in _list_output_chains(outputs[0], takeovers):
        for others in _list_chains(outputs[1:], takeovers):
            yield {**dict.fromkeys(chain, outputs[0]), **others}


def _list_output_chains(output: int, takeovers: Takeovers) -> Iterator[frozenset[int]]:
    """Sets of blocks that can live in one output's buffer: each takes over the one before.

    A block outside the arena costs nothing, so only chains that cannot grow are listed.
    """
    sources = sorted(old for old, new in takeovers if new == output)
    if not sources:
        yield frozenset({output})
    for source in sources:
        for chain in _list_output_chains(source, takeovers):
            yield chain | {output}


def _select(layout: Layout, kept: Sequence[int]) -> tuple[list[Block], Takeovers]:
    """The blocks ``kept`` alone, and their takeovers by their new indexes."""
    renumbered = {index: position for position, index in enumerate(kept)}
    pairs = frozenset(
        (renumbered[old], renumbered[new])
        for old, new in layout.takeovers
        if old in renumbered and new in renumbered
    )
    return [layout.blocks[index] for index in kept], pairs


def _describe(
    graph: Graph,
    layout: Layout,
    places: Mapping[int, tuple[str, int]],
    arena_bytes: int,
    lower_bound: int,
) -> MemoryPlan:
    place_of = {name: places[index] for name, index in layout.block_of.items()}
    sharing = _find_sharing(graph, layout, places)
    held = {name: offset for name, (buffer, offset) in place_of.items() if buffer == STATE}
    taken = {layout.block_of[new] for new in sharing if new not in _view_outputs(graph, layout)}
    inside = [index for index, (buffer, _) in sorted(places.items()) if buffer == ARENA]
    blocks = [layout.blocks[index] for index in inside]
    live = live_bytes(blocks, [inside.index(index) for index in taken if index in inside])
    live += [0] * (len(graph.nodes) - len(live))
    return MemoryPlan(
        arena_bytes=arena_bytes,
        offsets=MappingProxyType(
            {name: offset for name, (buffer, offset) in place_of.items() if buffer == ARENA}
        ),
        buffers=MappingProxyType({name: buffer for name, (buffer, _) in place_of.items()}),
        lifetimes=MappingProxyType(dict(layout.lifetimes)),
        sizes=MappingProxyType(
            {name: graph.tensors[name].type.packed_bytes for name in layout.block_of}
        ),
        views=layout.views,
        sharing=MappingProxyType(sharing),
        live_bytes=tuple(live),
        peak_node=graph.nodes[live.index(max(live))].name,
        lower_bound=lower_bound,
        proven=arena_bytes == lower_bound,
        scratch=MappingProxyType(
            {
                name: (places[index][1], layout.blocks[index].size)
                for name, index in layout.scratch_of.items()
            }
        ),
        state_bytes=measure_states(graph),
        held=MappingProxyType(held),
        copies=tuple(
            (it.name, it.next) for it in graph.states if held.get(it.next) != held[it.name]
        ),
    )


def _view_outputs(graph: Graph, layout: Layout) -> set[str]:
    return {node.output for node in graph.nodes if node.name in layout.views}


def _find_sharing(
    graph: Graph, layout: Layout, places: Mapping[int, tuple[str, int]]
) -> dict[str, str]:
    """Output that took over an input's bytes -> that input."""
    sharing = {}
    for node in graph.nodes:
        if node.name in layout.views:
            sharing[node.output] = node.inputs[0]
            continue
        new = layout.block_of[node.output]
        for source in list_overwritable(graph, node, layout.reusable[node.name]):
            old = layout.block_of.get(source, new)
            if old != new and places[old] == places[new]:
                sharing[node.output] = source
    return sharing
