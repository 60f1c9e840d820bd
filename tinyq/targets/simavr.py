"""Target simavr: the image of an AVR board in an emulated chip, which knows cycles too."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from tinyq.errors import LinkError, ToolMissing
from tinyq.targets import counts
from tinyq.targets.counting import EmulatorLink
from tinyq.targets.native import Native, compile_once

if TYPE_CHECKING:
    from tinyq.firmware.build import Image

_PACKAGES = "apt-get install libsimavr-dev libelf-dev gcc libc6-dev"


def open(  # noqa: A001
    image: Image, address: str = "", *, counting: bool = False, costs: bool = False
) -> EmulatorLink:
    """Boot the image in simavr and greet it.

    Args:
        image: Firmware of a board that names a chip of simavr.
        address: Must be empty.
        counting: Count executed instructions.
        costs: When counting, count what each instruction does as well.

    Raises:
        ToolMissing: If a C compiler or the library is not installed.
        LinkError: If the board has no emulated twin, or the device does not answer as it should.
    """
    if address:
        raise LinkError(f"target simavr takes no address, not {address!r}", remedy="say simavr")
    flash = range(image.board.flash_bytes) if costs else None
    counter = functools.partial(counts.settings, flash=flash) if counting else None
    return EmulatorLink(image, chip_command(image), f"simavr {image.board.simavr_mcu}", counter)


def chip_command(image: Image) -> list[str]:
    """Return the command that runs an image with its serial line on standard input and output.

    Raises:
        ToolMissing: If a C compiler or the library is not installed.
        LinkError: If the board has no emulated twin.

    Twin: parse_word in firmware/emulator/tq_simavr.c.
    """
    board = image.board
    if not board.simavr_mcu:
        raise LinkError(
            f"simavr has no chip for board {board.name}",
            remedy="choose a board with an emulator (`tinyq boards`), or --target serial:PORT",
        )
    binary = image.elf.with_suffix(".bin")
    settings = (f"image={binary}", f"mcu={board.simavr_mcu}", f"clock={board.clock_hz}")
    return [str(build_runner()), *settings]


def build_runner() -> Path:
    """Return the compiled program around simavr; the first call for a source compiles it.

    Raises:
        ToolMissing: If a C compiler or the library is not installed.
        LinkError: If it does not compile.
    """
    native = Native(
        source="tq_simavr.c",
        title="the program around simavr",
        purpose="simavr",
        # simavr's own headers are written in GNU C.
        flags=("-std=gnu99", "-O2", "-D_GNU_SOURCE"),
        libraries=("-lsimavr",),
        packages=_PACKAGES,
    )
    try:
        return compile_once(native)
    except LinkError as error:
        if "simavr/sim_avr.h" in error.message or "-lsimavr" in error.message:
            raise ToolMissing("the library of simavr is not installed", remedy=_PACKAGES) from None
        raise
