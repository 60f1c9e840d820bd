"""Which layers are computed row by row: the path through the network that fits the arena.

Every layer is computed alone or in a chain, so a way to compute the network is a path from its
first node to behind the last, whose steps are nodes and chains. A step has *options*: kernels that
need so many bytes of the arena and take so many instructions. For a size of the arena the path with
the fewest instructions is the best, and the smaller the arena, the more it takes. Where kernels are
chosen for RAM, the arena is made as small as it can be with ``MOST`` times the instructions of the
network without chains; else chains come in where that does not fit the board, or what its user
allows, and only those that make it fit.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from tinyq.errors import TinyqError
from tinyq.graph import Graph
from tinyq.kernels.base import Bound
from tinyq.memory.layout import Layout, lay_out
from tinyq.memory.rows import Chain, find_readings, list_granules, make_chain
from tinyq.selection.budget import Budget
from tinyq.selection.candidates import (
    Bounds,
    Candidates,
    gather_candidates,
    list_fitting,
    measure_kernels,
)
from tinyq.selection.choice import RAM, Choice, choose_kernels

MOST = 1.3
"""Times the instructions without chains that the smallest arena may take."""

_LONGEST = 24  # layers of a chain
_ROWS = (1, 2, 4)  # that a layer computes at a time, or as many more as its rows divide into
# Instructions for a byte that is moved within a ring, and for going on in the order of a chain.
_PER_BYTE, _PER_ACTION = 0.8, 20

Tune = Callable[[Graph, Candidates], Candidates]
"""Puts counts in the place of the candidates' estimates."""


@dataclass(frozen=True, slots=True)
class Fusion:
    """How layers of chains are computed.

    Attributes:
        isas: Instruction sets whose kernels may be used, best first.
        tune: Puts counts in the place of estimates.
        eager: Whether the objective ``ram`` takes chains where all fits without.
        paged: Whether the constants of one layer at a time lie in RAM, and of a chain's all.
    """

    isas: Sequence[str]
    tune: Tune | None = None
    eager: bool = True
    paged: bool = False


def fuse_layers(
    graph: Graph,
    candidates: Candidates,
    objective: str,
    budget: Budget,
    fusion: Fusion,
) -> Choice:
    """The best choice by an objective, with chains where they are needed.

    Args:
        graph: A simplified graph.
        candidates: What can compute each of its nodes.
        objective: One of `tinyq.selection.OBJECTIVES`.
        budget: What the choice may take.
        fusion: How layers of chains are computed.

    Raises:
        TinyqError: There is no such objective.
    """
    base = choose_kernels(graph, candidates, objective, budget)
    smallest = fusion.eager and objective == RAM
    limit = 0 if smallest else budget.arena_bytes
    # Kernels that fit may be slow ones: chains are an alternative wherever the limit is felt.
    free = choose_kernels(graph, candidates, objective, replace(budget, ram_bytes=0))
    arena = measure_arena(graph, free.bounds)
    unknown = any(it.instructions is None for found in candidates.values() for it in found)
    if unknown or (not smallest and not 0 < limit < arena):
        return base
    ways = _Ways(graph, candidates, fusion)
    chains = ways.find_chains(limit, arena)
    if not chains:
        return base
    return _choose_better(base, graph, chains, budget, fusion)


def measure_arena(graph: Graph, bounds: Bounds, chains: Sequence[Chain] = ()) -> int:
    """The most bytes of the arena that any node needs with these kernels."""
    return max(measure_kernels(graph, bounds, chains))


def gather_chained(
    candidates: Candidates, chains: Sequence[Chain], isas: Sequence[str], tune: Tune | None = None
) -> Candidates:
    """Candidates with those of some rows for the layers of chains, as all rows take of them.

    Raises:
        TinyqError: A layer has no kernel for some rows.
    """
    found = dict(candidates)
    for chain in chains:
        for member in chain.members:
            own = gather_candidates(member.graph, isas)
            own = tune(member.graph, own) if tune else own
            ring = chain.rings.get(member.node.output)
            beside = round(_PER_BYTE * ring.moved_bytes) if ring else 0
            beside += _PER_ACTION * member.calls
            name = member.node.name
            found[name] = tuple(_repeat(it, member.calls, beside) for it in own[name])
    return MappingProxyType(found)


def _repeat(bound: Bound, calls: int, beside: int) -> Bound:
    """A kernel that is called so often, with instructions beside it."""
    instructions = None if bound.instructions is None else bound.instructions * calls + beside
    cycles = None if bound.cycles is None else bound.cycles * calls + beside
    return replace(bound, instructions=instructions, cycles=cycles)


def _choose_better(
    base: Choice,
    graph: Graph,
    chains: Sequence[Chain],
    budget: Budget,
    fusion: Fusion,
) -> Choice:
    """The choice with chains, or that without: the smaller arena, or the faster of two that fit."""
    taken = gather_chained(base.candidates, chains, fusion.isas, fusion.tune)
    most = round(MOST * base.cycles)
    if base.objective == RAM:
        budget = replace(budget, cycles=min(budget.cycles, most) if budget.cycles else most)
    choice = choose_kernels(graph, taken, base.objective, budget, chains)
    fitting = 0 if base.objective == RAM and fusion.eager else budget.arena_bytes
    return min(base, choice, key=lambda it: _rank(graph, it, fitting))


def _rank(graph: Graph, choice: Choice, fitting: int) -> tuple[int, int]:
    """Bytes above an arena that fits, then instructions or cycles."""
    arena = measure_arena(graph, choice.bounds, choice.chains)
    return max(arena, fitting), choice.cycles


@dataclass(frozen=True, slots=True)
class _Step:
    """A node or a chain on the path.

    Attributes:
        first: Index of its first node.
        end: Index behind its last.
        options: Bytes of the arena and instructions, fewer of these with each.
        rows: At a time, of each layer of a chain; empty for a node alone.
    """

    first: int
    end: int
    options: tuple[tuple[int, int], ...]
    rows: tuple[int, ...] = ()

    def price(self, arena: int) -> float:
        """Fewest instructions within an arena."""
        return min((cost for need, cost in self.options if need <= arena), default=math.inf)


@dataclass(slots=True)
class _Ways:
    """All steps of a graph, found as they are asked for."""

    graph: Graph
    candidates: Candidates
    fusion: Fusion
    _layout: Layout = field(init=False)
    _kernels: dict[tuple[str, int], tuple[tuple[int, int], ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Lifetimes do not depend on kernels."""
        self._layout = lay_out(self.graph, {}, {}, {})

    def find_chains(self, limit: int, arena: int) -> tuple[Chain, ...]:
        """Chains of the best path, for an arena of ``limit`` bytes or the least, at most ``arena``.

        Args:
            limit: Bytes; 0 for as few as can be.
            arena: Bytes that the network needs without chains.
        """
        alone = self._list_nodes()
        least = limit or max(block.size for block in self._layout.blocks[: len(self.graph.inputs)])
        hot = {it.first for it in alone if min(it.options, key=lambda own: own[1])[0] > least}
        steps = [*alone, *self._list_chains(hot)]
        sizes = sorted({need for it in steps for need, _ in it.options if limit <= need <= arena})
        sizes = sorted({*sizes, limit} - {0}) if limit else sizes
        allowed = math.inf if limit else MOST * self._find_path(alone, arena)[0]

        def is_enough(size: int) -> bool:
            return self._find_path(steps, size)[0] <= allowed

        place = bisect.bisect_left(sizes, True, key=is_enough)
        if place == len(sizes):
            return ()
        path = self._find_path(steps, sizes[place])[1]
        return tuple(self._make_chain(step) for step in path if step.rows)

    def _find_path(self, steps: Sequence[_Step], arena: int) -> tuple[float, tuple[_Step, ...]]:
        """Fewest instructions within an arena, and how."""
        best: list[tuple[float, tuple[_Step, ...]]] = [(0.0, ())]
        best += [(math.inf, ())] * len(self.graph.nodes)
        for step in sorted(steps, key=lambda it: (it.first, it.end)):
            cost = best[step.first][0] + step.price(arena)
            if cost < best[step.end][0]:
                best[step.end] = cost, (*best[step.first][1], step)
        return best[-1]

    def _list_nodes(self) -> list[_Step]:
        """Nodes alone, with what their candidates need."""
        turns = max(map(len, self.candidates.values()))
        needs = [self._measure_turn(turn) for turn in range(turns)]
        steps = []
        for place, node in enumerate(self.graph.nodes):
            found = self.candidates.get(node.name, ())
            pairs = [(needs[turn][place], it.instructions or 0) for turn, it in enumerate(found)]
            steps.append(_Step(place, place + 1, tuple(pairs) or ((needs[0][place], 0),)))
        return steps

    def _measure_turn(self, turn: int) -> tuple[int, ...]:
        taken = {name: it[min(turn, len(it) - 1)] for name, it in self.candidates.items()}
        return measure_kernels(self.graph, taken)

    def _list_chains(self, hot: set[int]) -> Iterator[_Step]:
        """Chains with a node that needs more than it should."""
        readable = [find_readings(self.graph, node) is not None for node in self.graph.nodes]
        for first in range(len(readable)):
            for end in range(first + 1, min(first + _LONGEST, len(readable)) + 1):
                if not readable[end - 1]:
                    break
                if end - first > 1 and not hot.isdisjoint(range(first, end)):
                    yield from self._list_rows(first, end)

    def _list_rows(self, first: int, end: int) -> Iterator[_Step]:
        """A chain by one row and by more at a time."""
        known = set()
        for least in _ROWS:
            rows = tuple(self._choose_rows(place, least) for place in range(first, end))
            if rows in known or 0 in rows:
                continue
            known.add(rows)
            step = _Step(first, end, (), rows)
            chain = self._try_chain(step)
            if chain is None:
                return
            options = self._price_chain(chain, step)
            if options:
                yield replace(step, options=options)

    def _choose_rows(self, place: int, least: int) -> int:
        """The fewest rows from ``least`` on, or the most that there are below; 0 for none."""
        granules = list_granules(self.graph.tensors[self.graph.nodes[place].output].type)
        return next((it for it in granules if it >= least), (granules or [0])[-1])

    def _try_chain(self, step: _Step) -> Chain | None:
        names = [node.name for node in self.graph.nodes[step.first : step.end]]
        return make_chain(self.graph, names, step.rows)

    def _make_chain(self, step: _Step) -> Chain:
        chain = self._try_chain(step)
        assert chain is not None, "it was made before"
        return chain

    def _price_chain(self, chain: Chain, step: _Step) -> tuple[tuple[int, int], ...]:
        """Bytes and instructions of a chain, with more and more scratch memory for its kernels."""
        base = self._measure_around(chain, step) + chain.ring_bytes + self._measure_page(chain)
        moved = sum(ring.moved_bytes for ring in chain.rings.values())
        beside = round(_PER_BYTE * moved) + _PER_ACTION * len(chain.order)
        kernels = [
            [(room, cost * member.calls) for room, cost in self._list_kernels(chain, index)]
            for index, member in enumerate(chain.members)
        ]
        if not all(kernels):
            return ()
        rooms = sorted({room for found in kernels for room, _ in found})
        least = max(min(room for room, _ in found) for found in kernels)
        return tuple(
            (base + room, beside + sum(_find_cheapest(found, room) for found in kernels))
            for room in rooms
            if room >= least
        )

    def _list_kernels(self, chain: Chain, index: int) -> tuple[tuple[int, int], ...]:
        """Scratch memory and instructions of the kernels of some rows of a layer."""
        member = chain.members[index]
        key = member.node.name, member.rows
        if key not in self._kernels:
            self._kernels[key] = self._bind_rows(member.graph)
        return self._kernels[key]

    def _bind_rows(self, alone: Graph) -> tuple[tuple[int, int], ...]:
        try:
            found = list_fitting(alone, alone.nodes[0], self.fusion.isas)
        except TinyqError:
            return ()
        known = (it for it in found if it.instructions is not None)
        return tuple((-(-it.scratch_bytes // 4) * 4, it.instructions or 0) for it in known)

    def _measure_page(self, chain: Chain) -> int:
        """Bytes by which a chain's constants are more than the largest layer's, where they page."""
        if not self.fusion.paged:
            return 0
        tables = {name: found[0].table_bytes for name, found in self.candidates.items()}
        return max(sum(tables[node.name] for node in chain.nodes) - max(tables.values()), 0)

    def _measure_around(self, chain: Chain, step: _Step) -> int:
        """Bytes that are alive beside a chain's rings: its inputs, its output and what waits."""
        layout = self._layout
        made = {layout.block_of[node.output] for node in chain.nodes}
        others = [
            index
            for index, block in enumerate(layout.blocks)
            if index not in made and block.first < step.end and block.last >= step.first
        ]
        output = layout.blocks[layout.block_of[chain.output]].size
        around = sum(layout.blocks[index].size for index in others if index not in layout.held)
        return around + output - self._find_shared(chain, step, output)

    def _find_shared(self, chain: Chain, step: _Step, output: int) -> int:
        """Bytes of the output that may lie over rows of inputs that were read."""
        layout, shared = self._layout, 0
        kept = {layout.block_of[name] for name in self.graph.results}
        for place, lead in chain.leads.items():
            index = layout.block_of[chain.inputs[place]]
            block = layout.blocks[index]
            if block.last < step.end and index not in kept and index not in layout.held:
                shared += max(min(block.size, output - lead, output), 0)
        return min(shared, output)


def _find_cheapest(kernels: Sequence[tuple[int, int]], room: int) -> int:
    return min(cost for need, cost in kernels if need <= room)
