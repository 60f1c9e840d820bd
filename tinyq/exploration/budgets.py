"""What a deployed model may take, and what it takes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

from tinyq.errors import BoardError, TinyqError
from tinyq.hardware.boards import Board
from tinyq.measurement.profile.cores import find_core
from tinyq.measurement.profile.energy import Pace

_UNITS: Mapping[str, int] = MappingProxyType({"": 1, "K": 1, "M": 2, "G": 3})
_PER_MILLI = 1e3
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([kKmMgG]?)(i?[bB])?")
RESOURCES = ("flash_bytes", "ram_bytes", "instructions", "cycles")
"""What a proposal takes of a board, in the order in which it is shown."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What a model takes of a board.

    Attributes:
        flash_bytes: Firmware with code and constants.
        ram_bytes: Arena, buffers and stack.
        instructions: Of one inference.
        cycles: Of one inference, estimated from counts by the core's timings; 0 where none are
            known.
        counted: Whether image and instructions are those of a built firmware that ran in the
            emulator; estimates of the same choice of kernels otherwise.
    """

    flash_bytes: int
    ram_bytes: int
    instructions: int
    cycles: int = 0
    counted: bool = False

    def __getitem__(self, resource: str) -> int:
        """One of `RESOURCES`."""
        return int(getattr(self, resource))


@dataclass(frozen=True, slots=True)
class Limits:
    """What a model may take of a board; None for no limit.

    Attributes:
        flash_bytes: Most flash.
        ram_bytes: Most RAM.
        instructions: Most instructions of one inference.
        cycles: Most cycles of one inference.
    """

    flash_bytes: int | None = None
    ram_bytes: int | None = None
    instructions: int | None = None
    cycles: int | None = None

    def __getitem__(self, resource: str) -> int | None:
        """One of `RESOURCES`."""
        value = getattr(self, resource)
        return None if value is None else int(value)

    def admit(self, costs: Costs) -> bool:
        """Whether costs are within every limit."""
        return not self.excess(costs)

    def excess(self, costs: Costs) -> dict[str, int]:
        """What is too much, by resource."""
        limits = {name: self[name] for name in RESOURCES}
        over = {name: costs[name] - most for name, most in limits.items() if most is not None}
        return {name: much for name, much in over.items() if much > 0}

    @property
    def is_open(self) -> bool:
        """Whether nothing is limited, so that the answer is a front."""
        return all(getattr(self, field.name) is None for field in fields(self))


def time_of(costs: Costs) -> str:
    """The resource that stands for time: cycles where they are known, else instructions."""
    return "cycles" if costs.cycles else "instructions"


def read_amount(text: str | int | None, option: str, base: int) -> int | None:
    """A number with a unit: ``64K``, ``1.5M``, ``2000000``.

    Args:
        text: What the user wrote; None stays None.
        option: Its name, for messages.
        base: What a K is: 1024 for bytes, 1000 for instructions and cycles.

    Raises:
        TinyqError: It is no positive number with such a unit.
    """
    if text is None or isinstance(text, int) and not isinstance(text, bool) and text > 0:
        return text
    match = _NUMBER.fullmatch(str(text).strip())
    if match is not None and not (match[3] and base != 1024):  # noqa: PLR2004
        amount = float(match[1]) * base ** (_UNITS[match[2].upper()] if match[2] else 0)
        if math.isfinite(amount) and amount >= 1:
            return int(amount)
    raise TinyqError(
        f"{text!r} is no amount",
        where=option,
        remedy="write a number such as 65536, 64K or 1.5M",
    )


def limit_cycles(
    cycles: int | None, milliseconds: float | None, energy: float | None, board: Board, pace: Pace
) -> int | None:
    """Cycles that are left by limits of cycles, time and energy together; None where none is set.

    most = min(cycles, milliseconds * clock / 1e3, microjoules * 1e3 / nanojoules of a cycle)

    Args:
        cycles: Most cycles of an inference.
        milliseconds: Most time of one.
        energy: Most microjoules of one.
        board: What they are limits of.
        pace: What one of its cycles is.

    Raises:
        TinyqError: A limit is no positive number.
        BoardError: No timings, no clock or no energy of the board is known.
    """
    limits = [float(cycles)] if cycles is not None else []
    if milliseconds is not None:
        check_positive(milliseconds, "--milliseconds")
        _require(pace.clock_hz, f"the clock of {board.title} is not known", board, "--cycles")
        limits.append(milliseconds * pace.clock_hz / _PER_MILLI)
    if energy is not None:
        check_positive(energy, "--energy")
        what = f"what a cycle of {board.title} takes is not known"
        _require(pace.nanojoules, what, board, "--power MILLIWATTS of the board as well")
        limits.append(energy * _PER_MILLI / (pace.nanojoules or math.inf))
    if not limits:
        return None
    core = find_core(board)
    _require(core.cycles, f"no timings of {core.title} are known", board, "--instructions instead")
    return max(round(min(limits)), 1)


def check_positive(number: float, option: str) -> None:
    """Check an amount that is a plain number.

    Raises:
        TinyqError: It is none that is larger than 0.
    """
    if not isinstance(number, int | float) or not math.isfinite(number) or number <= 0:
        raise TinyqError(
            f"{number!r} is no amount", where=option, remedy="write a number such as 12.5"
        )


def _require(known: object, lack: str, board: Board, instead: str) -> None:
    if not known:
        raise BoardError(lack, where=f"board {board.name}", remedy=f"give {instead}")
