"""Target qemu: the board's image, unchanged, in an emulated board."""

from __future__ import annotations

import functools
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinyq.errors import LinkError, ToolMissing
from tinyq.targets import counts
from tinyq.targets.counting import EmulatorLink

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tinyq.firmware.build import Image
    from tinyq.hardware.boards import Board


@dataclass(frozen=True, slots=True)
class _Emulator:
    program: str
    options: tuple[str, ...]
    remedy: str


_ARM = _Emulator(
    "qemu-system-arm", (), "apt-get install qemu-system-arm (macOS: brew install qemu)"
)
_RISCV = _Emulator(
    "qemu-system-riscv32",
    ("-bios", "none"),
    "apt-get install qemu-system-misc (macOS: brew install qemu)",
)


class QemuLink(EmulatorLink):
    """A greeted device in QEMU."""

    def profile(self, packed: NDArray[np.uint8]) -> tuple[int, ...] | None:
        """Return `None`: QEMU models no time, so a timer that it has counts no cycles."""
        return None


def open(  # noqa: A001
    image: Image, address: str = "", *, counting: bool = False, costs: bool = False
) -> QemuLink:
    """Boot the image in QEMU and greet it.

    Args:
        image: Firmware of a board that names a QEMU machine.
        address: Must be empty.
        counting: Count executed instructions.
        costs: When counting, count what each instruction does as well, which takes longer.

    Raises:
        ToolMissing: If QEMU, or for counting a C compiler, is not installed.
        LinkError: If the board has no emulated twin, or the device does not answer as it should.
    """
    if address:
        raise LinkError(f"target qemu takes no address, not {address!r}", remedy="say qemu")
    command = machine_command(image)
    flash = code_memory(image.board) if costs else None
    counter = functools.partial(counts.plugin_arguments, command[0], flash=flash)
    where = f"{Path(command[0]).name} -machine {image.board.qemu_machine}"
    return QemuLink(image, command, where, counter if counting else None)


def code_memory(board: Board) -> range:
    """Return the addresses of a board's code memory."""
    return range(board.flash_origin, board.flash_origin + board.flash_bytes)


def _find_emulator(emulator: _Emulator) -> str:
    program = shutil.which(emulator.program)
    if program is None:
        raise ToolMissing(f"{emulator.program} is not installed", remedy=emulator.remedy)
    return program


def machine_command(image: Image) -> list[str]:
    """Return the command that runs an image, with its line on standard input and output.

    Raises:
        ToolMissing: If QEMU is not installed.
        LinkError: If QEMU does not have the board.
    """
    board = image.board
    if not board.qemu_machine:
        raise LinkError(
            f"QEMU has no machine for board {board.name}",
            remedy="choose a board with an emulator (`tinyq boards`), or --target serial:PORT",
        )
    emulator = _RISCV if board.isa == "rv32" else _ARM
    command = [_find_emulator(emulator), *emulator.options]
    command += ["-machine", board.qemu_machine, "-kernel", str(image.elf)]
    command += ["-display", "none", "-monitor", "none", "-nodefaults"]
    if board.has_semihosting:
        return [*command, "-semihosting-config", "enable=on,target=native", "-serial", "null"]
    # mux puts 32 bytes of buffer before a UART without one, which makes the line five times faster.
    # Its escape character must not occur in the data, so it is none of the 256 bytes.
    command += ["-chardev", "stdio,id=line,signal=off,mux=on", "-echr", "0x1ff"]
    for _ in range(board.qemu_serial):
        command += ["-serial", "null"]
    return [*command, "-serial", "chardev:line"]
