"""Chains of layers by rows: what is read was written, and the generated C equals the reference."""

from __future__ import annotations

import os
from collections import Counter

import numpy as np
import pytest

from tests.harness import SANITIZE, SanitizerError, compile_models, differences
from tests.random_graphs import draw_inputs
from tests.row_graphs import draw_chains, draw_rows
from tinyq.codegen import emit
from tinyq.codegen.rows import find_repetition
from tinyq.memory.layout import lay_out
from tinyq.memory.placement import overlap
from tinyq.memory.planner import plan
from tinyq.memory.rows import (
    COMPUTE,
    COPY,
    FILL,
    MOVE,
    Chain,
    Member,
    find_readings,
    fold,
    fold_scratch,
)
from tinyq.selection import GENERIC, plan_kernels, select_kernel, select_kernels

GRAPHS = int(os.environ.get("TINYQ_FUZZ_GRAPHS", "24"))
PADDING, NEVER = -1, 1 << 40


def draw(seed: int, index: int, salt: int):
    """A network with chains."""
    rng = np.random.default_rng((seed, index, salt))
    while True:
        graph = draw_rows(rng, f"model_{index}")
        chains = draw_chains(rng, graph)
        if chains:
            return rng, graph, chains


class Memory:
    """Rings as lists of the rows that lie in them, moved as the generated C moves bytes."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.rows = {name: [None] * ring.rows for name, ring in chain.rings.items()}
        self.end = dict.fromkeys(chain.rings, 0)
        self.made: Counter[str] = Counter()
        self.at = {
            (member.node.name, place): read.first
            for member in chain.members
            for place, read in member.reads.items()
        }

    def write(self, tensor: str, rows: list[int]) -> None:
        ring = self.rows[tensor]
        assert self.end[tensor] + len(rows) <= len(ring), "a ring overflows"
        ring[self.end[tensor] : self.end[tensor] + len(rows)] = rows
        self.end[tensor] += len(rows)

    def move(self, tensor: str) -> None:
        readers = [
            (member.node.name, place)
            for member in self.chain.members
            for place, read in member.reads.items()
            if read.tensor == tensor
        ]
        first = min(self.at[reader] for reader in readers)
        kept = self.rows[tensor][first : self.end[tensor]]
        self.rows[tensor] = kept + [None] * (len(self.rows[tensor]) - len(kept))
        self.end[tensor] -= first
        for reader in readers:
            self.at[reader] -= first

    def compute(self, graph, member: Member, read: dict[str, int]) -> None:
        """Look at the rows that a layer reads; note the first byte of each whole tensor."""
        name, row = member.node.name, self.made[member.node.name]
        readings = find_readings(graph, member.node)
        for place, it in member.reads.items():
            reading, at = readings[place], self.at[name, place]
            first = row * reading.scale - reading.before
            height = graph.tensors[it.tensor].type.shape[0]
            wanted = [*range(first, first + reading.count(member.rows))]
            if it.tensor in self.chain.rings:
                found = self.rows[it.tensor][at : at + len(wanted)]
                assert found == [r if 0 <= r < height else PADDING for r in wanted]
            else:
                assert at == first
                assert wanted[-1] < height
                read[it.tensor] = min(read.get(it.tensor, NEVER), at * it.row_bytes)
            self.at[name, place] += it.step
        if member.node.output in self.chain.rings:
            self.write(member.node.output, [*range(row, row + member.rows)])
        self.made[name] += member.rows


def follow(graph, chain: Chain) -> dict[str, int]:
    """Go through the order of a chain; leads of its inputs as they turn out."""
    memory = Memory(chain)
    members = {member.node.name: member for member in chain.members}
    needed: dict[str, list[int]] = {name: [] for name in chain.inputs}
    ends: list[int] = []
    for number in chain.order:
        action = chain.actions[number]
        name = action.name
        read: dict[str, int] = {}
        if action.kind == MOVE:
            memory.move(name)
        elif action.kind == FILL:
            memory.write(name, [PADDING])
        elif action.kind == COPY:
            first, count = memory.made[name], chain.rings[name].copied
            memory.write(name, [*range(first, first + count)])
            read[name] = first * chain.rings[name].row_bytes
            memory.made[name] += count
        else:
            assert action.kind == COMPUTE
            memory.compute(graph, members[name], read)
        if action.kind == COMPUTE and name == chain.members[-1].node.name:
            kind = graph.tensors[chain.output].type
            ends.append(memory.made[name] * kind.packed_bytes // kind.shape[0])
        else:
            ends.append(ends[-1] if ends else 0)
        for tensor, byte in needed.items():
            byte.append(read.get(tensor, NEVER))
    assert all(memory.made[it.node.name] <= it.rows * it.calls for it in chain.members)
    last = chain.members[-1]
    assert memory.made[last.node.name] == last.rows * last.calls
    # An input's byte that action e or a later one reads must not be written up to e.
    leads = {}
    for tensor, byte in needed.items():
        later = np.minimum.accumulate(np.array(byte)[::-1])[::-1]
        pairs = zip(ends, later, strict=True)
        leads[tensor] = max(end - int(first) for end, first in pairs if end)
    return leads


def test_rows_are_what_they_should_be_and_outputs_never_pass_inputs(seed):
    kinds: Counter[str] = Counter()
    for index in range(3 * GRAPHS):
        _, graph, chains = draw(seed, index, 1)
        for chain in chains:
            found = follow(graph, chain)
            for place, name in enumerate(chain.inputs):
                assert found[name] <= chain.leads[place]
            kinds.update(action.kind for action in chain.actions)
            reads = Counter(it.tensor for own in chain.members for it in own.reads.values())
            kinds["two readers"] += any(reads[name] > 1 for name in chain.rings)
            first, last, again = find_repetition(chain.order)
            part = chain.order[first : last + 1]
            assert chain.order[first : last + 1 + again * len(part)] == part * (again + 1)
    assert min(kinds[kind] for kind in (COMPUTE, FILL, COPY, MOVE, "two readers")) > 1, kinds


def test_no_two_tensors_that_live_together_overlap(seed):
    for index in range(GRAPHS):
        _, graph, chains = draw(seed, index, 2)
        planned = plan(graph, chains=chains)
        folded = fold(graph, chains)
        leads = {chain.name: chain.leads for chain in chains}
        layout = lay_out(folded, fold_scratch(chains, {}), {}, leads)
        blocks, sharing = layout.select_inside()
        rooms = {index: planned.rooms[name] for name, index in layout.scratch_of.items()}
        places = {layout.block_of[name]: offset for name, offset in planned.offsets.items()}
        offsets = [{**places, **rooms}[block] for block in layout.inside]
        assert not overlap(blocks, sharing, offsets)
        assert planned.arena_bytes >= planned.lower_bound
        inner = {node.output for chain in chains for node in chain.nodes[:-1]}
        assert inner.isdisjoint(planned.offsets)
        assert len(planned.live_bytes) == len(graph.nodes)


@pytest.mark.slow
@pytest.mark.requires("gcc")
def test_generated_c_equals_the_reference(seed):
    cases = [draw(seed, index, 3) for index in range(GRAPHS)]
    trees = []
    for _, graph, chains in cases:
        bounds = dict(select_kernels(graph))
        for member in (it for chain in chains for it in chain.members):
            bounds[member.node.name] = select_kernel(member.graph, member.graph.nodes[0], GENERIC)
        trees.append(emit(graph, plan_kernels(graph, bounds, chains), bounds))
    wrong = []
    for (rng, graph, chains), program in zip(
        cases, compile_models(trees, "gcc", SANITIZE), strict=True
    ):
        try:
            found: int | str = differences(graph, program, draw_inputs(rng, graph))
        except SanitizerError as error:
            found = str(error)[:2000]
        if found:
            wrong.append(f"{graph.name} {[chain.name for chain in chains]}: {found}")
    assert not wrong, "\n".join(wrong)
