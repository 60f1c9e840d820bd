"""Lines of Thumb assembly of Arm v6-M for templates: constants of any size in low registers."""

from __future__ import annotations

_MOST_IMMEDIATE = 255
_PLACES = (24, 16, 8, 0)


def load(register: str, value: int) -> str:
    """A constant in a register, byte by byte from the highest."""
    lines: list[str] = []
    shift = 0
    for place in _PLACES:
        byte = value >> place & 0xFF
        shift += 8 if lines else 0
        if not byte and (place or lines):
            continue
        if lines:
            lines += [f"lsls {register}, {register}, #{shift}", f"adds {register}, #{byte}"]
        else:
            lines.append(f"movs {register}, #{byte}")
        shift = 0
    if shift:
        lines.append(f"lsls {register}, {register}, #{shift}")
    return "\n".join(lines)


def advance(base: str, value: int, free: str) -> str:
    """Base += value of any sign, with a spare register; nothing for 0."""
    operation, size = "subs" if value < 0 else "adds", abs(value)
    if not size:
        return ""
    if size <= _MOST_IMMEDIATE:
        return f"{operation} {base}, #{size}"
    return f"{load(free, size)}\n{operation} {base}, {base}, {free}"
