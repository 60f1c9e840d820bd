"""Micro-kernels of MVE that several kernels call: sums of int8 vectors, their epilogue, copies.

VMLADAVA adds sixteen products to one register, which must be an even one: two pixels by three
channels are six.
"""

from __future__ import annotations

from types import MappingProxyType

from tinyq.kernels.base import Part
from tinyq.kernels.mve.packing import BLOCK, VectorEpilogue

_SOURCE = "mve/vectors.j2"
# Registers of the sums of three channels, of the first and of the second pixel.
_SUMS = ("r0", "r4", "r8"), ("r2", "r6", "r10")


def copy_bytes() -> Part:
    """``(from, to, bytes)``: copies bytes, both at any address."""
    return Part(_SOURCE, "copy", "tq_copy_vectors", shared=True)


def fill_bytes() -> Part:
    """``(to, value, bytes)``: fills bytes."""
    return Part(_SOURCE, "fill", "tq_fill_vectors", shared=True)


def collect_windows(rows: int, taps: int, line: int, pixel: int, room: int) -> Part:
    """``(x, windows)``: puts the lines of two windows side by side.

    Args:
        rows: Lines of a window.
        taps: Bytes of a line of it.
        line: Bytes from line to line of x.
        pixel: Bytes from the first window to the second.
        room: Bytes of a window where they are put.
    """
    values = {
        "rows": range(rows),
        "vectors": range(0, taps, BLOCK),
        "bytes": taps,
        "line": line,
        "pixel": pixel,
        "room": room,
    }
    name = f"tq_collect_{rows}_{taps}_{line}_{pixel}"
    return Part(_SOURCE, "collect", name, MappingProxyType(values), shared=True)


def sum_two_pixels(groups: tuple[int, ...], rows: int, blocks: int, line: int, pixel: int) -> Part:
    """``(w, x, sums)``: sums of two pixels by all channels, int32, channels of each together.

    Args:
        groups: Channels of each group: threes, then twos.
        rows: Lines of a window.
        blocks: Vectors of a line.
        line: Bytes from line to line of x.
        pixel: Bytes from the first pixel to the second.
    """
    values = {
        "groups": [
            {
                "label": label,
                "count": groups.count(size),
                "first": _SUMS[0][:size],
                "second": _SUMS[1][:size],
                "weights": ("q2", "q3", "q2")[:size],
            }
            for label, size in ((2, 3), (3, 2))
            if size in groups
        ],
        "rows": range(rows),
        "blocks": blocks,
        "line": line,
        "back": line * (rows - 1),
        "pixel": pixel,
        "room": sum(groups) * 4,
    }
    return Part(_SOURCE, "sum_two_pixels", "_sum", MappingProxyType(values))


def finish_sums(epilogue: VectorEpilogue, channels: int, pixels: int = 1, room: int = 0) -> Part:
    """``(sums, scales, y)``: the codes of one or two pixels from their sums.

    Args:
        epilogue: Its integers.
        channels: Of a pixel, which follow each other in y.
        pixels: 1 or 2.
        room: Bytes from the sums of the first pixel to those of the second.
    """
    values = {"epilogue": epilogue, "channels": channels, "pixels": pixels, "room": room}
    return Part(_SOURCE, "finish", "_finish", MappingProxyType(values))
