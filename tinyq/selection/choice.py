"""The choice of kernels: which of those that fit computes each node, by a stated objective.

Every node has candidates, each with instructions, bytes of its tables and of its code, and what it
asks of the arena. One is taken for each node, so that the objective is smallest among all choices
within flash and RAM; a mixed-integer program proves it. Code that several nodes share counts once.
Where candidates were counted, their estimated cycles take the place of instructions.

    speed     fewest instructions, then the smallest flash
    size      smallest flash, then fewest instructions
    ram       smallest arena, then fewest instructions, then the smallest flash
    balanced  instructions / I + flash / F + ram / R is smallest, where I, F and R are the least
              that any choice needs and the firmware's own part counts in flash and RAM: one percent
              of one is worth one percent of another

None of them takes more than twice as much of one resource to save less than 5 % of another: where
such a choice is the best, the best of those that do not is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tinyq.errors import TinyqError
from tinyq.graph import Graph
from tinyq.memory.rows import Chain
from tinyq.selection.budget import Budget
from tinyq.selection.candidates import Bounds, Candidates
from tinyq.selection.solver import Program

OBJECTIVES = ("balanced", "speed", "size", "ram")
BALANCED, SPEED, SIZE, RAM = OBJECTIVES
EXPLANATIONS: Mapping[str, str] = MappingProxyType(
    {
        BALANCED: "one percent of the fewest instructions, of the least flash and of the least RAM "
        "are worth the same",
        SPEED: "fewest instructions, then least flash",
        SIZE: "least flash, then fewest instructions",
        RAM: "smallest arena, then fewest instructions, then least flash",
    }
)

# How many times as much of a resource is wasted, and how many times as much of another is no loss.
_WASTE, _LOSS = 2.0, 1.05


@dataclass(frozen=True, slots=True)
class Choice:
    """Kernels of all nodes that need one.

    Attributes:
        objective: One of `OBJECTIVES`.
        bounds: What computes each node, in execution order.
        candidates: What it was chosen from, by node.
        chains: Layers that are computed row by row; their kernels are those of some rows, with the
            instructions of all of them.
    """

    objective: str
    bounds: Bounds
    candidates: Candidates
    chains: tuple[Chain, ...] = ()

    @property
    def cycles(self) -> int:
        """Of one inference, estimated from counts; instructions where a kernel was not counted."""
        bounds = self.bounds.values()
        if any(bound.cycles is None for bound in bounds):
            return sum(bound.instructions or 0 for bound in bounds)
        return sum(bound.cycles or 0 for bound in bounds)

    @property
    def names(self) -> tuple[tuple[str, str], ...]:
        """Kernels and chains by their names: what tells one choice from another."""
        chains = ((it.name, " ".join(str(own.rows) for own in it.members)) for it in self.chains)
        return (*((key, it.kernel.name) for key, it in self.bounds.items()), *chains)

    @property
    def flash_bytes(self) -> int:
        """Tables and code, shared code once."""
        parts = {key: size for bound in self.bounds.values() for key, size in bound.code.items()}
        return sum(bound.table_bytes for bound in self.bounds.values()) + sum(parts.values())


def choose_kernels(
    graph: Graph,
    candidates: Candidates,
    objective: str = BALANCED,
    budget: Budget | None = None,
    chains: Sequence[Chain] = (),
) -> Choice:
    """The best choice by an objective.

    Args:
        graph: A verified graph.
        candidates: What can compute each of its nodes.
        objective: One of `OBJECTIVES`.
        budget: What the choice may take. Where none is small enough, one as little above it as can
            be: the linker says by how much.
        chains: Layers that are computed row by row, see `tinyq.selection.fusion`.

    Raises:
        TinyqError: There is no such objective.
    """
    check_objective(objective)
    program = Program.of(graph, candidates, budget or Budget(), chains)
    chosen = program.start()
    if any(len(found) > 1 for found in candidates.values()):
        chosen = program.read(_find_fair(program.fit(), _SEARCHES[objective]))
    bounds = {
        name: found[index] for (name, found), index in zip(candidates.items(), chosen, strict=True)
    }
    return Choice(objective, MappingProxyType(bounds), candidates, tuple(chains))


def check_objective(objective: str) -> None:
    """Check a name.

    Raises:
        TinyqError: There is no such objective.
    """
    if objective not in OBJECTIVES:
        raise TinyqError(
            f"there is no objective {objective!r}",
            where="--optimize",
            remedy=f"choose one of {', '.join(OBJECTIVES)}",
        )


@dataclass(frozen=True, slots=True)
class _Search:
    """How the best choice is found.

    Attributes:
        find: Columns of the best choice of a program.
        ranked: Resources that it looks at.
    """

    find: Callable[[Program], np.ndarray]
    ranked: tuple[str, ...]


def _find_fair(program: Program, search: _Search) -> np.ndarray:
    """Columns of the best choice that wastes no resource.

    A resource is wasted where another choice takes less than half of it, at most 5 % more of what
    the objective looks at, and at most twice of the rest. At most twice that choice's then is a
    limit, and the search goes on within all three.
    """
    columns = search.find(program)
    for name, resource in program.resources.items():
        room = program.limit(
            (it.costs, (_LOSS if key in search.ranked else _WASTE) * it.count(columns) - it.fixed)
            for key, it in program.resources.items()
            if key != name
        )
        least = room.find_least(resource.costs) + resource.fixed
        if resource.count(columns) > _WASTE * least:
            program = room.limit([(resource.costs, _WASTE * least - resource.fixed)])
            columns = search.find(program)
    return columns


def _in_order(*names: str) -> _Search:
    """A search by one goal after the other."""

    def find(program: Program) -> np.ndarray:
        columns = np.zeros(0)
        for name in names:
            program, columns = program.settle(program.resources[name].costs)
        return columns

    return _Search(find, names)


def _balance(program: Program) -> np.ndarray:
    """Search by the sum of all goals, each as a multiple of the least that any choice needs."""
    free = program.free()
    goal = np.zeros(len(program.flash))
    for resource in program.resources.values():
        base = free.find_least(resource.costs) + resource.fixed
        goal += resource.costs / base if base else 0.0
    _, columns = program.settle(goal)
    return columns


_SEARCHES: Mapping[str, _Search] = MappingProxyType(
    {
        BALANCED: _Search(_balance, ("instructions", "flash", "arena")),
        SPEED: _in_order("instructions", "flash"),
        SIZE: _in_order("flash", "instructions"),
        RAM: _in_order("arena", "instructions", "flash"),
    }
)
