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
from tinyq.graph.reference import run_named
from tinyq.memory.placement import Block, Sharing, bound_arena, overlap, place
from tinyq.memory.planner import MemoryPlan, plan
from tinyq.memory.states import ALIGNMENT


@st.composite
def problems(draw: st.DrawFn, most: int = 5) -> tuple[list[Block], Sharing]:
    """Blocks as a graph could have them, one written per node, with takeovers and leads."""
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
        if blocks[old].last == blocks[new].first
    ]
    same = [pair for pair in legal if blocks[pair[0]].size == blocks[pair[1]].size]
    leads = {
        pair: ALIGNMENT * draw(st.integers(-5, 6)) for pair in legal if draw(st.integers(0, 2)) == 0
    }
    return blocks, Sharing(frozenset(pair for pair in same if draw(st.booleans())), leads)


def can_place(blocks: list[Block], sharing: Sharing, arena: int) -> bool:
    """Whether any choice of offsets at all fits, by trying every one."""

    def extend(offsets: list[int]) -> bool:
        if len(offsets) == len(blocks):
            return True
        block = blocks[len(offsets)]
        return any(
            not overlap(blocks[: len(offsets) + 1], sharing, [*offsets, offset])
            and extend([*offsets, offset])
            for offset in range(0, arena - block.size + 1, ALIGNMENT)
        )

    return extend([])


@given(problems())
@settings(max_examples=examples(150))
def test_no_offsets_at_all_need_less_than_the_placement(problem):
    blocks, sharing = problem
    found = place(blocks, sharing, 20.0)
    assert not overlap(blocks, sharing, found.offsets)
    assert found.arena_bytes == found.lower_bound
    assert can_place(blocks, sharing, found.arena_bytes)
    assert not can_place(blocks, sharing, found.arena_bytes - ALIGNMENT)


@given(problems(most=9), st.sampled_from((0.0, 5.0)))
@settings(max_examples=examples(100))
def test_the_bounds_hold_with_and_without_time(problem, time_limit):
    blocks, sharing = problem
    found = place(blocks, sharing, time_limit)
    assert not overlap(blocks, sharing, found.offsets)
    ends = [offset + block.size for offset, block in zip(found.offsets, blocks, strict=True)]
    assert found.arena_bytes == max(ends)
    assert bound_arena(blocks, sharing) <= found.lower_bound <= found.arena_bytes
    assert place(blocks, sharing, 20.0).arena_bytes >= found.lower_bound


@dataclass(frozen=True, slots=True)
class Needs:
    """What specialized kernels ask of the plan beside their operands."""

    scratch: dict[str, int]
    in_place: dict[str, tuple[int, ...]]
    leads: dict[str, dict[int, int]]

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
    leads = {
        node.name: {
            position: draw(st.sampled_from((-64, -7, 0, 3, 8, 40, 10_000)))
            for position in node.op.batched
            if not graph.tensors[node.inputs[position]].is_constant and draw(st.booleans())
        }
        for node in graph.nodes
    }
    return graph, Needs({name: size for name, size in wanted.items() if size}, in_place, leads)


def plan_with(graph: Graph, needs: Needs) -> MemoryPlan:
    return plan(graph, 5.0, needs.scratch, needs.in_place, needs.leads)


@given(planned_graphs())
@settings(max_examples=examples(200))
def test_every_activation_has_one_place(drawn):
    graph, needs = drawn
    planned = plan_with(graph, needs)
    activations = {name for name, tensor in graph.tensors.items() if not tensor.is_constant}
    assert set(planned.offsets) == set(planned.sizes) == set(planned.lifetimes) == activations
    assert planned.arena_bytes % ALIGNMENT == 0
    for name, offset in planned.offsets.items():
        assert offset % ALIGNMENT == 0
        assert 0 <= offset <= planned.arena_bytes - planned.sizes[name]
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
    arena = rng.integers(0, 256, planned.arena_bytes, np.uint8)

    def view(name: str) -> np.ndarray:
        offset = planned.offsets[name]
        return arena[offset : offset + planned.sizes[name]]

    def read(name: str) -> np.ndarray:
        tensor = graph.tensors[name]
        if tensor.codes is not None:
            return tensor.codes
        shape = tensor.type.shape
        packed = view(name).reshape(*shape[:-1], -1)
        return tensor.type.format.unpack(packed, shape[-1])[None]

    for name in graph.inputs:
        view(name)[:] = graph.tensors[name].type.format.pack(inputs[name][0]).reshape(-1)
    for index, node in enumerate(graph.nodes):
        output = graph.tensors[node.output].type
        spoil(rng, arena, planned, node)
        if node.name not in planned.views:
            operands = [
                read(name)[None] if is_data(graph, node, position) else read(name)
                for position, name in enumerate(node.inputs)
            ]
            codes = node.op.run(*operands)[0]
            view(node.output)[:] = output.format.pack(codes).reshape(-1)
        spoil(rng, arena, planned, node)
        owned = np.zeros(planned.arena_bytes, bool)
        for name, offset in planned.offsets.items():
            first, last = planned.lifetimes[name]
            if (first <= index or name in graph.inputs) and (last > index or name in graph.outputs):
                owned[offset : offset + planned.sizes[name]] = True
        noise = rng.integers(0, 256, planned.arena_bytes, np.uint8)
        arena[~owned] = noise[~owned]
    assert all((read(name) == codes).all() for name, codes in run_named(graph, inputs).items())


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
    for node in graph.nodes:
        begin = planned.offsets[node.output]
        end = begin + planned.sizes[node.output]
        over = {
            name
            for name in node.inputs
            if name in planned.offsets
            and node.name not in planned.views
            and planned.offsets[name] < end
            and begin < planned.offsets[name] + planned.sizes[name]
        }
        output = graph.tensors[node.output].type
        behind = set(planned.overlaps.get(node.output, ()))
        for name in behind:
            assert planned.offsets[name] - begin >= needs.leads[node.name][node.inputs.index(name)]
        for name in over - behind:
            taken = graph.tensors[name].type
            assert name in needs.reusable(node)
            assert (taken.format, taken.packed_bytes) == (output.format, output.packed_bytes)
            assert planned.offsets[name] == begin
        # Two names of the same bytes are both written over; one of them is told.
        assert over <= behind or planned.sharing[node.output] in over
        if node.name in planned.views:
            assert planned.offsets[node.inputs[0]] == begin
            assert planned.sharing[node.output] == node.inputs[0]
