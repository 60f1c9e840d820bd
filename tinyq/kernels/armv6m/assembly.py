"""Micro-kernels of Arm v6-M that move memory, and where their functions keep words."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tinyq.kernels.base import Part

_SOURCE = "armv6m/assembly.j2"


def lay_frame(*names: str) -> Mapping[str, int]:
    """Places of words on the stack by their names, in bytes; ``size``: of all of them."""
    places = {name: 4 * index for index, name in enumerate(names)}
    return MappingProxyType({**places, "size": 4 * len(names)})


def copy_bytes(count: int, *, loose: bool) -> Part:
    """``(from, to)``: copies bytes to words; from words unless they lie ``loose``."""
    blocks, rest = divmod(0 if loose else count, 16)
    bytes_left = count if loose else count % 4
    values = {
        "blocks": blocks,
        "words": range(rest // 4),
        "eights": bytes_left // 8,
        "bytes": range(bytes_left % 8),
    }
    name = f"tq_copy_{count}{'_loose' if loose else ''}"
    return Part(_SOURCE, "copy", name, MappingProxyType(values), shared=True)


def spread_nibbles(words: int) -> Part:
    """``(from, to)``: makes bytes of words of nibbles, the low ones of a word first."""
    values = MappingProxyType({"words": words, "low": 0x0F0F0F0F})
    return Part(_SOURCE, "spread", f"tq_spread_{words}", values, shared=True)
