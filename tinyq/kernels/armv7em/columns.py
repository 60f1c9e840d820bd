"""Windows as columns on Arm v7E-M: all codes of a window one after the other, whatever its shape.

It suits what lines of a padded image do not: taps that lie apart, codes of 16 bits, few pixels.
"""

from __future__ import annotations

from types import MappingProxyType

from tinyq.kernels.base import Part
from tinyq.kernels.geometry import WindowGeometry
from tinyq.kernels.thumb import largest_divisor

_SOURCE = "armv7em/columns.j2"
_SHORT = 8  # bytes that a loop in C copies as fast
_CALL_COST, _WORD_COST, _BYTE_COST, _TAP_COST = 14, 2.3, 4, 12


def list_column_parts(g: WindowGeometry, bits: int) -> dict[str, Part]:
    """``column(x, r, c, to)`` copies the window of an output; with what it calls."""
    tap = g.in_channels * bits // 8
    line = g.kernel_width * tap
    parts: dict[str, Part] = {}
    values = {
        "g": g,
        "type": f"int{bits}_t",
        "tap": _name_copy(tap) if tap >= _SHORT else "",
        "line": _name_copy(line) if _has_lines(g) and line >= _SHORT else "",
    }
    for key, count in (("copy_tap", tap), ("copy_line", line)):
        if values[key.removeprefix("copy_")]:
            parts[key] = copy_loose(count)
    parts["column"] = Part(_SOURCE, "column", "_column", MappingProxyType(values))
    return parts


def copy_loose(count: int) -> Part:
    """``(from, to)``: copies bytes that begin at any byte to any byte."""
    words, rest = divmod(count, 4)
    unroll = largest_divisor(words, 8)
    values = {"repeats": words // unroll, "unroll": unroll, "rest": range(rest)}
    return Part(_SOURCE, "copy", _name_copy(count), MappingProxyType(values), shared=True)


def collect_wide(words: int) -> Part:
    """``(a, b, c, d, panel)``: the panel of four columns of codes of 16 bits, two to a word."""
    unroll = largest_divisor(words, 6)
    values = MappingProxyType({"unroll": unroll, "repeats": words // unroll})
    return Part(_SOURCE, "collect", f"tq_collect_wide_{words}", values, shared=True)


def estimate_column(g: WindowGeometry, bits: int) -> float:
    """Instructions of a column."""
    tap = g.in_channels * bits // 8
    if _has_lines(g) and g.kernel_width * tap >= _SHORT:
        line = _CALL_COST + _TAP_COST + g.kernel_width * tap / 4 * _WORD_COST
        return g.kernel_height * line + _CALL_COST
    each = _CALL_COST + tap / 4 * _WORD_COST if tap >= _SHORT else g.in_channels * _BYTE_COST
    return g.kernel_height * g.kernel_width * (each + _TAP_COST) + _CALL_COST


def _has_lines(g: WindowGeometry) -> bool:
    """Whether the taps of a line lie side by side."""
    return g.dilation_width == 1


def _name_copy(count: int) -> str:
    return f"tq_copy_loose_{count}"
