from __future__ import annotations

from typing import TYPE_CHECKING

from tinyq.commands.output import JsonOption, print_json, print_table

if TYPE_CHECKING:
    from tinyq.hardware.boards import Board


def boards(json: JsonOption = False) -> None:
    """List the boards that firmware can be built for."""
    from tinyq.hardware.boards import load_aliases, load_boards

    aliases: dict[str, list[str]] = {}
    for alias, name in load_aliases().items():
        aliases.setdefault(name, []).append(alias)
    catalogue = [board for _, board in sorted(load_boards().items())]
    if json:
        print_json(
            [
                {
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
                for board in catalogue
            ]
        )
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


def _name_evidence(board: Board) -> str:
    """Return what has run the board's port; `untested` where nothing has."""
    if board.tested == "no":
        return "untested"
    if board.simavr_mcu:
        return f"simavr {board.simavr_mcu}"
    return f"qemu {board.qemu_machine}" if board.qemu_machine else "here"
