"""Large arrays of files in mapped temporary files, so that few of their bytes are held."""

from __future__ import annotations

import io
import mmap
import tempfile
from typing import Any

import numpy as np
import numpy.typing as npt

LEAST_BYTES = 1 << 26
"""Of an array that is worth a file."""

_CHUNK = 1 << 22
_FORGETS = hasattr(mmap, "MADV_DONTNEED")


def read_mapped(stream: io.BufferedIOBase, size: int) -> bytes | mmap.mmap:
    """The next bytes of a stream; where there are many, in a temporary file that is mapped.

    Fewer than ``size`` where the stream ends before, and in memory where the system does not let a
    program forget pages.
    """
    if size < LEAST_BYTES or not _FORGETS:
        return stream.read(size)
    with tempfile.TemporaryFile() as file:
        left = size
        while left:
            chunk = stream.read(min(left, _CHUNK))
            if not chunk:
                break
            file.write(chunk)
            left -= len(chunk)
        file.flush()
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if left < size else b""


def forget(array: npt.NDArray[Any]) -> None:
    """Give the memory of a mapped array back; what is read again comes from its file.

    Nothing happens to an array in memory.
    """
    base: Any = array
    while isinstance(base, np.ndarray | memoryview):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    if isinstance(base, mmap.mmap) and _FORGETS:
        base.madvise(mmap.MADV_DONTNEED)
