"""What a deployed model may take, and what it takes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

from tinyq.errors import TinyqError

_UNITS: Mapping[str, int] = MappingProxyType({"": 1, "K": 1, "M": 2, "G": 3})
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([kKmMgG]?)(i?[bB])?")
RESOURCES = ("flash_bytes", "ram_bytes", "instructions")
"""What a proposal takes of a board, in the order in which it is shown."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What a model takes of a board.

    Attributes:
        flash_bytes: Firmware with code and constants.
        ram_bytes: Arena, buffers and stack.
        instructions: Of one inference.
        counted: Whether image and instructions are those of a built firmware that ran in the
            emulator; estimates of the same choice of kernels otherwise.
    """

    flash_bytes: int
    ram_bytes: int
    instructions: int
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
    """

    flash_bytes: int | None = None
    ram_bytes: int | None = None
    instructions: int | None = None

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
