"""Drives that a board shows to take firmware: finding them, copying, the UF2 format."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from tinyq.errors import LinkError

_BLOCK_BYTES = 256
_UF2_MAGIC = (0x0A324655, 0x9E5D5157, 0x0AB16F30)
_HAS_FAMILY = 0x00002000
_REPORT_SECONDS = 4.0


def make_uf2(binary: bytes, origin: int, family: int) -> bytes:
    """Return an image as UF2 blocks of 512 bytes, each with 256 bytes of content.

    Args:
        binary: The raw image.
        origin: Address of its first byte.
        family: Number of the chip family, such as 0xE48BFF56 for the RP2040.

    Source: "USB Flashing Format (UF2)", github.com/microsoft/uf2.
    """
    first, second, last = _UF2_MAGIC
    count = -(-len(binary) // _BLOCK_BYTES)
    blocks = []
    for number in range(count):
        content = binary[number * _BLOCK_BYTES : (number + 1) * _BLOCK_BYTES]
        address = origin + number * _BLOCK_BYTES
        head = (first, second, _HAS_FAMILY, address, _BLOCK_BYTES, number, count, family)
        blocks.append(struct.pack("<8I476sI", *head, content, last))
    return b"".join(blocks)


def copy_to_drive(
    data: bytes, name: str, label: str, remedy: str, serial_number: str | None = None
) -> None:
    """Copy a file to the drive of a label; the board then resets itself.

    Args:
        data: Content.
        name: File name on the drive.
        label: Name of the drive.
        remedy: How the drive is made to appear.
        serial_number: Of the board's probe, which DAPLink writes into DETAILS.TXT; None for any.

    Raises:
        LinkError: There is no such drive, it cannot be written, or the board rejects the file.
    """
    drives = list(find_drives(label))
    if serial_number:
        drives = [drive for drive in drives if _may_belong(drive, serial_number)]
    if len(drives) != 1:
        found = "no drive" if not drives else f"{len(drives)} drives"
        raise LinkError(
            f"{found} named {label} found",
            where=", ".join(map(str, drives)) or None,
            remedy=remedy if not drives else "unplug all but one, or say which with --probe",
        )
    target = drives[0] / name
    try:
        with target.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except PermissionError:
        raise LinkError(
            "there is no permission to write to the drive",
            where=str(drives[0]),
            remedy="mount it for this user",
        ) from None
    except OSError as error:
        # The board may leave with its drive as soon as it has the last block.
        if drives[0].exists():
            raise LinkError(
                f"the drive cannot be written: {error.strerror}", where=str(drives[0])
            ) from None
    _check_report(drives[0])


def find_drives(label: str) -> Iterator[Path]:
    """Yield the folders at which drives of a label are mounted (Linux and macOS)."""
    for folder in _mount_folders():
        if folder.name == label and folder.is_dir():
            yield folder


def _may_belong(drive: Path, serial_number: str) -> bool:
    """Whether the board behind a drive has a serial number, or does not tell it."""
    try:
        return serial_number in (drive / "DETAILS.TXT").read_text("utf-8", "replace")
    except OSError:
        return True


def _mount_folders() -> Iterator[Path]:
    for root in ("/Volumes", "/media", "/run/media", "/mnt"):
        for pattern in ("*", "*/*"):
            yield from Path(root).glob(pattern)


def _check_report(drive: Path) -> None:
    """DAPLink says in FAIL.TXT why it has not taken a file, once the drive is back."""
    report = drive / "FAIL.TXT"
    limit = time.monotonic() + _REPORT_SECONDS
    while drive.exists() and time.monotonic() < limit:
        if report.is_file():
            raise LinkError(
                f"the board rejects the file: {report.read_text('utf-8', 'replace').strip()}",
                where=str(drive),
                remedy="check that the image is for this board, then plug it in again",
            )
        time.sleep(0.2)
