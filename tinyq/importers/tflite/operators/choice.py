"""Operators that choose: rows by indices, the largest values, a region that is replaced."""

from __future__ import annotations

import math

import numpy as np

from tinyq.graph.ops.argmax import Argmax
from tinyq.graph.ops.concatenate import Concatenate
from tinyq.graph.ops.gather import Gather
from tinyq.graph.ops.lookup import Lookup
from tinyq.graph.ops.top_k import TopIndices, TopValues
from tinyq.importers.tflite.layer import CODES, Layer
from tinyq.importers.tflite.lookups import WRAPS
from tinyq.importers.tflite.operators.arrangement import pick
from tinyq.importers.tflite.registry import imports
from tinyq.importers.tflite.tables import all_codes
from tinyq.importers.tflite.view import View, copy_view

_MOST_INDEX = 1 << 16  # of a picked row or column, which u16 holds


@imports("GATHER")
def import_gather(layer: Layer) -> None:
    """Indices along one axis: constants move codes, computed ones look rows up."""
    shape = layer.source().shape
    axis = layer.axis(layer.option("Axis", 0), len(shape))
    layer.require(layer.option("BatchDims", 0) == 0, "batch axes of GATHER are not supported")
    if layer.source(1).data is None:
        _look_up(layer, 0, 1, axis)
        return
    indices = layer.integers(1, _MOST_INDEX)
    layer.require(
        all(0 <= index < shape[axis] for index in indices),
        f"indices leave axis {axis} of {layer.source()}",
    )
    layer.finish(pick(layer, layer.activation(), shape, axis, indices))


@imports("EMBEDDING_LOOKUP")
def import_embedding(layer: Layer) -> None:
    """Rows of the second input by the first."""
    _look_up(layer, 1, 0, 0)


def _look_up(layer: Layer, table: int, indices: int, axis: int) -> None:
    """Computed indices; TFLite refuses those outside of the table, here they are clipped."""
    x, y = layer.type_of(layer.source(table), *CODES), layer.type_of(layer.result(), *CODES)
    layer.require(
        (x.format, x.scale, x.zero_point) == (y.format, y.scale, y.zero_point),
        f"{layer.source(table)} and {layer.result()} differ in scale or type",
    )
    layer.require(layer.source(indices).type == "INT32", f"indices {layer.source(indices)}")
    shape, count = layer.source(table).shape, layer.source(indices).elements
    first = [axis, *(place for place in range(len(shape)) if place != axis)]
    name = copy_view(layer, layer.activation(table), View.of(shape).transposed(first), "first")
    inner = math.prod(shape) // shape[axis]
    rows = layer.reshape(name, (shape[axis], inner), "rows")
    chosen = layer.reshape(layer.activation(indices), (count,), "indices")
    wraps = int(bool(layer.option(WRAPS, False)))
    found = layer.apply(Gather(wraps), rows, chosen)
    back = (count, *(size for place, size in enumerate(shape) if place != axis))
    order = [*range(1, axis + 1), 0, *range(axis + 1, len(shape))]
    layer.finish(copy_view(layer, found, View.of(back).transposed(order), "back"))


@imports("GATHER_ND")
def import_gather_nd(layer: Layer) -> None:
    """Constant indices of the first axes together."""
    shape, places = layer.source().shape, layer.source(1)
    layer.require(places.data is not None, f"the indices {places} are no constant")
    depth = places.shape[-1] if places.shape else 0
    layer.require(1 <= depth <= len(shape), f"indices {places} of {layer.source()}")
    rows = np.asarray(layer.integers(1, _MOST_INDEX)).reshape(-1, depth)
    layer.require(
        bool((rows >= 0).all() and (rows < np.asarray(shape[:depth])).all()),
        f"indices leave {layer.source()}",
    )
    flat = np.ravel_multi_index(tuple(rows.T), shape[:depth])
    whole = (math.prod(shape[:depth]), math.prod(shape[depth:]))
    layer.require(whole[0] < _MOST_INDEX, f"{layer.source()} is too large")
    name = layer.reshape(layer.activation(), whole, "flat")
    layer.finish(pick(layer, name, whole, 0, [int(index) for index in flat]))


@imports("DYNAMIC_UPDATE_SLICE")
def import_update(layer: Layer) -> None:
    """A box of the first input is replaced by the second, at a constant place."""
    shape, box = layer.source().shape, layer.source(1).shape
    layer.require(layer.source(2).data is not None, "the place of the update is no constant")
    layer.require(
        layer.conversion.type_of(layer.source()).format
        == layer.conversion.type_of(layer.source(1)).format,
        f"{layer.source()} is updated by {layer.source(1)}",
    )
    starts = layer.integers(2)
    layer.require(
        len(starts) == len(box) == len(shape)
        and all(size <= full for size, full in zip(box, shape, strict=True)),
        f"an update {layer.source(1)} at {starts} of {layer.source()}",
    )
    bounded = [
        min(max(start, 0), full - size)
        for start, size, full in zip(starts, box, shape, strict=True)
    ]
    layer.finish(_replace(layer, View.of(shape), bounded, box, 0))


def _replace(layer: Layer, view: View, starts: list[int], box: tuple[int, ...], axis: int) -> str:
    """What of ``view`` lies before, inside and behind the box on an axis, side by side."""
    if axis == len(box):
        return layer.activation(1)
    start, size, full = starts[axis], box[axis], view.shape[axis]
    inside = view.sliced(axis, start, 1, size)
    parts = []
    for part, (first, count) in enumerate(((0, start), (start, size), (start + size, None))):
        left = full - first if count is None else count
        if left == 0:
            continue
        piece = view.sliced(axis, first, 1, left)
        name = (
            _replace(layer, inside, starts, box, axis + 1)
            if part == 1
            else copy_view(layer, layer.activation(), piece, f"axis_{axis}_part_{part}")
        )
        outer = math.prod(piece.shape[:axis])
        rows = (outer, math.prod(piece.shape) // outer)
        parts.append(layer.reshape(name, rows, f"axis_{axis}_rows_{part}"))
    joined = parts[0]
    for part, other in enumerate(parts[1:], 1):
        joined = layer.apply(Concatenate(), joined, other, suffix=f"axis_{axis}_join_{part}")
    return joined


@imports("ARG_MAX", "ARG_MIN")
def import_arg_max(layer: Layer) -> None:
    """Index of the largest or smallest code along an axis; the smallest is the largest inverted."""
    x = layer.type_of(layer.source())
    axes = layer.integers(1)
    layer.require(len(axes) == 1, f"axes {axes}")
    name = _rows(layer, axes[0])
    if layer.operator.name == "ARG_MIN":
        inverse = layer.number("inverse", ~all_codes(), "s8")
        name = layer.apply(Lookup(x.scale, x.zero_point), name, inverse, suffix="inverted")
    layer.finish(layer.apply(Argmax(), name))


def _rows(layer: Layer, axis: int) -> str:
    """The input with an axis last, as rows along it."""
    shape = layer.source().shape
    place = layer.axis(axis, len(shape))
    order = [*(other for other in range(len(shape)) if other != place), place]
    view = View.of(shape).transposed(order)
    name = copy_view(layer, layer.activation(), view, "last")
    return layer.reshape(name, (math.prod(view.shape[:-1]), shape[place]), "rows")


@imports("TOPK_V2")
def import_top_k(layer: Layer) -> None:
    """The largest codes of the last axis and their indices; an output nobody reads is left out."""
    x, y = layer.type_of(layer.source(), *CODES), layer.type_of(layer.result(), *CODES)
    layer.require(
        (x.scale, x.zero_point) == (y.scale, y.zero_point),
        f"{layer.source()} and {layer.result()} differ in scale",
    )
    count = layer.integers(1)
    layer.require(
        len(count) == 1 and 1 <= count[0] <= layer.source().shape[-1],
        f"the largest {count} of {layer.source()}",
    )
    name = _rows(layer, -1)
    layer.finish(layer.apply(TopValues(count[0]), name, suffix="values"), 0)
    layer.finish(layer.apply(TopIndices(count[0]), name, suffix="indices"), 1)
