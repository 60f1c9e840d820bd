"""Leads: by how many bytes an input must begin behind the output that may lie over what was read.

A kernel that goes through an image from its first line to its last may write its outputs over lines
of the input that it does not read again. When block k of outputs has been written up to byte
``end_k`` of the output, the input is still read from its byte ``first_k`` on:

    lead = max_k (end_k - first_k),    safe where  address of x - address of y >= lead

``first_k`` is the first byte that block k or a later one reads, so a kernel may read and write
within a block in any order, and earlier than in the block that needs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tinyq.kernels.layer import LayerSpec

NONE: Mapping[int, int] = MappingProxyType({})
_WINDOW = ("in_height", "out_height", "stride_height", "pad_top")


@dataclass(frozen=True, slots=True)
class _Lines:
    """Windows from line to line."""

    in_height: int
    out_height: int
    stride_height: int
    pad_top: int


def lead_lines(layer: LayerSpec, high: int = 1) -> Mapping[int, int]:
    """Of a kernel that computes ``high`` lines of outputs at a time, from windows over operand 0.

    A block of lines reads no line above the first of its windows.
    """
    g = _Lines(*(layer.geometry[key] for key in _WINDOW))
    line = layer.inputs[0].packed_bytes // g.in_height
    out_line = layer.output.packed_bytes // g.out_height
    return _largest(
        (
            min(r + high, g.out_height) * out_line,
            min(max(r * g.stride_height - g.pad_top, 0), g.in_height) * line,
        )
        for r in range(0, g.out_height, high)
    )


def lead_pixels(layer: LayerSpec, block: int) -> Mapping[int, int]:
    """Of a kernel that computes ``block`` pixels of outputs at a time, each from one of operand 0.

    The last block may begin earlier, to be a whole one.
    """
    pixels = layer.output.rows
    each, out_each = (it.packed_bytes // pixels for it in (layer.inputs[0], layer.output))
    last = max(pixels - block, 0)
    return _largest(
        (min(p + block, pixels) * out_each, min(p, last) * each) for p in range(0, pixels, block)
    )


def lead_freely(layer: LayerSpec, operands: Iterable[int] = (0,)) -> Mapping[int, int]:
    """Of a kernel that has read all of these operands before it writes."""
    return MappingProxyType({index: -layer.inputs[index].packed_bytes for index in operands})


def _largest(blocks: Iterable[tuple[int, int]]) -> Mapping[int, int]:
    return MappingProxyType({0: max(end - first for end, first in blocks)})
