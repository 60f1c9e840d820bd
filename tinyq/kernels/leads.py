"""Leads: by how many bytes an input must begin behind the output that may lie over what was read.

A kernel that goes through an image from its first line to its last may write its outputs over lines
of the input that it does not read again. When block k of outputs has been written up to byte
``end_k`` of the output, the input is still read from its byte ``first_k`` on:

    lead = max_k (end_k - first_k),    safe where  address of x - address of y >= lead

``first_k`` is the first byte that block k or a later one reads, so a kernel may read and write
within a block in any order, and read earlier than in the block that needs it. Where it has read all
that a block needs before it writes the first of its outputs, the next block's byte counts:

    lead = max_k (end_k - first_(k + 1))
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
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


def lead_lines(layer: LayerSpec, high: int = 1, *, ahead: bool = False) -> Mapping[int, int]:
    """Of a kernel that computes ``high`` lines of outputs at a time, from windows over operand 0.

    A block of lines reads no line above the first of its windows; all of them before it writes
    where ``ahead`` is set.
    """
    if not layer.geometry.keys() >= {*_WINDOW}:  # a kernel that is looked at without a layer
        return NONE
    g = _Lines(*(layer.geometry[key] for key in _WINDOW))
    line = layer.inputs[0].packed_bytes // g.in_height
    out_line = layer.output.packed_bytes // g.out_height
    blocks = [
        (
            min(r + high, g.out_height) * out_line,
            min(max(r * g.stride_height - g.pad_top, 0), g.in_height) * line,
        )
        for r in range(0, g.out_height, high)
    ]
    return _find_largest(layer, blocks, ahead)


def lead_pixels(layer: LayerSpec, block: int) -> Mapping[int, int]:
    """Of a kernel that computes ``block`` pixels of outputs at a time, each from one of operand 0.

    It reads a block before it writes it. The last may begin earlier, to be a whole one.
    """
    pixels = layer.output.rows
    each, out_each = (it.packed_bytes // pixels for it in (layer.inputs[0], layer.output))
    last = max(pixels - block, 0)
    blocks = [
        (min(p + block, pixels) * out_each, min(p, last) * each) for p in range(0, pixels, block)
    ]
    return _find_largest(layer, blocks, True)


def lead_freely(layer: LayerSpec, operands: Iterable[int] = (0,)) -> Mapping[int, int]:
    """Of a kernel that has read all of these operands before it writes."""
    return MappingProxyType({index: -layer.inputs[index].packed_bytes for index in operands})


def _find_largest(
    layer: LayerSpec, blocks: Sequence[tuple[int, int]], ahead: bool
) -> Mapping[int, int]:
    """The lead of blocks, each with the end of its outputs and the first byte that it reads."""
    ends, firsts = zip(*blocks, strict=True)
    if not ahead:
        return MappingProxyType({0: max(map(operator.sub, ends, firsts))})
    if len(blocks) == 1:
        return lead_freely(layer)
    return MappingProxyType({0: max(map(operator.sub, ends[:-1], firsts[1:]))})
