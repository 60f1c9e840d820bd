"""The choice in numbers: a mixed-integer program over all candidates of all nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tinyq.graph import Graph
from tinyq.memory.rows import Chain
from tinyq.selection.budget import Budget
from tinyq.selection.candidates import Candidates, measure_kernels


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """What choices take of something.

    Attributes:
        costs: Of each column.
        fixed: What is taken whatever is chosen.
    """

    costs: np.ndarray
    fixed: int

    def count(self, columns: np.ndarray) -> float:
        """What a choice takes."""
        return float(self.costs @ columns) + self.fixed


@dataclass(frozen=True, slots=True)
class Program:
    """The choice in numbers; columns are all candidates, then the shared parts, then the arena.

    Attributes:
        sizes: Candidates of each node.
        instructions: Of each column.
        flash: Bytes of each column.
        arena: Which column is the arena.
        rows: Left sides of ``rows @ x <= 0``.
        budget: The board's memory.
        flash_limit: Bytes of flash, 0 for none.
        arena_limit: Bytes of the arena, 0 for none.
        time_limit: Cycles or instructions, 0 for none.
        caps: Left side and limit of what earlier goals have settled.
    """

    sizes: tuple[int, ...]
    instructions: np.ndarray
    flash: np.ndarray
    arena: np.ndarray
    rows: np.ndarray
    budget: Budget
    flash_limit: int
    arena_limit: int
    time_limit: int
    caps: tuple[tuple[np.ndarray, float], ...] = field(default=())

    @classmethod
    def of(
        cls, graph: Graph, candidates: Candidates, budget: Budget, chains: Sequence[Chain] = ()
    ) -> Program:
        """Write the program of a graph down, of which chains are computed row by row."""
        columns = [entry for found in candidates.values() for entry in found]
        owners = [place for place, found in enumerate(candidates.values()) for _ in found]
        parts = list(dict.fromkeys(key for entry in columns for key in entry.code))
        width = len(columns) + len(parts) + 1
        instructions, flash, arena = np.zeros((3, width))
        instructions[: len(columns)] = _measure_time(candidates)
        flash[: len(columns)] = [entry.table_bytes for entry in columns]
        for entry in columns:
            for key, size in entry.code.items():
                flash[len(columns) + parts.index(key)] = size
        arena[-1] = 1
        rows = []
        for place, entry in enumerate(columns):
            for key in entry.code:
                row = np.zeros(width)
                row[place], row[len(columns) + parts.index(key)] = 1, -1
                rows.append(row)
        needs = np.zeros((len(candidates), width))
        needs[owners, range(len(columns))] = _measure_arenas(graph, candidates, chains)
        needs[:, -1] = -1
        rows.extend(needs)
        return cls(
            tuple(map(len, candidates.values())),
            instructions,
            flash,
            arena,
            np.array(rows),
            budget,
            budget.kernel_bytes,
            budget.arena_bytes,
            budget.cycles,
        )

    @property
    def resources(self) -> Mapping[str, Resource]:
        """Time, flash and RAM, with the firmware's part of them."""
        return {
            "instructions": Resource(self.instructions, 0),
            "flash": Resource(self.flash, self.budget.firmware_flash_bytes),
            "arena": Resource(self.arena, self.budget.firmware_ram_bytes),
        }

    def fit(self) -> Program:
        """The same where some choice keeps the limits, else with limits as near as can be."""
        return self if self.minimize(self.arena) else self._relax()

    def limit(self, limits: Iterable[tuple[np.ndarray, float]]) -> Program:
        """The same with more limits: costs, and the most that they may come to."""
        # Half a byte or instruction is room for rounding alone.
        return replace(self, caps=(*self.caps, *((row, most + 0.5) for row, most in limits)))

    def start(self) -> tuple[int, ...]:
        """The first candidate of each node."""
        return (0,) * len(self.sizes)

    def minimize(self, goal: np.ndarray) -> tuple[np.ndarray, float] | None:
        """The best columns and their value, or None where the limits cannot be kept."""
        # Importing scipy takes longer than most choices.
        from scipy.optimize import Bounds, LinearConstraint, milp

        width, count = len(goal), sum(self.sizes)
        one = np.zeros((len(self.sizes), width))
        one[np.repeat(np.arange(len(self.sizes)), self.sizes), np.arange(count)] = 1
        constraints = [LinearConstraint(one, 1, 1), LinearConstraint(self.rows, -np.inf, 0)]
        for row, most in self._list_caps():
            scale = max(abs(most), 1.0)
            constraints.append(LinearConstraint(row / scale, -np.inf, most / scale))
        integral = np.zeros(width)
        integral[:count] = 1
        upper = np.ones(width)
        upper[-1] = np.inf
        result = milp(
            goal / max(float(np.abs(goal).max()), 1.0),
            constraints=constraints,
            bounds=Bounds(np.zeros(width), upper),
            integrality=integral,
            options={"mip_rel_gap": 0.0},
        )
        return None if result.x is None else (result.x, float(goal @ result.x))

    def settle(self, goal: np.ndarray) -> tuple[Program, np.ndarray]:
        """The program of what is best by a goal, with that; limits give way where they must."""
        found, program = self.minimize(goal), self
        if found is None:
            program = self._relax()
            found = program.minimize(goal)
        assert found is not None, "the limits were made such that some choice keeps them"
        columns, value = found
        return program.limit([(goal, value)]), columns

    def read(self, columns: np.ndarray) -> tuple[int, ...]:
        """The candidate of each node."""
        ends = np.cumsum(self.sizes)
        return tuple(int(part.argmax()) for part in np.split(columns[: ends[-1]], ends[:-1]))

    def _list_caps(self) -> list[tuple[np.ndarray, float]]:
        limits = (
            (self.flash, self.flash_limit),
            (self.arena, self.arena_limit),
            (self.instructions, self.time_limit),
        )
        return [*self.caps, *((row, float(limit)) for row, limit in limits if limit)]

    def _relax(self) -> Program:
        """The same with limits that some choice keeps: RAM as near as can be, flash, then time."""
        program = replace(self, flash_limit=0, time_limit=0)
        if self.arena_limit:
            least = replace(program, arena_limit=0).find_least(self.arena)
            program = replace(program, arena_limit=max(self.arena_limit, least))
        if self.flash_limit:
            least = program.find_least(self.flash)
            program = replace(program, flash_limit=max(self.flash_limit, least))
        if self.time_limit:
            least = program.find_least(self.instructions)
            program = replace(program, time_limit=max(self.time_limit, least))
        return program

    def find_least(self, goal: np.ndarray) -> int:
        """The least bytes or instructions that any choice needs."""
        found = self.minimize(goal)
        assert found is not None, "each node has a candidate"
        return round(found[1])

    def free(self) -> Program:
        """The same without limits."""
        return replace(self, flash_limit=0, arena_limit=0, time_limit=0, caps=())


def _measure_time(candidates: Candidates) -> list[int]:
    """Cycles of each candidate where all that have a rival were counted, instructions otherwise."""
    columns = [entry for found in candidates.values() for entry in found]
    rivals = [entry for found in candidates.values() if len(found) > 1 for entry in found]
    if any(entry.cycles is None for entry in rivals):
        return [entry.instructions or 0 for entry in columns]
    return [entry.cycles or entry.instructions or 0 for entry in columns]


def _measure_arenas(graph: Graph, candidates: Candidates, chains: Sequence[Chain]) -> list[int]:
    """Bytes of arena that each candidate's node needs at least while it runs.

    Of a chain's layers one runs at a time, beside the rings, so that the scratch memory of each is
    added to what the chain needs without any.
    """
    rounds = range(max(map(len, candidates.values()), default=0))
    index = {node.name: place for place, node in enumerate(graph.nodes)}
    inner = {node.name for chain in chains for node in chain.nodes}
    needs = []
    for turn in rounds:
        entries = {
            name: found[min(turn, len(found) - 1)]
            for name, found in candidates.items()
            if name not in inner
        }
        needs.append(measure_kernels(graph, entries, chains))
    return [
        needs[turn][index[name]] + (entry.scratch_bytes if name in inner else 0)
        for name, found in candidates.items()
        for turn, entry in enumerate(found)
    ]
