"""The memory plan: no overlap, alignment, optimality against brute force, bounds."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.random_graphs import draw_all_inputs, graphs, networks
from tinyq.graph import Graph, Node
from tinyq.graph.interface import label_ports
from tinyq.graph.reference import run_named
from tinyq.memory.placement import Block, Takeovers, bound_arena, overlap, place
from tinyq.memory.planner import MemoryPlan, plan
from tinyq.memory.rooms import find_rooms
from tinyq.memory.states import ALIGNMENT


@st.composite
def problems(draw: st.DrawFn, most: int = 5) -> tuple[list[Block], Takeovers]:
    """Blocks as a graph could have them, one written per node, and every legal takeover."""
    count = draw(st.integers(1, most))
    blocks = [
        Block(
            ALIGNMENT * draw(st.integers(1, 4)),
            first,
            draw(st.integers(first, min(first + 3, count))),
        )
        for first in range(count)
    ]
    legal = [
        (old, new)
        for old, new in itertools.permutations(range(count), 2)
        if blocks[old].last == blocks[new].first and blocks[old].size == blocks[new].size
    ]
    return blocks, frozenset(pair for pair in legal if draw(st.booleans()))


def can_place(blocks: list[Block], takeovers: Takeovers, arena: int) -> bool:
    """Whether any choice of offsets at all fits, by trying every one."""

    def extend(offsets: list[int]) -> bool:
        if len(offsets) == len(blocks):
            return True
        block = blocks[len(offsets)]
        return any(
            not overlap(blocks[: len(offsets) + 1], takeovers, [*offsets, offset])
            and extend([*offsets, offset])
            for offset in range(0, arena - block.size + 1, ALIGNMENT)
        )

    return extend([])


@given(problems())
@settings(max_examples=examples(150))
def test_no_offsets_at_all_need_less_than_the_placement(problem):
    blocks, takeovers = problem
    found = place(blocks, takeovers, 20.0)
    assert not overlap(blocks, takeovers, found.offsets)
    assert found.arena_bytes == found.lower_bound
    assert can_place(blocks, takeovers, found.arena_bytes)
    assert not can_place(blocks, takeovers, found.arena_bytes - ALIGNMENT)


@given(problems(most=9), st.sampled_from((0.0, 5.0)))
@settings(max_examples=examples(100))
def test_the_bounds_hold_with_and_without_time(problem, time_limit):
    blocks, takeovers = problem
    found = place(blocks, takeovers, time_limit)
    assert not overlap(blocks, takeovers, found.offsets)
    ends = [offset + block.size for offset, block in zip(found.offsets, blocks, strict=True)]
    assert found.arena_bytes == max(ends)
    assert bound_arena(blocks, takeovers) <= found.lower_bound <= found.arena_bytes
    assert place(blocks, takeovers, 20.0).arena_bytes >= found.lower_bound


@dataclass(frozen=True, slots=True)
class Needs:
    """What specialized kernels ask of the plan beside their operands."""

    scratch: dict[str, int]
    in_place: dict[str, tuple[int, ...]]

    def reusable(self, node: Node) -> set[str]:
        """Inputs that a node's kernel may write over."""
        positions = (*node.op.in_place, *self.in_place.get(node.name, ()))
        return {node.inputs[position] for position in positions}


@st.composite
def planned_graphs(draw: st.DrawFn) -> tuple[Graph, Needs]:
    """Graphs whose kernels want scratch memory, of odd sizes too, and work in place."""
    graph = draw(st.one_of(graphs(), networks()))
    wanted = {node.name: draw(st.sampled_from((0, 0, 1, 3, 4, 6, 17, 64))) for node in graph.nodes}
    in_place = {
        node.name: tuple(position for position in node.op.batched if draw(st.booleans()))
        for node in graph.nodes
    }
    return graph, Needs({name: size for name, size in wanted.items() if size}, in_place)


def plan_with(graph: Graph, needs: Needs) -> MemoryPlan:
    return plan(graph, 5.0, needs.scratch, needs.in_place)


def addresses(graph: Graph, planned: MemoryPlan) -> dict[str, tuple[str, int]]:
    return {name: (where, planned.offsets.get(name, 0)) for name, where in planned.buffers.items()}


@given(planned_graphs())
@settings(max_examples=examples(200))
def test_every_activation_has_one_place(drawn):
    graph, needs = drawn
    planned = plan_with(graph, needs)
    activations = {name for name, tensor in graph.tensors.items() if not tensor.is_constant}
    assert set(planned.buffers) == set(planned.sizes) == set(planned.lifetimes) == activations
    arena = {name for name, where in planned.buffers.items() if where == "arena"}
    assert set(planned.offsets) == arena
    labels = label_ports(graph)
    assert {name: planned.buffers[name] for name in labels} == labels
    if len(graph.inputs) == len(graph.outputs) == 1:
        assert [*labels.values()] == ["input", "output"]
    assert planned.arena_bytes % ALIGNMENT == 0
    for name, offset in planned.offsets.items():
        assert offset % ALIGNMENT == 0
        assert 0 <= offset <= planned.arena_bytes - planned.sizes[name]
    owners = {label: name for name, label in labels.items()}
    for name, where in planned.buffers.items():
        if where != "arena":
            assert planned.sizes[name] == graph.tensors[owners[where]].type.packed_bytes
    assert set(planned.scratch) == set(needs.scratch)
    for name, (offset, size) in planned.scratch.items():
        assert offset % ALIGNMENT == 0
        assert needs.scratch[name] <= size
        assert 0 <= offset <= planned.arena_bytes - size
    assert planned.lower_bound <= planned.arena_bytes
    assert planned.proven == (planned.lower_bound == planned.arena_bytes)
    peak = [node.name for node in graph.nodes].index(planned.peak_node)
    assert planned.live_bytes[peak] == max(planned.live_bytes) <= planned.arena_bytes


@given(planned_graphs(), st.integers(0, 2**32 - 1))
@settings(max_examples=examples(300))
def test_a_run_inside_the_planned_bytes_equals_the_reference(drawn, seed):
    """Executes the plan on real buffers, so that a byte written too early changes the result.

    The kernel's rule is imitated: an operation reads all of its inputs from memory, then writes;
    its scratch memory is filled with noise before and after. Bytes that belong to nobody are
    filled with noise after every node.
    """
    graph, needs = drawn
    rng = np.random.default_rng(seed)
    planned = plan_with(graph, needs)
    inputs = draw_all_inputs(rng, graph, 1)
    labels = label_ports(graph)
    places = addresses(graph, planned)
    memory = fill_memory(rng, graph, planned, inputs)

    def view(name: str) -> np.ndarray:
        where, offset = places[name]
        return memory[where][offset : offset + planned.sizes[name]]

    def read(name: str) -> np.ndarray:
        tensor = graph.tensors[name]
        if tensor.codes is not None:
            return tensor.codes
        shape = tensor.type.shape
        packed = view(name).reshape(*shape[:-1], -1)
        return tensor.type.format.unpack(packed, shape[-1])[None]

    original = {name: memory[labels[name]].copy() for name in graph.inputs}
    for index, node in enumerate(graph.nodes):
        output = graph.tensors[node.output].type
        spoil(rng, memory["arena"], planned, node)
        if node.name not in planned.views:
            operands = [
                read(name)[None] if is_data(graph, node, position) else read(name)
                for position, name in enumerate(node.inputs)
            ]
            codes = node.op.run(*operands)[0]
            view(node.output)[:] = output.format.pack(codes).reshape(-1)
        spoil(rng, memory["arena"], planned, node)
        owned = np.zeros(planned.arena_bytes, bool)
        for name, offset in planned.offsets.items():
            first, last = planned.lifetimes[name]
            if first <= index and (last > index or name in graph.outputs):
                owned[offset : offset + planned.sizes[name]] = True
        noise = rng.integers(0, 256, planned.arena_bytes, np.uint8)
        memory["arena"][~owned] = noise[~owned]
    assert all((memory[labels[name]] == codes).all() for name, codes in original.items())
    assert all((read(name) == codes).all() for name, codes in run_named(graph, inputs).items())


def fill_memory(
    rng: np.random.Generator, graph: Graph, planned: MemoryPlan, inputs: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Bytes of every buffer: of inputs the first sample, of all others noise."""
    labels = label_ports(graph)
    memory = {"arena": rng.integers(0, 256, planned.arena_bytes, np.uint8)}
    for name in graph.inputs:
        packed = graph.tensors[name].type.format.pack(inputs[name][0])
        memory[labels[name]] = packed.reshape(-1).copy()
    for name in graph.outputs:
        size = graph.tensors[name].type.packed_bytes
        memory[labels[name]] = rng.integers(0, 256, size, np.uint8)
    return memory


def is_data(graph: Graph, node: Node, position: int) -> bool:
    """Whether an operand is a constant in the place of data, without the axis of the batch."""
    return graph.tensors[node.inputs[position]].is_constant and position in node.op.batched


def spoil(rng: np.random.Generator, arena: np.ndarray, planned: MemoryPlan, node: Node) -> None:
    """Noise in the scratch memory of a node."""
    offset, size = planned.scratch.get(node.name, (0, 0))
    arena[offset : offset + size] = rng.integers(0, 256, size, np.uint8)


@given(planned_graphs())
@settings(max_examples=examples(300))
def test_an_output_has_its_inputs_address_only_where_that_is_legal(drawn):
    graph, needs = drawn
    planned = plan_with(graph, needs)
    places = addresses(graph, planned)
    for node in graph.nodes:
        activations = [name for name in node.inputs if name in places]
        written_over = {
            name
            for name in activations
            if touches(planned, places, name, node.output) and node.name not in planned.views
        }
        output = graph.tensors[node.output].type
        assert written_over <= needs.reusable(node)
        for name in written_over:
            taken = graph.tensors[name].type
            assert (taken.format, taken.packed_bytes) == (output.format, output.packed_bytes)
        assert all(places[name] == places[node.output] for name in written_over)
        # Two names of the same bytes are both written over; one of them is told.
        assert not written_over or planned.sharing[node.output] in written_over
        if node.name in planned.views:
            assert places[node.inputs[0]] == places[node.output]
            assert planned.sharing[node.output] == node.inputs[0]


def touches(planned: MemoryPlan, places: dict[str, tuple[str, int]], one: str, two: str) -> bool:
    (where, begin), (other, start) = places[one], places[two]
    return (
        where == other and begin < start + planned.sizes[two] and start < begin + planned.sizes[one]
    )


@given(networks(), st.integers(0, 400))
@settings(max_examples=examples(100))
def test_rooms_for_copies_are_free_while_they_are_needed(graph, scratch):
    needs = {node.name: scratch for node in graph.nodes[::2]}
    found = plan(graph, scratch=needs)
    places = {node.name: place for place, node in enumerate(graph.nodes)}
    used = [
        (found.offsets[name], found.sizes[name], *found.lifetimes[name]) for name in found.offsets
    ]
    used += [(*found.scratch[name], places[name], places[name]) for name in found.scratch]
    rooms = find_rooms(graph, found)
    assert set(rooms) == set(found.buffers.values()) - {"arena"}
    for label, room in rooms.items():
        inside = [name for name, buffer in found.buffers.items() if buffer == label]
        size = max(found.sizes[name] for name in inside)
        first = min(found.lifetimes[name][0] for name in inside)
        last = max(found.lifetimes[name][1] for name in inside)
        fits = [
            offset
            for offset in range(0, found.arena_bytes - size + 1, ALIGNMENT)
            if all(
                offset + size <= begin or begin + length <= offset or end < first or last < start
                for begin, length, start, end in used
            )
        ]
        assert room == (fits[0] if fits else None)
        if room is not None:
            used.append((room, size, first, last))
