"""Target host: the firmware as a process on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinyq.errors import LinkError
from tinyq.targets.session import Session
from tinyq.targets.streams import ProcessStream
from tinyq.targets.symbols import read_identity

if TYPE_CHECKING:
    from tinyq.firmware.build import Image


def open(image: Image, address: str = "", *, counting: bool = False) -> Session:  # noqa: A001
    """Start the image as a process and greet it.

    Args:
        image: Firmware built for the board `host`.
        address: Must be empty.
        counting: Ignored; only emulators count.

    Raises:
        LinkError: If the image is not for the host, cannot be started or does not answer.
    """
    if address:
        raise LinkError(f"target host takes no address, not {address!r}", remedy="say host")
    where = f"host process {image.elf.name}"
    if image.board.port != "host":
        raise LinkError(
            f"the image is built for board {image.board.name}, not for the host",
            where=where,
            remedy="build with --board host, or measure with --target qemu",
        )

    def connect() -> ProcessStream:
        return ProcessStream([str(image.elf)])

    return Session(connect, where, read_identity(image.elf))
