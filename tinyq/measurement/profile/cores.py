"""What instructions cost on which core: cores.yaml, read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tinyq.errors import BoardError
from tinyq.hardware.boards import Board

_TABLE = Path(__file__).with_name("cores.yaml")
_OTHER = "other"
_CONDITION = re.compile(r"(.+)(eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le|hs|lo|al)")
_FLAGS = re.compile(r"(.+)s")
_PREDICATE = re.compile(r"(v.+)[te]")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of instructions.

    Attributes:
        name: What the table of cycles calls it.
        group: What a profile shows: load, store, ALU, MAC ...
        access: What an execution reads or writes, where the emulator does not say: flash, other,
            store.
    """

    name: str
    group: str
    access: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """How well an estimate met published results.

    Attributes:
        board: Board of the results.
        stack: Software of the results.
        error: Least and largest difference, measured against estimated, in percent.
        note: What the comparison needed.
    """

    board: str
    stack: str
    error: tuple[float, float]
    note: str


@dataclass(frozen=True, slots=True)
class Core:
    """Timings of a core.

    Attributes:
        name: As in -mcpu=, or the instruction set.
        title: For people.
        architecture: Whose kinds of instructions it has.
        source: Document that the timings come from.
        cycles: (fixed, per register) by kind; None where only counts are known.
        taken: More cycles when a branch is taken.
        overlap: Fewer cycles for a load right after an independent load.
        wait: More cycles for an address that the instruction before has computed.
        counts_on: Emulated board that runs its code, None without one.
        checked: Published results that estimates were compared with.
    """

    name: str
    title: str
    architecture: str
    source: str
    cycles: Mapping[str, tuple[int, int]] | None
    taken: int
    overlap: int
    wait: int
    counts_on: str | None
    checked: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class BoardConstant:
    """What a board adds to its core's cycles.

    Attributes:
        board: Name in boards.yaml.
        core: The core whose estimate it continues.
        clock_hz: Clock for which it holds.
        cycles_per_flash_load: Cycles for each data load from flash.
        error: Least and largest difference, measured against predicted, in percent.
        source: Results that it was fitted to.
        nanojoules_per_cycle: Energy of a cycle while it computes; None where none is known.
        energy_source: Where that comes from.
    """

    board: str
    core: str
    clock_hz: int
    cycles_per_flash_load: float
    error: tuple[float, float]
    source: str
    nanojoules_per_cycle: float | None = None
    energy_source: str | None = None


def find_core(board: Board) -> Core:
    """Return the core of a board, by its compiler flags or its instruction set.

    Raises:
        BoardError: No core of cores.yaml is the board's.
    """
    flags = [flag.removeprefix("-mcpu=") for flag in board.cflags if flag.startswith("-mcpu=")]
    name = flags[-1].split("+")[0] if flags else board.isa
    if name not in core_names():
        raise BoardError(
            f"no emulated core stands for {board.title}",
            where=f"board {board.name}",
            remedy=f"build for a board with one of these cores: {', '.join(core_names())}",
        )
    return core_named(name)


def core_named(name: str) -> Core:
    """Return a core by its name.

    Raises:
        BoardError: There is none of that name.
    """
    cores = _read_table()["cores"]
    if name not in cores:
        raise BoardError(
            f"no timings and no instruction classes are known for the core {name!r}",
            where=_TABLE.name,
            remedy=f"choose one of {', '.join(cores)}",
        )
    entry = cores[name]
    return Core(
        name=name,
        title=entry["title"],
        architecture=entry["architecture"],
        source=entry["source"],
        cycles=_read_cycles(entry["cycles"]),
        taken=entry.get("taken", 0),
        overlap=entry.get("overlap", 0),
        wait=entry.get("wait", 0),
        counts_on=entry.get("counts_on"),
        checked=tuple(Check(**{**it, "error": tuple(it["error"])}) for it in _checks(entry)),
    )


def find_constant(board: str) -> BoardConstant | None:
    """Return what is known of a board beyond its core; `None` where nothing is."""
    entry = _read_table()["boards"].get(board)
    return BoardConstant(board, **{**entry, "error": tuple(entry["error"])}) if entry else None


def core_names() -> tuple[str, ...]:
    """Return the names of all cores."""
    return tuple(_read_table()["cores"])


@cache
def classify(architecture: str, text: str) -> Kind:
    """Return the kind of an instruction.

    Args:
        architecture: arm, riscv or avr.
        text: Mnemonic and operands, such as "ldrne.w r3, [r0, #4]".
    """
    mnemonic, _, operands = text.partition(" ")
    texts = [f"{name} {operands}".strip() for name in _plain_names(architecture, mnemonic)]
    for pattern, kind in _kinds(architecture):
        if any(pattern.fullmatch(text) for text in texts):
            return kind
    return Kind(_OTHER, _OTHER)


def cycles_of(core: Core, kind: str, registers: int) -> int:
    """Cycles of one execution, branch not taken.

    Args:
        core: One with timings.
        kind: Name of the instruction's kind.
        registers: Length of its list of registers, 0 without one.
    """
    assert core.cycles is not None
    fixed, per_register = core.cycles.get(kind, core.cycles[_OTHER])
    return fixed + per_register * registers


def _plain_names(architecture: str, mnemonic: str) -> tuple[str, ...]:
    """A mnemonic as it is, then without condition, then without the flags' s, then without both."""
    if architecture != "arm":
        return (mnemonic,)
    names = [mnemonic.split(".")[0]]
    for pattern in (_CONDITION, _FLAGS, _PREDICATE):
        names += [match[1] for name in list(names) if (match := pattern.fullmatch(name))]
    return tuple(dict.fromkeys(names))


@cache
def _kinds(architecture: str) -> tuple[tuple[re.Pattern[str], Kind], ...]:
    return tuple(
        (re.compile(row["match"]), Kind(row["kind"], row["class"], row.get("access")))
        for row in _read_table()["architectures"][architecture]
    )


def _read_cycles(table: Mapping[str, Any] | None) -> Mapping[str, tuple[int, int]] | None:
    if table is None:
        return None
    pairs = {
        kind: value if isinstance(value, list) else [value, 0] for kind, value in table.items()
    }
    return MappingProxyType({kind: (pair[0], pair[1]) for kind, pair in pairs.items()})


def _checks(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(entry.get("checked", ()))


@cache
def _read_table() -> dict[str, Any]:
    import yaml

    table: dict[str, Any] = yaml.safe_load(_TABLE.read_text("utf-8"))
    return table
