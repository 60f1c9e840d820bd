"""Lines of Thumb-2 assembly for templates: constants and offsets of any size."""

from __future__ import annotations

_WORD = 2**32
_HALF = 2**16
_IMMEDIATE = 4096  # of ADDW and SUBW
_BYTE = 256  # any shift of a byte is an immediate too


def load(register: str, value: int) -> str:
    """A constant in a register."""
    low = f"movw {register}, #{value % _HALF}"
    high = value % _WORD // _HALF
    return f"{low}\nmovt {register}, #{high}" if high else low


def add(to: str, source: str, value: int) -> str:
    """To = source + value; both may not be the same register."""
    if value < _IMMEDIATE:
        return f"addw {to}, {source}, #{value}"
    return f"{load(to, value)}\nadd {to}, {to}, {source}"


def advance(base: str, value: int, free: str) -> str:
    """Base += value, with a spare register."""
    if value < _IMMEDIATE:
        return f"addw {base}, {base}, #{value}"
    return f"{load(free, value)}\nadd {base}, {base}, {free}"


def retreat(base: str, value: int, free: str) -> str:
    """Base -= value, with a spare register."""
    if value < _IMMEDIATE:
        return f"subw {base}, {base}, #{value}"
    return f"{load(free, value)}\nsub {base}, {base}, {free}"


def add_constant(register: str, value: int) -> str:
    """Register += value, which is 1 + 2 * zero times a power of two for a zero of -128 .. 255."""
    operation, size = "sub" if value < 0 else "add", abs(value)
    high = max(size & -size, 1) * _BYTE
    if size < high:
        return f"{operation} {register}, {register}, #{size}"
    first = f"{operation} {register}, {register}, #{high}"
    return f"{first}\n{operation} {register}, {register}, #{size - high}"


def offset(value: int) -> str:
    """An immediate offset in an address, nothing for 0."""
    return f", #{value}" if value else ""


def largest_divisor(count: int, most: int) -> int:
    """The largest divisor of count up to ``most``: how often a loop may be unrolled."""
    return max(d for d in range(1, most + 1) if count % d == 0)
