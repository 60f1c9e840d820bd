"""What a graph will take of a board, foreseen without a compiler."""

from __future__ import annotations

from dataclasses import dataclass

from tinyq.graph import Graph
from tinyq.hardware.boards import Board
from tinyq.memory.planner import MemoryPlan
from tinyq.memory.states import measure_states
from tinyq.project.creation import capacities, find_budget
from tinyq.selection import (
    Budget,
    Candidates,
    Choice,
    Fusion,
    choose_kernels,
    fuse_layers,
    plan_kernels,
    prefer_isas,
)


@dataclass(frozen=True, slots=True, eq=False)
class Foresight:
    """Kernels and memory of a graph, chosen as `create_project` chooses them at first.

    Attributes:
        choice: The kernel of each node.
        memory: Where its tensors live.
        budget: The board's memory, and about what of it the firmware takes.
    """

    choice: Choice
    memory: MemoryPlan
    budget: Budget

    @property
    def flash_bytes(self) -> int:
        """Tables, code and firmware, about."""
        return self.choice.flash_bytes + self.budget.firmware_flash_bytes

    @property
    def ram_bytes(self) -> int:
        """Activations, scratch memory, state, stack and buffers, about."""
        return self.memory.arena_bytes + self.budget.firmware_ram_bytes


def foresee(
    graph: Graph,
    candidates: Candidates,
    board: Board | None,
    optimize: str = "balanced",
    *,
    by_rows: bool = True,
) -> Foresight:
    """Choose kernels and plan memory as a build for a board would.

    Args:
        graph: A simplified graph.
        candidates: What can compute each of its nodes.
        board: Whose memory is the limit; None for no limit and no firmware.
        optimize: The objective, one of `tinyq.selection.OBJECTIVES`.
        by_rows: Whether layers go by rows where a build's would; looking for them takes seconds.

    Raises:
        TinyqError: There is no such objective.
    """
    budget = (
        Budget()
        if board is None
        else find_budget(board, capacities(graph, board), measure_states(graph))
    )
    isas = prefer_isas(board.isa if board else "generic")
    if by_rows:
        choice = fuse_layers(graph, candidates, optimize, budget, Fusion(isas))
    else:
        choice = choose_kernels(graph, candidates, optimize, budget)
    return Foresight(choice, plan_kernels(graph, choice.bounds, choice.chains), budget)
