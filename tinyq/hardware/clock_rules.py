"""Which settings of a chip a core clock needs: voltage scale, over-drive, wait states.

A core that is faster than its supply or its flash bears fails now and then, and no compiler says
so. Every rule stands in the port as well, as an ``#error``.

Twin: firmware/ports/stm32v1/chip_*.h, stm32v2/clock_*.c, port.c of nrf, nrf53 and rp2040.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

MHZ = 1_000_000
_MOST_MHZ, _MOST_WAIT_STATES = 10_000, 15


@dataclass(frozen=True, slots=True)
class ClockRule:
    """Allowed values of a macro for clocks in a range.

    Attributes:
        chips: Their port, or the macro that their boards define with another value than 0.
        above_mhz: The rule is for clocks above this.
        up_to_mhz: And up to this one.
        macro: Setting of the port, empty where no setting allows such a clock.
        allowed: Its values.
        reason: Why.
        source: Reference manual and what to look for there, by name and not by number: every
            rule was written from memory and is still to be read again in the manual.
    """

    chips: str
    above_mhz: float
    up_to_mhz: float
    macro: str
    allowed: range | tuple[int, ...]
    reason: str
    source: str

    def holds(self, port: str, clock_hz: int, defines: Mapping[str, int | str]) -> bool:
        """Whether a board keeps the rule."""
        concerned = port == self.chips or defines.get(self.chips)
        low, high = round(self.above_mhz * MHZ), round(self.up_to_mhz * MHZ)
        if not concerned or not low < clock_hz <= high:
            return True
        value = defines.get(self.macro)
        return isinstance(value, int) and value in self.allowed

    @property
    def remedy(self) -> str:
        """What keeps the rule."""
        if not self.macro:
            return "choose another clock_hz"
        values = (
            f"at least {self.allowed.start}"
            if isinstance(self.allowed, range)
            else " or ".join(map(str, self.allowed))
        )
        return f"define {self.macro} as {values}, or choose another clock_hz"


def list_broken(port: str, clock_hz: int, defines: Mapping[str, int | str]) -> Iterator[ClockRule]:
    """Rules that a board's clock and macros break."""
    return (rule for rule in RULES if not rule.holds(port, clock_hz, defines))


def _allow(chips: str, clocks: tuple[tuple[float, float], ...], source: str) -> Iterator[ClockRule]:
    """Clocks that a port reaches, from the first to the second of each pair."""
    reason = "the port reaches " + " or ".join(
        f"{low:g} MHz" if low == high else f"{low:g} to {high:g} MHz" for low, high in clocks
    )
    ends = [0.0, *(high for _, high in clocks)]
    starts = [*(low - 1 / MHZ for low, _ in clocks), float(_MOST_MHZ)]
    for above, up_to in zip(ends, starts, strict=True):
        yield ClockRule(chips, above, up_to, "", (), reason, source)


def _wait(chips: str, step: int, above: int, up_to: int, source: str) -> Iterator[ClockRule]:
    """A wait state of the flash for each ``step`` MHz that are begun, the first one left out."""
    for states in range(above // step, math.ceil(up_to / step)):
        low, high = max(above, step * states), min(up_to, step * (states + 1))
        allowed = range(states, _MOST_WAIT_STATES + 1)
        reason = f"the flash needs {states} wait states above {low} MHz"
        yield ClockRule(chips, low, high, "TQ_WAIT_STATES", allowed, reason, source)


def _scale(above: int, up_to: int, *allowed: int, why: str) -> ClockRule:
    """Settings of the STM32F4's regulator; 0 leaves the value after reset."""
    reason = f"the regulator {why}"
    return ClockRule("TQ_STM32_F4", above, up_to, "TQ_VOS", allowed, reason, _F4_SCALES)


_F4_SCALES = "RM0090, RM0383, RM0390: chapter on PWR, regulator voltage scaling (VOS); from memory"
_F4_OVERDRIVE = "RM0090, RM0390: chapter on PWR, over-drive mode; from memory"
_G4_RANGES = "RM0440: chapter on PWR, dynamic voltage scaling; from memory"
_G4_FLASH = "RM0440: chapter on FLASH, wait states by clock and range; from memory"
_L4_RANGES = "RM0351, RM0432: chapter on PWR, dynamic voltage scaling; from memory"
_L4_FLASH = "RM0351, RM0432: chapter on FLASH, wait states by clock and range; from memory"
_WB_FLASH = "RM0434: chapter on FLASH, wait states by clock and range; from memory"

RULES: tuple[ClockRule, ...] = (
    *_allow("TQ_STM32_F0", ((8, 48),), "RM0091: chapters on RCC (PLL) and FLASH_ACR; from memory"),
    *_allow(
        "TQ_STM32_F1", ((8, 72),), "RM0008: chapter on RCC (PLL); PM0075, FLASH_ACR; from memory"
    ),
    *_allow("TQ_STM32_F4", ((84, 180),), _F4_SCALES),
    ClockRule(
        "TQ_STM32_F4",
        168,
        180,
        "TQ_OVERDRIVE",
        (1,),
        "the regulator needs over-drive above 168 MHz",
        _F4_OVERDRIVE,
    ),
    # Chips of up to 100 MHz start with scale 2, the faster ones with scale 1. The same bits mean
    # other scales there, so only what is enough on both is allowed.
    _scale(0, 84, 0, 2, 3, why="bears up to 64 MHz with scale 3 on chips of up to 100 MHz"),
    _scale(84, 100, 3, why="needs scale 1 above 84 MHz on chips of up to 100 MHz"),
    _scale(100, 120, 0, 1, 2, 3, why="has four settings"),
    _scale(120, 144, 0, 2, 3, why="bears up to 120 MHz with scale 3"),
    _scale(144, 180, 0, 3, why="bears up to 144 MHz with scale 2"),
    *_allow(
        "TQ_STM32_F7", ((50, 216),), "RM0385, RM0410: chapters on RCC (PLL) and PWR; from memory"
    ),
    *_allow("TQ_STM32_G4", ((8, 170),), _G4_RANGES),
    ClockRule(
        "TQ_STM32_G4",
        150,
        170,
        "TQ_BOOST",
        (1,),
        "the regulator needs its boost mode above 150 MHz",
        _G4_RANGES,
    ),
    *_wait("TQ_STM32_G4", 30, 0, 150, _G4_FLASH),
    *_wait("TQ_STM32_G4", 34, 150, 170, _G4_FLASH),
    *_allow("TQ_STM32_H7", ((400, 400),), "RM0433: chapters on RCC (PLL1) and FLASH; from memory"),
    *_allow("TQ_STM32_L4", ((8, 120),), _L4_RANGES),
    ClockRule(
        "TQ_STM32_L4",
        80,
        120,
        "TQ_BOOST",
        (1,),
        "the regulator needs its boost mode above 80 MHz",
        _L4_RANGES,
    ),
    # The L4+ alone is faster than 80 MHz; below, its flash bears more than that of the L4.
    *_wait("TQ_STM32_L4", 16, 0, 80, _L4_FLASH),
    *_wait("TQ_STM32_L4", 20, 80, 120, _L4_FLASH),
    *_allow(
        "TQ_STM32_U5", ((160, 160),), "RM0456: chapters on RCC (PLL1), PWR and FLASH; from memory"
    ),
    *_allow(
        "TQ_STM32_WB", ((8, 64),), "RM0434: chapter on PWR, dynamic voltage scaling; from memory"
    ),
    *_wait("TQ_STM32_WB", 18, 0, 64, _WB_FLASH),
    *_allow(
        "nrf",
        ((16, 16), (64, 64)),
        "nRF51 Series Reference Manual, nRF52840 PS: CLOCK; from memory",
    ),
    *_allow("nrf53", ((64, 64), (128, 128)), "nRF5340 PS: CLOCK, HFCLKCTRL; from memory"),
    *_allow("rp2040", ((63, 133),), "RP2040 DS: PLL, electrical specifications; from memory"),
)
