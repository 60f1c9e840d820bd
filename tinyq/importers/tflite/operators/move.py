"""Operators that move codes: transpose, slices, splits, joins, padding."""

from __future__ import annotations

import math

from tinyq.graph.ops.pad2d import Pad2D
from tinyq.importers.tflite.layer import CODES, Layer
from tinyq.importers.tflite.operators.convolution import join_parts
from tinyq.importers.tflite.registry import imports
from tinyq.importers.tflite.view import View, copy_view


@imports("TRANSPOSE")
def import_transpose(layer: Layer) -> None:
    """Axes in another order."""
    shape = layer.source().shape
    order = [layer.axis(axis, len(shape)) for axis in layer.integers(1)]
    layer.require(sorted(order) == list(range(len(shape))), f"{order} is no order of axes")
    finish_view(layer, View.of(shape).transposed(order))


@imports("SLICE")
def import_slice(layer: Layer) -> None:
    """A box of the input; size -1 reaches to the end."""
    shape = layer.source().shape
    begins, sizes = layer.integers(1), layer.integers(2)
    layer.require(len(begins) == len(sizes) == len(shape), "begin and size do not fit the rank")
    view = View.of(shape)
    for axis, (begin, size) in enumerate(zip(begins, sizes, strict=True)):
        count = shape[axis] - begin if size == -1 else size
        layer.require(
            begin >= 0 and 0 < count <= shape[axis] - begin,
            f"the slice {begin}, {size} leaves axis {axis} of {layer.source()}",
        )
        view = view.sliced(axis, begin, 1, count)
    finish_view(layer, view)


@imports("STRIDED_SLICE")
def import_strided_slice(layer: Layer) -> None:
    """Begin, end and step per axis, with masks."""
    shape = layer.source().shape
    begins, ends, steps = (layer.integers(position) for position in (1, 2, 3))
    layer.require(len(begins) == len(ends) == len(steps), "begin, end and step do not fit")
    layer.require(not layer.option("Offset", False), "ends as offsets are not supported")
    masks = [layer.option(f"{name}Mask", 0) for name in ("Begin", "End", "ShrinkAxis")]
    view, dropped = View.of(shape), []
    for place, axis in _sliced_axes(layer, len(begins), len(shape)):
        begin, end, step = begins[place], ends[place], steps[place]
        layer.require(step != 0, f"step 0 on axis {axis}")
        bounds = slice(
            None if masks[0] >> place & 1 else begin, None if masks[1] >> place & 1 else end, step
        )
        if masks[2] >> place & 1:
            first = layer.axis(begin, shape[axis])
            chosen = range(first, first + 1)
            dropped.append(axis)
        else:
            chosen = range(*bounds.indices(shape[axis]))
        layer.require(len(chosen) > 0, f"the slice of axis {axis} is empty")
        view = view.sliced(axis, chosen.start, chosen.step, len(chosen))
    for axis in reversed(dropped):
        view = view.without(axis)
    finish_view(layer, view)


def _sliced_axes(layer: Layer, places: int, rank: int) -> list[tuple[int, int]]:
    """Which entry of begin, end and step is for which axis of the input.

    An ellipsis stands for all axes that the others leave; a new axis has one element and so
    moves nothing.
    """
    ellipsis, added = layer.option("EllipsisMask", 0), layer.option("NewAxisMask", 0)
    kinds = [
        "ellipsis" if ellipsis >> place & 1 else "new" if added >> place & 1 else "axis"
        for place in range(places)
    ]
    named = kinds.count("axis")
    layer.require(kinds.count("ellipsis") <= 1 and named <= rank, "too many axes are sliced")
    found, axis = [], 0
    for place, kind in enumerate(kinds):
        if kind == "axis":
            found.append((place, axis))
            axis += 1
        elif kind == "ellipsis":
            axis += rank - named
    return found


@imports("SPLIT", "SPLIT_V")
def import_split(layer: Layer) -> None:
    """Parts along one axis: SPLIT (axis, x), SPLIT_V (x, sizes, axis)."""
    first, place = (1, 0) if layer.operator.name == "SPLIT" else (0, 2)
    shape = layer.source(first).shape
    axis = layer.axis(_single(layer, place), len(shape))
    parts = len(layer.operator.outputs)
    sizes = layer.integers(1) if place == 2 else [shape[axis] // max(parts, 1)] * parts
    rest = shape[axis] - sum(size for size in sizes if size >= 0)
    sizes = [rest if size == -1 else size for size in sizes]
    layer.require(
        len(sizes) == parts and min(sizes, default=0) > 0 and sum(sizes) == shape[axis],
        f"parts {sizes} do not make up axis {axis} of {layer.source(first)}",
    )
    begin = 0
    for part, size in enumerate(sizes):
        view = View.of(shape).sliced(axis, begin, 1, size)
        name = copy_view(layer, layer.activation(first), view, f"part_{part}")
        layer.finish(name, part)
        begin += size


@imports("UNPACK")
def import_unpack(layer: Layer) -> None:
    """One output per index of an axis."""
    shape = layer.source().shape
    axis = layer.axis(layer.option("Axis", 0), len(shape))
    layer.require(len(layer.operator.outputs) == shape[axis], "the outputs do not fit the axis")
    for part in range(shape[axis]):
        view = View.of(shape).sliced(axis, part, 1, 1).without(axis)
        layer.finish(copy_view(layer, layer.activation(), view, f"part_{part}"), part)


@imports("CONCATENATION", "PACK")
def import_concatenation(layer: Layer) -> None:
    """Tensors of one scale side by side along an axis, joined pair by pair."""
    shape = layer.result().shape
    axis = layer.axis(layer.option("Axis", 0), len(shape))
    outer = math.prod(shape[:axis])
    inputs = range(len(layer.operator.inputs))
    layer.require(
        len(inputs) > 0 and layer.option("FusedActivationFunction", 0) == 0,
        "a join of nothing or with a fused activation is not supported",
    )
    parts = []
    for position in inputs:
        tensor = layer.source(position)
        layer.require(tensor.elements % outer == 0, f"{tensor} does not fit {layer.result()}")
        rows = (outer, tensor.elements // outer)
        parts.append(layer.reshape(layer.activation(position), rows, f"rows_{position}"))
    layer.finish(join_parts(layer, parts))


@imports("PAD", "PADV2")
def import_pad(layer: Layer) -> None:
    """A border of one code around any axes."""
    meaning = layer.type_of(layer.source(), *CODES)
    shape = layer.source().shape
    amounts = layer.integers(1)
    layer.require(
        len(amounts) == 2 * len(shape) and min(amounts, default=0) >= 0,
        f"padding {amounts} does not fit {layer.source()}",
    )
    value = _single(layer, 2, *("INT8", "INT16")) if layer.has(2) else meaning.zero_point
    pairs = list(zip(amounts[::2], amounts[1::2], strict=True))
    layer.require(layer.result().elements < 1 << 26, "the padded tensor is too large")
    grown = math.prod(size + sum(pair) for size, pair in zip(shape, pairs, strict=True))
    layer.require(grown == layer.result().elements, f"padding {amounts} does not give the output")
    name = layer.activation()
    if len(shape) == 4 and shape[0] == 1 and not any(pairs[0]) and not any(pairs[3]):
        operation = Pad2D((*pairs[1], *pairs[2]), value)
        layer.finish(layer.apply(operation, name) if any(amounts) else name)
        return
    sizes = list(shape)
    for axis, (before, after) in enumerate(pairs):
        if before or after:
            rows = (math.prod(sizes[:axis]), sizes[axis], math.prod(sizes[axis + 1 :]))
            image = layer.reshape(name, rows, f"image_{axis}")
            name = layer.apply(Pad2D((0, 0, before, after), value), image, suffix=f"axis_{axis}")
            sizes[axis] += before + after
    layer.finish(name)


def finish_view(layer: Layer, view: View) -> None:
    """Finish an operator that only moves codes."""
    layer.conversion.type_of(layer.source())
    layer.finish(copy_view(layer, layer.activation(), view))


def _single(layer: Layer, position: int, *types: str) -> int:
    """The one integer of a constant input."""
    tensor = layer.source(position)
    layer.require(
        tensor.elements == 1 and tensor.type in (types or ("INT32", "INT64")),
        f"{tensor} is not one integer",
    )
    return int(layer.constant(position).reshape(-1)[0])
