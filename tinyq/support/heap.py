"""Memory that a stage of a program has freed, handed back to the system before the next one."""

from __future__ import annotations

import ctypes
import gc


def trim_heap() -> None:
    """Hand freed memory back where the C library keeps it, as glibc does; elsewhere only collect.

    TensorFlow's tensors come from the C library's heap, which stays as large as it ever was.
    """
    gc.collect()
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library, or Windows
        return
    trim(ctypes.c_size_t(0))
