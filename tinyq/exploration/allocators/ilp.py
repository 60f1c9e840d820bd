"""The assignments of least loss within budgets, by an integer program."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, milp

from tinyq.exploration.allocators.registry import plans
from tinyq.exploration.budgets import Limits, time_of
from tinyq.exploration.space import Assignment
from tinyq.exploration.table import Table

_TIME_LIMIT_S = 20.0
_SECOND = 1e-6  # weight of what is used beside the loss: of two with equal loss the smaller


@plans("ilp")
def solve(table: Table, limits: Limits, count: int) -> list[Assignment]:
    """The ``count`` assignments of least summed loss within limits, proven, best first.

    minimise  sum_l loss[l, c_l]
    so that   flash   = base + sum_l flash[l, c_l]         <= its limit
              instr.  = base + sum_l instructions[l, c_l]  <= its limit, and so cycles
              arena_n = base_n + sum_l live[n, l, c_l]     <= its limit, at every node n

    Without limits the front: such programs for limits spread between the least and the most that
    any assignment takes of flash and of time, together and one at a time; time is cycles where they
    are known, else instructions.

    Reference: Yao et al. 2021, HAWQ-V3, arXiv:2011.10680, section 3.4.
    """
    if limits.is_open:
        return _spread(table, count)
    program = _Program(table, limits)
    found: list[Assignment] = []
    while len(found) < count:
        answer = program.solve(found)
        if answer is None:
            break
        found.append(answer)
    return found


def least(table: Table, resource: str) -> Assignment:
    """An assignment that takes least of flash, of instructions or of cycles."""
    column = {
        "flash_bytes": table.flash,
        "instructions": table.instructions,
        "cycles": table.cycles,
    }[resource]
    return tuple(min(range(len(row)), key=row.__getitem__) for row in column)


def _spread(table: Table, count: int) -> list[Assignment]:
    """Assignments along the front of loss against flash and time."""
    base, time = table.base, time_of(table.base)
    small, quick = (table.predict(least(table, it)) for it in ("flash_bytes", time))
    found: dict[Assignment, None] = {table.space.base: None}
    steps = max(count, 2)
    for tries in range(1, 5):
        for share in np.linspace(1.0, 0.0, steps * tries):
            flash = int(small.flash_bytes + share * (base.flash_bytes - small.flash_bytes))
            slowest = max(base[time], quick[time])
            within = {time: int(quick[time] + share * (slowest - quick[time]))}
            for limits in (
                Limits(flash_bytes=flash, **within),
                Limits(flash_bytes=flash),
                Limits(**within),
            ):
                answer = _Program(table, limits).solve([])
                if answer is not None:
                    found.setdefault(answer)
        if len(found) >= count:
            break
    order = sorted(found, key=lambda it: (table.loss_of(it), it))
    if len(order) <= count:
        return order
    places = np.unique(np.linspace(0, len(order) - 1, count).round().astype(int))
    return [order[place] for place in places]


class _Program:
    """The integer program; its columns are the pairs of all layers."""

    def __init__(self, table: Table, limits: Limits) -> None:
        self._counts = [len(pairs) for pairs in table.space.layers.values()]
        self._starts = np.concatenate([[0], np.cumsum(self._counts)]).astype(int)
        loss = np.array([value for row in table.loss for value in row])
        flash = np.array([value for row in table.flash for value in row], float)
        work = np.array([value for row in table.instructions for value in row], float)
        self._goal = loss + _SECOND * (loss.max(initial=0.0) or 1.0) * (
            flash / max(table.base.flash_bytes, 1) + work / max(table.base.instructions, 1)
        )
        self._rows: list[tuple[npt.NDArray[np.float64], float, float]] = []
        for layer, count in enumerate(self._counts):
            row = np.zeros(len(loss))
            row[self._starts[layer] : self._starts[layer] + count] = 1.0
            self._rows.append((row, 1.0, 1.0))
        self._limit(flash, table.base.flash_bytes, limits.flash_bytes)
        self._limit(work, table.base.instructions, limits.instructions)
        if table.cycles:
            cycles = np.array([value for row in table.cycles for value in row], float)
            self._limit(cycles, table.base.cycles, limits.cycles)
        if limits.ram_bytes is not None:
            self._limit_arena(table, limits.ram_bytes - table.arena_overhead)

    def solve(self, without: Sequence[Assignment]) -> Assignment | None:
        """The best assignment but some; None where there is none."""
        rows = [*self._rows, *(self._exclude(it) for it in without)]
        matrix = np.array([row for row, _, _ in rows])
        low = np.array([it for _, it, _ in rows])
        high = np.array([it for _, _, it in rows])
        answer = milp(
            self._goal,
            constraints=LinearConstraint(matrix, low, high),
            integrality=np.ones(len(self._goal)),
            bounds=Bounds(0, 1),
            options={"time_limit": _TIME_LIMIT_S, "mip_rel_gap": 0.0},
        )
        if answer.x is None:
            return None
        return tuple(
            int(np.argmax(answer.x[start : start + count]))
            for start, count in zip(self._starts, self._counts, strict=False)
        )

    def _limit(self, row: npt.NDArray[np.float64], base: int, most: int | None) -> None:
        if most is not None:
            self._rows.append((row, -np.inf, float(most - base)))

    def _limit_arena(self, table: Table, most: int) -> None:
        """The bytes alive at every node; nodes whose pairs add alike count once."""
        live = np.array([pair for row in table.live for pair in row], float)
        for row, base in {
            (tuple(live[:, node]), base) for node, base in enumerate(table.base_live)
        }:
            self._rows.append((np.array(row), -np.inf, float(most - base)))

    def _exclude(self, assignment: Assignment) -> tuple[npt.NDArray[np.float64], float, float]:
        row = np.zeros(len(self._goal))
        row[self._starts[:-1] + np.array(assignment)] = 1.0
        return row, -np.inf, float(len(assignment) - 1)
