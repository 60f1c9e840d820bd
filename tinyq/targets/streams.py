"""What bytes travel through: a child process or a serial port, read and written alike."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import serial

_CHUNK_BYTES = 1 << 16
_WRITE_SECONDS = 30.0
_EXIT_SECONDS = 10.0
# An emulated line carries some 140,000 bytes a second, a fifth of it on a busy machine.
_EMULATED_SECONDS_PER_BYTE = 2e-4

# The shell ends the program when its own standard output, a pipe held by Python, is closed. So
# nothing keeps running, even when Python is killed.
_GUARD = (
    'exec 4<&0; "$@" <&4 >&4 4<&- & exec 0<&1 4<&-; '
    "read -r line; kill $! 2>/dev/null; wait $!; exit $?"
)


class StreamEnded(Exception):  # noqa: N818  (an event of the line, never shown to a user)
    """The other side is gone.

    Args:
        status: Exit status of the program, 128 + signal number when a signal ended it; `None` for
            a port.
        log: What the program wrote to standard error, or what the port's driver said.
    """

    def __init__(self, status: int | None, log: str = "") -> None:
        super().__init__(status, log)
        self.status = status
        self.log = log

    def describe(self) -> str:
        """What has ended, and the last line that it said."""
        said = f": {self.log.splitlines()[-1]}" if self.log else ""
        if self.status is None:
            return f"the connection has ended{said}"
        if self.status > 128:
            return f"the program was ended by signal {self.status - 128}{said}"
        return f"the program has ended with status {self.status}{said}"


class Stream(Protocol):
    """A line of bytes in both directions.

    Attributes:
        seconds_per_byte: Longest time that one byte takes.
        boots: Whether the device is starting and its boot frame has not been waited for.
        cabled: Whether a cable leads to the device; a program has none.
    """

    seconds_per_byte: float
    boots: bool
    cabled: bool

    def read(self, timeout: float) -> bytes:
        """Return what has arrived, waiting up to `timeout` seconds; empty when nothing came.

        Raises:
            StreamEnded: If the other side is gone.
        """

    def write(self, line: bytes) -> None:
        """Send all bytes.

        Raises:
            StreamEnded: If the other side is gone.
        """

    def close(self) -> None:
        """End the connection and what it started. A second call does nothing."""


@dataclass(frozen=True, slots=True)
class _Child:
    """A running program and the three things that tie it to Python."""

    process: subprocess.Popen[bytes]
    guard: IO[bytes]
    line: socket.socket
    log: IO[bytes]

    def end(self) -> tuple[int, str]:
        """Let the program end, by force if need be; return its exit status and log."""
        # A program that waits for the line, and hears of nothing else meanwhile, goes on.
        with contextlib.suppress(OSError):
            self.line.shutdown(socket.SHUT_RDWR)
        self.guard.close()
        try:
            status = self.process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            status = self.process.wait()
        self.line.close()
        self.log.seek(0)
        log = self.log.read().decode("utf-8", "replace").strip()
        self.log.close()
        return status, log


class ProcessStream:
    """A program whose standard input and output are the line.

    Args:
        command: Program and arguments.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.seconds_per_byte = _EMULATED_SECONDS_PER_BYTE
        self.boots = True
        self.cabled = False
        self._child = _start(command)
        self._finalizer = weakref.finalize(self, self._child.end)

    def read(self, timeout: float) -> bytes:
        """Return what has arrived, waiting up to `timeout` seconds."""
        try:
            self._child.line.settimeout(max(timeout, 1e-3))
            received = self._child.line.recv(_CHUNK_BYTES)
        except TimeoutError:
            return b""
        except OSError:
            received = b""
        if not received:
            raise self._end()
        return received

    def write(self, line: bytes) -> None:
        """Send all bytes. A program that takes none for long is left to the reply's time-out."""
        try:
            self._child.line.settimeout(_WRITE_SECONDS)
            self._child.line.sendall(line)
        except TimeoutError:
            return
        except OSError:
            raise self._end() from None

    def close(self) -> None:
        """End the program and wait until it has gone."""
        self._finalizer()

    def _end(self) -> StreamEnded:
        ended = self._finalizer()
        return StreamEnded(*ended) if ended else StreamEnded(None)


def _start(command: Sequence[str]) -> _Child:
    with contextlib.ExitStack() as on_error:
        outer, inner = socket.socketpair()
        on_error.callback(outer.close)
        with inner:
            guard_read, guard_write = os.pipe()
            guard = on_error.enter_context(os.fdopen(guard_write, "wb", buffering=0))
            with os.fdopen(guard_read, "rb", buffering=0):
                log = on_error.enter_context(tempfile.TemporaryFile())
                process = subprocess.Popen(
                    ["/bin/sh", "-c", _GUARD, "tinyq", *command],
                    stdin=inner.fileno(),
                    stdout=guard_read,
                    stderr=log,
                    start_new_session=True,
                )
        on_error.pop_all()
    return _Child(process, guard, outer, log)


def port_errors() -> tuple[type[Exception], ...]:
    """Return what pyserial raises: its own errors, the system's, and those of the terminal."""
    errors: tuple[type[Exception], ...] = (OSError,)  # serial.SerialException is one
    with contextlib.suppress(ImportError):  # Windows has no termios
        import termios

        errors += (termios.error,)
    return errors


class PortStream:
    """A serial port that pyserial has opened.

    Args:
        port: The open port.
    """

    def __init__(self, port: serial.SerialBase) -> None:
        self.boots = False
        self.cabled = True
        self._port = port
        self.seconds_per_byte = 2 * 10 / port.baudrate

    def read(self, timeout: float) -> bytes:
        """Return what has arrived, waiting up to `timeout` seconds."""
        try:
            self._port.timeout = max(timeout, 0.0)
            first = bytes(self._port.read(1))
            return first + bytes(self._port.read(self._port.in_waiting)) if first else b""
        except port_errors() as error:
            raise StreamEnded(None, str(error)) from None

    def write(self, line: bytes) -> None:
        """Send all bytes."""
        import serial

        try:
            self._port.write_timeout = _WRITE_SECONDS + len(line) * self.seconds_per_byte
            self._port.write(line)
            self._port.flush()
        except serial.SerialTimeoutException:
            return
        except port_errors() as error:
            raise StreamEnded(None, str(error)) from None

    def close(self) -> None:
        """Close the port."""
        with contextlib.suppress(*port_errors()):
            self._port.close()
