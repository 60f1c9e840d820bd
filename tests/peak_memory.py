"""How much memory a piece of work takes at its peak, whatever this process took before.

``ru_maxrss`` remembers the largest peak of the whole process: after a test of gigabytes it no
longer grows, and a bound on its growth holds for any work.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

PROCESS = Path("/proc/self")


def measure_growth(work: Callable[[], object]) -> int:
    """Peak of the resident memory during the work less what is resident before it, in bytes."""
    try:
        (PROCESS / "clear_refs").write_text("5")  # the peak starts anew
    except OSError as error:
        pytest.skip(f"needs Linux, to forget the peak of the memory: {error}")
    before = _read_bytes("VmRSS")
    work()
    return max(0, _read_bytes("VmHWM") - before)


def _read_bytes(name: str) -> int:
    for line in (PROCESS / "status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)
