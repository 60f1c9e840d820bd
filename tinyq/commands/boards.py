from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinyq.commands.output import JsonOption, print_json, print_table

if TYPE_CHECKING:
    from tinyq.hardware.boards import Board


def boards(
    name: Annotated[str | None, typer.Argument(help="A board, to show all about it.")] = None,
    json: JsonOption = False,
) -> None:
    """List the boards that firmware can be built for, or show one."""
    from tinyq.hardware.boards import find_board, load_aliases, load_boards

    aliases: dict[str, list[str]] = {}
    for alias, known in load_aliases().items():
        aliases.setdefault(known, []).append(alias)
    if name is not None:
        _show(find_board(name), aliases, json)
        return
    catalogue = [board for _, board in sorted(load_boards().items())]
    if json:
        print_json([_facts(board, aliases) for board in catalogue])
        return
    print_table(
        "boards",
        ("name", "title", "isa", "flash KiB", "RAM KiB", "MHz", "built by", "tested on"),
        [
            (
                ", ".join([*aliases.get(board.name, []), board.name]),
                board.title,
                board.isa,
                f"{board.flash_bytes / 1024:g}",
                f"{board.ram_bytes / 1024:g}",
                f"{board.clock_hz / 1e6:g}",
                board.toolchain,
                _name_evidence(board),
            )
            for board in catalogue
        ],
        right=("flash KiB", "RAM KiB", "MHz"),
    )


def _facts(board: Board, aliases: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "name": board.name,
        "aliases": aliases.get(board.name, []),
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


def _show(board: Board, aliases: dict[str, list[str]], as_json: bool) -> None:
    from tinyq.measurement.places import find_sibling

    sibling = find_sibling(board)
    if as_json:
        print_json({**_facts(board, aliases), "counted_on": sibling})
        return
    emulator = board.qemu_machine or board.simavr_mcu
    rows = (
        ("title", board.title),
        ("also called", ", ".join(aliases.get(board.name, []))),
        ("instruction set", board.isa),
        ("flash", f"{board.flash_bytes:,} bytes" if board.flash_bytes else ""),
        ("RAM", f"{board.ram_bytes:,} bytes" if board.ram_bytes else ""),
        ("  kept for the stack", f"{board.stack_bytes:,} bytes" if board.stack_bytes else ""),
        ("clock", f"{board.clock_hz / 1e6:g} MHz" if board.clock_hz else ""),
        ("built by", board.toolchain),
        ("written by", board.flasher[0] if board.flasher else ""),
        ("serial line", f"{board.serial.baud:,} baud" if board.port != "host" else ""),
        ("  USB id", board.serial.usb or ""),
        ("PlatformIO id", board.platformio or ""),
        ("emulated by", _name_evidence(board) if emulator else "nothing"),
        ("same core, emulated", sibling or ""),
        ("port tested on", _name_evidence(board)),
        ("source", board.source or ""),
    )
    print_table(board.name, ("what", "value"), [row for row in rows if row[1]])


def _name_evidence(board: Board) -> str:
    """Return what has run the board's port; `untested` where nothing has."""
    if board.tested == "no":
        return "untested"
    if board.simavr_mcu:
        return f"simavr {board.simavr_mcu}"
    return f"qemu {board.qemu_machine}" if board.qemu_machine else "here"
