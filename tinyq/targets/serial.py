"""Target serial:PORT: a board on a serial port."""

from __future__ import annotations

import difflib
import errno
from typing import TYPE_CHECKING

from tinyq.errors import LinkError
from tinyq.targets.session import Session
from tinyq.targets.streams import PortStream, port_errors
from tinyq.targets.symbols import read_identity

if TYPE_CHECKING:
    from tinyq.firmware.build import Image


def open(image: Image, address: str = "", *, counting: bool = False) -> Session:  # noqa: A001
    """Open a serial port and greet the board behind it.

    Args:
        image: The firmware that the board has been flashed with.
        address: Device name, such as /dev/ttyACM0 or COM3, or a URL that pyserial understands.
        counting: Ignored; only emulators count.

    Raises:
        LinkError: If the port cannot be opened or the device does not answer as it should.
    """
    ports = list_ports()
    if not address:
        raise LinkError("target serial needs a port", remedy=_advise("", ports))
    baud = image.board.serial.baud
    return Session(
        lambda: _connect(address, baud), f"{address} at {baud} baud", read_identity(image.elf)
    )


def list_ports() -> tuple[str, ...]:
    """Return the serial ports of this machine, sorted."""
    from serial.tools import list_ports as listing

    return tuple(sorted(port.device for port in listing.comports()))


def _connect(address: str, baud: int) -> PortStream:
    import serial

    try:
        port = serial.serial_for_url(address, baudrate=baud, do_not_open=True)
        if "://" not in address:
            port.exclusive = True
        port.open()
    except ValueError as error:
        raise LinkError(f"the port cannot be opened: {error}", where=address) from None
    except port_errors() as error:
        raise _explain(address, error) from None
    return PortStream(port)


def _explain(address: str, error: Exception) -> LinkError:
    number = getattr(error, "errno", None)
    text = str(error).lower()
    if number == errno.ENOENT or "filenotfound" in text:
        message, remedy = "there is no such serial port", _advise(address, list_ports())
    elif number in {errno.EACCES, errno.EPERM} and "access is denied" not in text:
        message = "no permission to open the serial port"
        remedy = "sudo usermod -aG dialout $USER, then log in again"
    elif number in {errno.EBUSY, errno.EAGAIN} or "lock" in text or "denied" in text:
        message = "the serial port is busy"
        remedy = "close the other program (monitor, modem manager) that holds it"
    elif number in {errno.ENOTTY, errno.EISDIR} or "inappropriate ioctl" in text:
        message, remedy = "this is no serial port", _advise(address, list_ports())
    else:
        message, remedy = f"the serial port cannot be opened: {error}", "check the name"
    return LinkError(message, where=address, remedy=remedy)


def _advise(address: str, ports: tuple[str, ...]) -> str:
    if not ports:
        return "plug the board in: this machine has no serial port now"
    near = difflib.get_close_matches(address, ports, n=3, cutoff=0.5) or ports
    return f"plug the board in, or name one of the ports that are there: {', '.join(near)}"
