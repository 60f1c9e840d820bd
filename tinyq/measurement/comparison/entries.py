"""A row of a comparison, and which rows nothing beats."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tinyq.support.fronts import mark_unbeaten

FIGURES = ("flash_bytes", "ram_bytes", "instructions", "cycles")
"""What is taken of a board, in the order in which it is shown."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Who found an accuracy, and on what.

    Attributes:
        who: What answered, such as ``device``.
        data: What it was asked: a file or a digest, with the number of samples.
    """

    who: str
    data: str

    def __str__(self) -> str:
        """As tables show it."""
        return f"{self.who}, {self.data}"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one firmware.

    Attributes:
        name: What the user calls it.
        model: Name of its model.
        board: Name of its board.
        flash_bytes: Code and constants.
        ram_bytes: Variables and stack reserve.
        accuracy: Share of right answers, 0 .. 1; None where no labels were known.
        judge: Whose accuracy on which data; None without one.
        instructions: Of one inference, counted in an emulator; None where nothing counted.
        cycles: Of one inference, estimated from counts; None without counts or timings.
        milliseconds: Time of these cycles; None without a clock.
        microjoules: Energy of these cycles; None where a cycle's is not known.
        measured_cycles: Of one inference by a board's own counter; None where none was read.
        best: Whether nothing that can be compared with it beats it, see `mark_best`.
    """

    name: str
    model: str
    board: str
    flash_bytes: int
    ram_bytes: int
    accuracy: float | None = None
    judge: Judge | None = None
    instructions: float | None = None
    cycles: float | None = None
    milliseconds: float | None = None
    microjoules: float | None = None
    measured_cycles: int | None = None
    best: bool = False


def mark_best(entries: Sequence[Entry]) -> list[bool]:
    """Whether each entry is on the front of accuracy, flash, RAM, instructions and cycles.

    Entries are compared with those of the same board whose accuracy is of the same data, or that
    have none either, in the figures that all of them have.
    """
    groups: defaultdict[object, list[int]] = defaultdict(list)
    for place, it in enumerate(entries):
        groups[it.board, None if it.judge is None else it.judge.data].append(place)
    best = [False] * len(entries)
    for places in groups.values():
        group = [entries[place] for place in places]
        known = [name for name in FIGURES if all(getattr(it, name) is not None for it in group)]
        points = [
            (-(it.accuracy or 0.0), *(float(getattr(it, name)) for name in known)) for it in group
        ]
        for place, stays in zip(places, mark_unbeaten(points), strict=True):
            best[place] = stays
    return best
