"""Which port and which probe are one board: by USB id, serial number and interface."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinyq.errors import LinkError, TinyqError

if TYPE_CHECKING:
    from tinyq.hardware.boards import Board

# One bridge shows another product id with another firmware (without mass storage, with two serial
# lines), so a board answers to all of a row. ST-LINK/V2-1, ST-LINK/V3, J-Link OB.
_BRIDGES: Sequence[frozenset[str]] = (
    frozenset({"0483:374b", "0483:3752"}),
    frozenset({"0483:374e", "0483:374f", "0483:3753", "0483:3754"}),
    frozenset({"1366:1015", "1366:1051", "1366:1055", "1366:1061"}),
)
# Bridges that are debug probes, whose serial number is the port's: ST-LINK, J-Link, DAPLink, Debug
# Probe, EDBG.
_PROBES = re.compile(r"0483:37[45].|1366:....|0d28:0204|2e8a:000c|03eb:21..")
_NUMBER = re.compile(r"[0-9A-Za-z._-]+")


@dataclass(frozen=True, slots=True)
class Port:
    """A serial port of this machine.

    Attributes:
        device: Its name.
        usb: USB id as of boards.yaml, empty for a port that is none of USB.
        serial_number: Of the USB device, empty where it has none.
        location: Where it is plugged in, and which interface it is: "1-1:1.2".
    """

    device: str
    usb: str
    serial_number: str
    location: str

    @property
    def owner(self) -> str:
        """What all ports of one board share: the serial number, or where it is plugged in."""
        return self.serial_number or self.location.partition(":")[0] or self.device


def list_usb_ports() -> list[Port]:
    """The serial ports of this machine, by interface and name."""
    from serial.tools import list_ports

    ports = [
        Port(
            port.device,
            "" if port.vid is None or port.pid is None else f"{port.vid:04x}:{port.pid:04x}",
            getattr(port, "serial_number", None) or "",
            getattr(port, "location", None) or "",
        )
        for port in list_ports.comports()
    ]
    return sorted(ports, key=lambda port: (port.location, port.device))


def find_port(board: Board, probe: str | None = None) -> str | None:
    """The serial port whose USB id is the board's; None when none is plugged in.

    Args:
        board: Its entry has the id, and which of the ports of one board is the firmware's.
        probe: Serial number that the board must have, None for any.

    Raises:
        LinkError: Several boards are plugged in.
    """
    if board.serial.usb is None:
        return None
    ids = _list_ids(board.serial.usb)
    owners: dict[str, list[Port]] = {}
    for port in list_usb_ports():
        if port.usb in ids and probe in (None, port.serial_number):
            owners.setdefault(port.owner, []).append(port)
    if len(owners) > 1:
        raise LinkError(
            f"{len(owners)} boards with the USB id {board.serial.usb} are plugged in",
            where=", ".join(_describe(ports) for ports in owners.values()),
            remedy="say which one with --port or --probe",
        )
    for ports in owners.values():
        return ports[min(board.serial.interface, len(ports) - 1)].device
    return None


def find_probe(device: str | None) -> str | None:
    """Serial number of the debug probe that a serial port belongs to; None where it is of none."""
    if device is None:
        return None
    device = os.path.realpath(device)  # a name under /dev/serial/by-id
    for port in list_usb_ports():
        known = _PROBES.fullmatch(port.usb) and _NUMBER.fullmatch(port.serial_number)
        if port.device == device and known:
            return port.serial_number
    return None


def check_probe(number: str) -> str:
    """The serial number that a user has given.

    Raises:
        TinyqError: No probe has such a number.
    """
    if not _NUMBER.fullmatch(number):
        raise TinyqError(
            f"{number!r} is no serial number of a probe",
            where="--probe",
            remedy="give the letters and digits that `pyocd list` or `st-info --probe` print",
        )
    return number


def _list_ids(usb: str) -> Iterable[str]:
    return next((ids for ids in _BRIDGES if usb in ids), frozenset({usb}))


def _describe(ports: Sequence[Port]) -> str:
    names = ", ".join(sorted(port.device for port in ports))
    number = ports[0].serial_number
    return f"{names} (serial number {number})" if number else names
