"""Target qemu: the board's image, unchanged, in an emulated board."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinyq.errors import LinkError, ToolMissing
from tinyq.targets import counts
from tinyq.targets.session import Session
from tinyq.targets.streams import ProcessStream
from tinyq.targets.symbols import read_functions, read_identity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tinyq.boards import Board
    from tinyq.build import Image


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


class EmulatorLink(Session):
    """A greeted device in QEMU, which can count instructions.

    Args:
        image: Firmware of a board with an emulated twin.
        counting: Load the counting plugin.
        costs: Count what each instruction does as well, which takes longer.
    """

    def __init__(self, image: Image, *, counting: bool, costs: bool = False) -> None:
        identity = read_identity(image.elf)
        if identity is None:
            raise LinkError("the image is no ELF", where=str(image.elf), remedy="build it again")
        command = _machine_command(image)
        self._elf = image.elf
        self._counts_file: Path | None = None
        if counting:
            folder = Path(tempfile.mkdtemp(prefix="tinyq-counts-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            self._counts_file = folder / "counts.csv"
            command += counts.plugin_arguments(
                command[0],
                read_functions(image.elf),
                identity.layers,
                self._counts_file,
                code_memory(image.board) if costs else None,
            )
        where = f"{Path(command[0]).name} -machine {image.board.qemu_machine}"
        super().__init__(lambda: ProcessStream(command), where, identity)

    def profile(self, packed: NDArray[np.uint8]) -> tuple[int, ...] | None:
        """Return `None`: QEMU models no time, so a timer that it has counts no cycles."""
        return None

    def instruction_counts(self) -> counts.InstructionCounts | None:
        """End the emulator and return what it counted; `None` when it was started without.

        Raises:
            LinkError: If the emulator wrote no counts.
        """
        self.close()
        if self._counts_file is None:
            return None
        return counts.read(self._counts_file, read_functions(self._elf), self._info.layers)


def open(  # noqa: A001
    image: Image, address: str = "", *, counting: bool = False, costs: bool = False
) -> EmulatorLink:
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
    return EmulatorLink(image, counting=counting, costs=costs)


def code_memory(board: Board) -> range:
    """Return the addresses of a board's code memory."""
    return range(board.flash_origin, board.flash_origin + board.flash_bytes)


def _find_emulator(emulator: _Emulator) -> str:
    program = shutil.which(emulator.program)
    if program is None:
        raise ToolMissing(f"{emulator.program} is not installed", remedy=emulator.remedy)
    return program


def _machine_command(image: Image) -> list[str]:
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
    # mux puts 32 bytes of buffer before a UART without one, which makes the line five times faster.
    # Its escape character must not occur in the data, so it is none of the 256 bytes.
    command += ["-chardev", "stdio,id=line,signal=off,mux=on", "-echr", "0x1ff"]
    for _ in range(board.qemu_serial):
        command += ["-serial", "null"]
    return [*command, "-serial", "chardev:line"]
