"""What a graph takes of a board: planned RAM, flash of chosen kernels, counted instructions.

Kernels are chosen as `tinyq build` chooses them. Their instructions are counted on the emulated
core, each distinct layer once (see `tinyq.measurement.counting`); where no emulator stands for the
board they stay estimates. RAM is planned for the graph as a whole, never summed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tinyq.errors import BoardError, LinkError, ToolMissing
from tinyq.exploration.budgets import RESOURCES, Costs
from tinyq.graph import Graph
from tinyq.graph.passes import simplify
from tinyq.hardware.boards import Board
from tinyq.kernels.base import Bound
from tinyq.measurement.counting import count_candidates
from tinyq.project import Setting, foresee
from tinyq.selection import gather_candidates, prefer_isas

_PER_LAYER, _PER_INFERENCE = 12, 60  # instructions of a call and its arguments; of the runner


@dataclass(frozen=True, slots=True)
class Priced:
    """A graph with what it takes.

    Attributes:
        costs: In all.
        live_bytes: Arena bytes in use while each node runs.
    """

    costs: Costs
    live_bytes: Mapping[str, int]


@dataclass(slots=True)
class Pricer:
    """Prices graphs for one board.

    Attributes:
        board: What is built for.
        optimize: Objective of the choice of kernels.
        counts: Whether instructions are counted on the emulated core; False where nothing
            emulates it, found out by the first graph.
        cache: Folder of what was counted before; the user's cache folder when None.
        firmware: What a firmware takes of each resource beside its layers, as far as that differs
            from what is assumed, see `learn`.
    """

    board: Board
    optimize: str = "balanced"
    counts: bool = True
    cache: Path | None = None
    firmware: tuple[int, ...] = (0,) * len(RESOURCES)

    def price(self, graph: Graph) -> Priced:
        """What a graph takes.

        Raises:
            TinyqError: A layer has no kernel.
        """
        plain = simplify(graph)
        isas = prefer_isas(self.board.isa)
        candidates = gather_candidates(plain, isas)
        seen = foresee(plain, candidates, self.board, self.optimize, by_rows=False)
        bounds = seen.choice.bounds
        if self.counts:
            single = MappingProxyType({name: (bound,) for name, bound in bounds.items()})
            try:
                found = count_candidates(plain, single, Setting(self.board, isas), cache=self.cache)
                bounds = {name: entries[0] for name, entries in found.items()}
            except (BoardError, LinkError, ToolMissing):
                self.counts = False
        instructions = sum((bound.instructions or 0) + _PER_LAYER for bound in bounds.values())
        nodes = [node.name for node in plain.nodes]
        return Priced(
            Costs(
                seen.flash_bytes + self.firmware[0],
                seen.ram_bytes + self.firmware[1],
                max(instructions + _PER_INFERENCE + self.firmware[2], 1),
                _estimate_cycles(bounds.values(), self.firmware[3]),
            ),
            MappingProxyType(dict(zip(nodes, seen.memory.live_bytes, strict=True))),
        )

    def learn(self, priced: Priced, built: Costs) -> None:
        """Take over what a built firmware says that estimates leave out."""
        differences = [built[name] - priced.costs[name] for name in RESOURCES]
        self.firmware = tuple(map(sum, zip(self.firmware, differences, strict=True)))


def _estimate_cycles(bounds: Iterable[Bound], more: int) -> int:
    """Cycles of kernels and calls; 0 where nothing was counted.

    A kernel that could not be counted takes as many cycles an instruction as the others.
    """
    known = [(it.instructions or 0, it.cycles) for it in bounds]
    counted = [(work, cycles) for work, cycles in known if cycles is not None]
    if not counted:
        return 0
    rate = sum(cycles for _, cycles in counted) / max(sum(work for work, _ in counted), 1)
    beside = len(known) * _PER_LAYER + _PER_INFERENCE
    others = beside + sum(work for work, cycles in known if cycles is None)
    return max(sum(cycles for _, cycles in counted) + round(rate * others) + more, 1)
