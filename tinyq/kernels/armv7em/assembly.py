"""Micro-kernels of Arm v7E-M and v7-M that move memory."""

from __future__ import annotations

from types import MappingProxyType

from tinyq.kernels.base import Part

_SOURCE = "armv7em/assembly.j2"


def copy_bytes(count: int, *, loose: bool) -> Part:
    """``(from, to)``: copies bytes to words; from words unless they lie ``loose``."""
    blocks, rest = divmod(count, 32)
    values = {
        "blocks": blocks,
        "loose": loose,
        "words": range(rest // 4),
        "bytes": range(count % 4),
    }
    name = f"tq_copy_{count}{'_loose' if loose else ''}"
    return Part(_SOURCE, "copy", name, MappingProxyType(values), shared=True)


def spread_nibbles(words: int) -> Part:
    """``(from, to)``: makes bytes of words of nibbles, the low ones of a word first."""
    values = MappingProxyType({"words": words})
    return Part(_SOURCE, "spread", f"tq_spread_{words}", values, shared=True)
