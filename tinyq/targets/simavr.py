"""Target simavr: the image of an AVR board in an emulated chip, which knows cycles too."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from tinyq.errors import LinkError, ToolMissing
from tinyq.resources import FIRMWARE
from tinyq.targets import counts
from tinyq.targets.session import Session
from tinyq.targets.streams import ProcessStream
from tinyq.targets.symbols import read_functions, read_identity

if TYPE_CHECKING:
    from tinyq.build import Image

_SOURCE = FIRMWARE / "emulator" / "tq_simavr.c"
_COMPILERS = ("cc", "gcc", "clang")
# simavr's own headers are written in GNU C.
_FLAGS = ("-std=gnu99", "-O2", "-D_GNU_SOURCE")
_REMEDY = "apt-get install libsimavr-dev libelf-dev gcc libc6-dev"


class SimavrLink(Session):
    """A greeted AVR in simavr, which can count instructions.

    Args:
        image: Firmware of a board with an emulated twin.
        counting: Write the counts when it ends.
        costs: Count what each instruction does as well.
    """

    def __init__(self, image: Image, *, counting: bool, costs: bool = False) -> None:
        identity = read_identity(image.elf)
        if identity is None:
            raise LinkError("the image is no ELF", where=str(image.elf), remedy="build it again")
        command = chip_command(image)
        self._elf = image.elf
        self._counts_file: Path | None = None
        if counting:
            folder = Path(tempfile.mkdtemp(prefix="tinyq-counts-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            self._counts_file = folder / "counts.csv"
            command += counts.settings(
                read_functions(image.elf),
                identity.layers,
                self._counts_file,
                range(image.board.flash_bytes) if costs else None,
            )
        super().__init__(
            lambda: ProcessStream(command), f"simavr {image.board.simavr_mcu}", identity
        )

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
) -> SimavrLink:
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
    return SimavrLink(image, counting=counting, costs=costs)


def chip_command(image: Image) -> list[str]:
    """Return the command that runs an image with its serial line on standard input and output.

    Raises:
        ToolMissing: If a C compiler or the library is not installed.
        LinkError: If the board has no emulated twin.

    Twin: parse_setting in firmware/emulator/tq_simavr.c.
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
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        raise ToolMissing("simavr needs a C compiler for this machine", remedy=_REMEDY)
    identity = "\0".join([compiler, *_FLAGS]).encode() + _SOURCE.read_bytes()
    runner = counts.cache_folder() / f"tq_simavr-{hashlib.sha256(identity).hexdigest()[:16]}"
    if not runner.exists():
        _compile([compiler, *_FLAGS], runner)
    return runner


def _compile(command: list[str], runner: Path) -> None:
    runner.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=runner.parent) as folder:
        built = Path(folder) / runner.name
        done = subprocess.run(
            [*command, "-o", str(built), str(_SOURCE), "-lsimavr"],
            capture_output=True,
            text=True,
            check=False,
        )
        if "simavr/sim_avr.h" in done.stderr or "-lsimavr" in done.stderr:
            raise ToolMissing("the library of simavr is not installed", remedy=_REMEDY)
        if done.returncode != 0:
            raise LinkError(
                f"the program around simavr does not compile: {done.stderr.strip()}",
                where=_SOURCE.name,
                remedy=f"check that {command[0]} can build programs with simavr 1.6",
            )
        built.replace(runner)
