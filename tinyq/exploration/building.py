"""A proposal as a firmware: what the linker and the emulator say that it takes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tinyq.errors import BoardError, BudgetError, LinkError, ToolMissing
from tinyq.exploration.budgets import Costs
from tinyq.graph import Graph
from tinyq.hardware.boards import Board
from tinyq.measurement.profile import profile
from tinyq.project import Selection, create_project


def build_and_count(graph: Graph, board: Board, optimize: str) -> Costs | None:
    """Flash and RAM of the linked firmware, one inference's instructions in the emulator.

    Returns:
        None where the board is too small, its compiler is missing or nothing emulates its core.
    """
    with tempfile.TemporaryDirectory(prefix="tinyq-search-") as place:
        try:
            selection = Selection(optimize=optimize)
            made = create_project(graph, board, Path(place) / "build", kernels=selection)
            counted = profile(made)
        except (BoardError, BudgetError, LinkError, ToolMissing):
            return None
        costs = counted.costs
        cycles = costs.cycles if counted.prediction is None else round(counted.prediction.cycles)
        return Costs(
            made.image.flash_bytes,
            made.image.ram_bytes,
            costs.instructions,
            cycles or 0,
            counted=True,
        )
