"""The loops in which an inference spends its time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinyq.measurement.profile.costs import Line


@dataclass(frozen=True, slots=True)
class Step:
    """An instruction of a loop.

    Attributes:
        address: In the image that ran.
        executions: Counted.
        flash_loads: Reads of the code memory, counted.
        cycles: All executions, an estimate; None without timings.
        text: Mnemonic and operands.
        source: File and line; empty where unknown.
    """

    address: int
    executions: int
    flash_loads: int
    cycles: int | None
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop, with what is inside it.

    Attributes:
        function: Function that holds it.
        repeats: How often it began again, counted.
        instructions: Of the loop without the loops inside it, counted.
        cycles: The same as an estimate; None without timings.
        steps: Its instructions from the first to the branch back.
    """

    function: str
    repeats: int
    instructions: int
    cycles: int | None
    steps: tuple[Step, ...]


def find_loops(lines: Sequence[Line], count: int) -> tuple[Loop, ...]:
    """Return the loops that cost most by themselves, the costliest first.

    A loop reaches from the target of a branch that was taken backwards to that branch.

    Args:
        lines: All instructions of one layer.
        count: At most so many.
    """
    ordered = sorted(lines, key=lambda line: line.instruction.address)
    ends: dict[int, int] = {}
    repeats: dict[int, int] = {}
    for line in ordered:
        start = _loop_start(line)
        if start is not None:
            ends[start] = max(ends.get(start, 0), line.instruction.address)
            repeats[start] = repeats.get(start, 0) + line.count.taken
    loops = [_make_loop(ordered, ends, start, repeats[start]) for start in ends]
    loops.sort(key=lambda loop: (-(loop.cycles or loop.instructions), loop.steps[0].address))
    return tuple(loops[:count])


def _loop_start(line: Line) -> int | None:
    target = line.instruction.target
    inside = line.kind.group == "branch" and line.kind.name != "call" and line.count.taken
    return target if inside and target is not None and target <= line.instruction.address else None


def _make_loop(ordered: Sequence[Line], ends: dict[int, int], start: int, repeats: int) -> Loop:
    end = ends[start]
    inner = [
        (other, ends[other])
        for other in ends
        if (other, ends[other]) != (start, end) and start <= other and ends[other] <= end
    ]
    body = [line for line in ordered if start <= line.instruction.address <= end]
    own = [
        line
        for line in body
        if not any(low <= line.instruction.address <= high for low, high in inner)
    ]
    timed = all(line.cycles is not None for line in own)
    return Loop(
        function=body[0].instruction.function,
        repeats=repeats,
        instructions=sum(line.count.executions for line in own),
        cycles=sum(line.cycles or 0 for line in own) if timed else None,
        steps=tuple(
            Step(
                line.instruction.address,
                line.count.executions,
                line.count.flash_loads,
                line.cycles,
                line.instruction.text,
                line.instruction.source,
            )
            for line in body
        ),
    )
