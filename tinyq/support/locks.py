"""Locks on open files, which the system takes back when a process ends in any way."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tinyq.errors import TinyqError

if sys.platform != "win32":
    import fcntl


def try_lock(descriptor: int) -> bool:
    """Lock an open file; False where another one has it locked.

    Where the system or the file system has no such locks, every attempt succeeds.
    """
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
    return True


def open_alone(path: Path, busy: TinyqError) -> int:
    """Open a file that one process uses at a time, made if missing; the lock goes with it.

    Args:
        path: The file, whose name its holder may give to another one.
        busy: Raised where another process holds it.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        if not try_lock(descriptor):
            os.close(descriptor)
            raise busy
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        os.close(descriptor)  # its holder has renamed or removed it meanwhile


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, and wait for it; without one where there are none."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # unreadable, or a system that opens no folders
        yield
        return
    try:
        if sys.platform != "win32":
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
