from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tinyq.hardware import boards as catalogue
from tinyq.hardware.boards import Board
from tinyq.measurement.places import find_sibling
from tinyq.support.documents import stamp
from tinyq.support.tables import Part, Shown, Table


@dataclass(frozen=True, slots=True, repr=False)
class BoardEntry(Shown):
    """A board of the catalogue.

    Attributes:
        board: What is known of it.
        aliases: Other names that are understood.
    """

    board: Board
    aliases: tuple[str, ...]

    @property
    def name(self) -> str:
        """What commands and functions call it by."""
        return self.board.name

    @property
    def sibling(self) -> str | None:
        """An emulated board with the same core; None where there is none."""
        return find_sibling(self.board)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return stamp("board", {**describe_board(self), "counted_on": self.sibling})

    def parts(self) -> list[Part]:
        """All that is known, a line each."""
        rows = [row for row in _list_facts(self) if row[1]]
        return [Table(self.name, ("what", "value"), rows)]


@dataclass(frozen=True, slots=True, repr=False)
class BoardList(Shown):
    """All boards that firmware can be built for, sorted by name.

    Attributes:
        entries: The boards.
    """

    entries: tuple[BoardEntry, ...]

    def __iter__(self) -> Iterator[BoardEntry]:
        return iter(self.entries)

    def __len__(self) -> int:
        """Number of boards."""
        return len(self.entries)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return stamp("boards", {"boards": [describe_board(entry) for entry in self.entries]})

    def parts(self) -> list[Part]:
        """One table."""
        columns = ("name", "title", "isa", "flash KiB", "RAM KiB", "MHz", "built by", "tested on")
        rows = [_make_row(entry) for entry in self.entries]
        return [Table("boards", columns, rows, right=("flash KiB", "RAM KiB", "MHz"))]


def boards(name: str | None = None) -> BoardList | BoardEntry:
    """List the boards that firmware can be built for, or show one.

    Args:
        name: A board, to show all about it.

    Raises:
        BoardError: There is no board of that name.
    """
    if name is not None:
        return _make_entry(catalogue.find_board(name))
    return BoardList(
        tuple(_make_entry(board) for _, board in sorted(catalogue.load_boards().items()))
    )


def _make_entry(board: Board) -> BoardEntry:
    known = catalogue.load_aliases()
    return BoardEntry(board, tuple(alias for alias, name in known.items() if name == board.name))


def describe_board(entry: BoardEntry) -> dict[str, Any]:
    """Plain data of one board."""
    board = entry.board
    return {
        "name": board.name,
        "aliases": list(entry.aliases),
        "title": board.title,
        "isa": board.isa,
        "flash_bytes": board.flash_bytes,
        "ram_bytes": board.ram_bytes,
        "clock_hz": board.clock_hz,
        "qemu_machine": board.qemu_machine,
        "simavr_mcu": board.simavr_mcu,
        "tested": board.tested,
        "toolchain": board.toolchain,
        "platformio": board.platformio,
        "serial_usb": board.serial.usb,
        "flasher": board.flasher[0] if board.flasher else None,
        "source": board.source,
    }


def _make_row(entry: BoardEntry) -> tuple[str, ...]:
    board = entry.board
    return (
        ", ".join([*entry.aliases, board.name]),
        board.title,
        board.isa,
        f"{board.flash_bytes / 1024:g}",
        f"{board.ram_bytes / 1024:g}",
        f"{board.clock_hz / 1e6:g}",
        board.toolchain,
        _name_evidence(board),
    )


def _list_facts(entry: BoardEntry) -> tuple[tuple[str, str], ...]:
    board = entry.board
    emulator = board.qemu_machine or board.simavr_mcu
    return (
        ("title", board.title),
        ("also called", ", ".join(entry.aliases)),
        ("instruction set", board.isa),
        ("flash", _show(board.flash_bytes, "bytes")),
        ("RAM", _show(board.ram_bytes, "bytes")),
        ("  kept for the stack", _show(board.stack_bytes, "bytes")),
        ("clock", f"{board.clock_hz / 1e6:g} MHz" if board.clock_hz else ""),
        ("built by", board.toolchain),
        ("written by", board.flasher[0] if board.flasher else ""),
        ("serial line", _show(board.serial.baud, "baud") if board.port != "host" else ""),
        ("  USB id", board.serial.usb or ""),
        ("PlatformIO id", board.platformio or ""),
        ("emulated by", _name_evidence(board) if emulator else "nothing"),
        ("same core, emulated", entry.sibling or ""),
        ("port tested on", _name_evidence(board)),
        ("source", board.source or ""),
    )


def _show(number: int, unit: str) -> str:
    return f"{number:,} {unit}" if number else ""


def _name_evidence(board: Board) -> str:
    """Return what has run the board's port; `untested` where nothing has."""
    if board.tested == "no":
        return "untested"
    if board.simavr_mcu:
        return f"simavr {board.simavr_mcu}"
    return f"qemu {board.qemu_machine}" if board.qemu_machine else "here"
