"""Locks on open files, which the system takes back when a process ends in any way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def try_lock(descriptor: int) -> bool:
    """Lock an open file; False where another one has it locked.

    Where the system or the file system has no such locks, every attempt succeeds.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, and wait for it; without one where there are none."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # unreadable, or a system that opens no folders
        yield
        return
    try:
        if fcntl is not None:
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
