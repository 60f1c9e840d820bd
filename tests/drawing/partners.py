"""The second operand of an operation: everything that one can be."""

from __future__ import annotations

import numpy as np

from tests.drawing.graphs import Drawing, draw_codes
from tinyq.graph.ops.strided_copy import StridedCopy


def draw_partner(drawing: Drawing, source: str) -> str:
    """A tensor of the type of ``source``: another one, itself, a constant, or a broadcast."""
    x = drawing.type(source)
    others = [name for name in drawing.tensors if drawing.type(name) == x and name != source]
    kind = drawing.rng.random()
    if others and kind < 0.4:
        return str(drawing.choose(others))
    if kind < 0.55:
        return source
    if kind < 0.8:
        return draw_constant(drawing, source)
    return draw_broadcast(drawing, source)


def draw_constant(drawing: Drawing, source: str) -> str:
    """A constant of the type of ``source``, now and then one code or the extremes alone."""
    x = drawing.type(source)
    codes = draw_codes(drawing.rng, x.format, x.shape)
    if drawing.chance(0.3):
        codes[...] = drawing.choose((x.format.lo, x.format.hi, int(codes.flat[0])))
    name = f"constant_{drawing.count}_operand_{len(drawing.tensors)}"
    return drawing.builder.constant(name, codes, x.format, x.scale, x.zero_point)


def draw_broadcast(drawing: Drawing, source: str) -> str:
    """The first row, or the first code, of ``source`` everywhere; itself where codes are packed."""
    x = drawing.type(source)
    if x.format.bits % 8 or x.format.name not in ("s8", "u8", "s16", "s32"):
        return source
    channels = 0 if drawing.chance(0.4) else 1
    strides = (*(0 for _ in x.shape[:-1]), channels)
    start = int(np.prod(x.shape[:-1])) // 2 * x.shape[-1]
    return drawing.apply(StridedCopy(x.shape, strides, start), source)
