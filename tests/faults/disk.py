"""A disk that fails once: at the n-th operation on files below a folder, by an error or a kill."""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from tinyq.support import folders

_FUNCTIONS = ("open", "rename", "replace", "mkdir", "unlink", "rmdir")
_readlink = os.readlink


class Disk:
    """Counts operations below a folder; the one whose number is `fails_at` fails.

    Args:
        root: Files elsewhere, such as Python's own, are left alone.
        fails_at: From 0; None for a disk that never fails.
        error: Number of the system's error; None to kill the process instead.
    """

    def __init__(
        self, root: Path, fails_at: int | None = None, error: int | None = errno.ENOSPC
    ) -> None:
        self.root = str(root)
        self.done: list[str] = []
        self._fails_at = fails_at
        self._error = error

    def concerns(self, path: Any) -> str | None:
        """The path as text where it is below the folder."""
        if isinstance(path, int):
            try:
                path = _readlink(f"/proc/self/fd/{path}")
            except OSError:
                return None
        text = os.path.abspath(os.fsdecode(path))  # noqa: PTH100  (Path's own calls are counted)
        return text if text.startswith(self.root) else None

    def step(self, what: str, path: str) -> None:
        """One operation more."""
        number = len(self.done)
        self.done.append(f"{what} {path.removeprefix(self.root)}")
        if number == self._fails_at:
            if self._error is None:
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(self._error, os.strerror(self._error or 0), path)


class _File:
    """An open file whose reads and writes are counted; a write that fails has written half."""

    def __init__(self, file: Any, disk: Disk, path: str) -> None:
        self._file, self._disk, self._path = file, disk, path

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Any]:
        self._disk.step("read", self._path)
        return iter(self._file)

    def read(self, *arguments: Any) -> Any:
        self._disk.step("read", self._path)
        return self._file.read(*arguments)

    def write(self, data: Any) -> Any:
        try:
            self._disk.step("write", self._path)
        except OSError:
            self._file.write(data[: len(data) // 2])
            raise
        return self._file.write(data)


@contextmanager
def mounted(disk: Disk) -> Iterator[None]:
    """Let everything in this process that goes through Python's own functions use the disk."""
    with ExitStack() as stack:
        for name in _FUNCTIONS:
            stack.enter_context(mock.patch.object(os, name, _counted(disk, name)))
        for module in (builtins, io):
            stack.enter_context(mock.patch.object(module, "open", _opened(disk)))
        stack.enter_context(mock.patch.object(folders, "exchange", _exchanged(disk)))
        yield


def _counted(disk: Disk, name: str) -> Callable[..., Any]:
    original = getattr(os, name)

    def call(path: Any, *arguments: Any, **named: Any) -> Any:
        # shutil.rmtree removes by names that are relative to an open folder: that is cleaning up.
        text = None if "dir_fd" in named else disk.concerns(path)
        if text is not None:
            disk.step(name, text)
        return original(path, *arguments, **named)

    return call


def _opened(disk: Disk) -> Callable[..., Any]:
    original = io.open

    def call(file: Any, *arguments: Any, **named: Any) -> Any:
        text = disk.concerns(file)
        if text is None:
            return original(file, *arguments, **named)
        disk.step("open", text)
        return _File(original(file, *arguments, **named), disk, text)

    return call


def _exchanged(disk: Disk) -> Callable[[Path, Path], bool]:
    original = folders.exchange

    def call(first: Path, second: Path) -> bool:
        disk.step("exchange", str(second))
        return original(first, second)

    return call
