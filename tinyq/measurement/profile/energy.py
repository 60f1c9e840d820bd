"""Energy of an inference: its estimated cycles by what a board takes for one."""

from __future__ import annotations

from dataclasses import dataclass

from tinyq.hardware.boards import Board
from tinyq.measurement.profile.cores import find_constant

_PER_MILLI, _PER_NANO = 1e3, 1e9


@dataclass(frozen=True, slots=True)
class Pace:
    """What a cycle is on a board.

    Attributes:
        clock_hz: Core clock; 0 where it is unknown.
        nanojoules: Of one cycle; None where no figure is known.
        source: Where that comes from.
    """

    clock_hz: int
    nanojoules: float | None
    source: str

    def milliseconds(self, cycles: float) -> float | None:
        """Time of so many cycles; None without a clock."""
        return _PER_MILLI * cycles / self.clock_hz if self.clock_hz and cycles else None

    def microjoules(self, cycles: float) -> float | None:
        """Energy of so many cycles; None without a figure."""
        return cycles * self.nanojoules / _PER_MILLI if self.nanojoules and cycles else None


def find_pace(board: Board, milliwatts: float | None = None) -> Pace:
    """Clock and energy of a board's cycles.

    nanojoules = milliwatts / clock * 1e6

    Args:
        board: The board.
        milliwatts: What it draws while it computes, as measured or as its data sheet says; what
            is known of the board where None.
    """
    constant = find_constant(board.name)
    clock_hz = constant.clock_hz if constant is not None else board.clock_hz
    if milliwatts is not None and clock_hz:
        text = f"{milliwatts:g} mW, as was given, at {clock_hz / 1e6:g} MHz"
        return Pace(clock_hz, milliwatts / _PER_MILLI / clock_hz * _PER_NANO, text)
    if constant is None or constant.nanojoules_per_cycle is None:
        return Pace(clock_hz, None, "")
    return Pace(clock_hz, constant.nanojoules_per_cycle, constant.energy_source or "")
