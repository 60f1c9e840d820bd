"""A device in an emulator, which can count what it executes."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tinyq.errors import LinkError
from tinyq.targets import counts
from tinyq.targets.session import Session
from tinyq.targets.streams import ProcessStream
from tinyq.targets.symbols import Functions, read_functions, read_identity

if TYPE_CHECKING:
    from tinyq.firmware.build import Image

Counter = Callable[[Functions, int, Path], list[str]]
"""Words that make an emulator count, of the image's functions, its layers and the file to write."""


class EmulatorLink(Session):
    """A greeted device in an emulator.

    Args:
        image: Firmware of a board with an emulated stand-in.
        command: Starts the emulator.
        where: What runs it, for messages.
        counter: Adds the words that make it count; None to count nothing.
    """

    def __init__(
        self, image: Image, command: Sequence[str], where: str, counter: Counter | None
    ) -> None:
        identity = read_identity(image.elf)
        if identity is None:
            raise LinkError("the image is no ELF", where=str(image.elf), remedy="build it again")
        self._elf = image.elf
        self._counts_file: Path | None = None
        words = list(command)
        if counter:
            folder = Path(tempfile.mkdtemp(prefix="tinyq-counts-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            self._counts_file = folder / "counts.csv"
            words += counter(read_functions(image.elf), identity.layers, self._counts_file)
        super().__init__(lambda: ProcessStream(words), where, identity)

    def instruction_counts(self) -> counts.InstructionCounts | None:
        """End the emulator and return what it counted; `None` when it was started without.

        Raises:
            LinkError: If the emulator wrote no counts.
        """
        self.close()
        if self._counts_file is None:
            return None
        return counts.read(self._counts_file, read_functions(self._elf), self._info.layers)
