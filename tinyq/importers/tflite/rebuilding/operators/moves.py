"""Layers that only move values."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.graph import Shape
from tinyq.importers.tflite.folding import slice_index
from tinyq.importers.tflite.pixels import MAX_SIDE, nearest_pixel
from tinyq.importers.tflite.rebuilding.layer import Layer, rebuilds
from tinyq.training.layers.interpolation import CORNERS, EDGES, Interpolation


@rebuilds("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def rebuild_reshape(layer: Layer) -> None:
    """The same values under the shape that the file states."""
    layer.finish(layer.input())


@rebuilds("TRANSPOSE")
def rebuild_transpose(layer: Layer) -> None:
    """Axes in another order."""
    shape = layer.source().shape
    order = [axis % len(shape) for axis in layer.integers(1)]
    layer.require(sorted(order) == [*range(len(shape))], f"{order} is no order of axes")
    if order[0] == 0 and shape[0] == 1 and len(shape) > 1:
        layer.finish(keras.layers.Permute(order[1:], name=layer.name())(layer.input()))
        return
    x = layer.under(layer.input(), shape)
    places = [axis + 1 for axis in order]
    layer.finish(keras.layers.Permute(places, name=layer.name())(x))


@rebuilds("PAD", "PADV2")
def rebuild_pad(layer: Layer) -> None:
    """A border of zeros, or of one value."""
    shape, amounts = layer.source().shape, layer.integers(1)
    layer.require(len(amounts) == 2 * len(shape), f"padding {amounts} of {layer.source()}")
    pairs = list(zip(amounts[::2], amounts[1::2], strict=True))
    value = float(layer.constant(2).reshape(-1)[0]) if layer.has(2) else 0.0
    layer.require(not any(pairs[0]) and shape[0] == 1, f"padding {amounts} of the batch")
    x = layer.input()
    if len(shape) == 4 and not any(pairs[3]) and value == 0.0:
        layer.finish(keras.layers.ZeroPadding2D(tuple(pairs[1:3]), name=layer.name())(x))
        return
    layer.finish(ops.pad(x, pairs, constant_values=value))


@rebuilds("CONCATENATION")
def rebuild_concatenation(layer: Layer) -> None:
    """Tensors side by side along an axis."""
    parts = [
        layer.along(place, layer.option("Axis", 0)) for place in range(len(layer.operator.inputs))
    ]
    if len(parts) == 1:
        layer.finish_activated(parts[0][0])
        return
    joined = keras.layers.Concatenate(axis=parts[0][1], name=layer.name())(
        [part for part, _ in parts]
    )
    layer.finish_activated(joined)


@rebuilds("PACK")
def rebuild_pack(layer: Layer) -> None:
    """Tensors side by side along a new axis."""
    shape = layer.result().shape
    axis = layer.option("Axis", 0) % len(shape)
    slim = (*shape[:axis], 1, *shape[axis + 1 :])
    inner = slim[1:] if shape[0] == 1 and axis > 0 else slim
    place = axis if shape[0] == 1 and axis > 0 else axis + 1
    parts = [
        layer.under(layer.input(position), inner) for position in range(len(layer.operator.inputs))
    ]
    if len(parts) == 1:
        layer.finish(parts[0])
        return
    layer.finish(keras.layers.Concatenate(axis=place, name=layer.name())(parts))


@rebuilds("UNPACK")
def rebuild_unpack(layer: Layer) -> None:
    """One output for each index of an axis."""
    x, place = layer.along(0, layer.option("Axis", 0))
    for part in range(len(layer.operator.outputs)):
        layer.finish(_sliced(x, place, part, part + 1), part)


@rebuilds("SPLIT", "SPLIT_V")
def rebuild_split(layer: Layer) -> None:
    """Parts along an axis: SPLIT (axis, x), SPLIT_V (x, sizes, axis)."""
    first, second = (1, 0) if layer.operator.name == "SPLIT" else (0, 2)
    x, place = layer.along(first, layer.integers(second)[0])
    count, whole = len(layer.operator.outputs), x.shape[place]
    sizes = [whole // count] * count if second == 0 else layer.integers(1)
    rest = whole - sum(size for size in sizes if size >= 0)
    begin = 0
    for part, size in enumerate(rest if size == -1 else size for size in sizes):
        layer.finish(_sliced(x, place, begin, begin + size), part)
        begin += size


def _sliced(x: Any, axis: int, begin: int, end: int) -> Any:
    return x[(*(slice(None),) * axis, slice(begin, end))]


@rebuilds("SLICE", "STRIDED_SLICE")
def rebuild_slice(layer: Layer) -> None:
    """A box of the input."""
    shape = layer.source().shape
    vectors = [layer.integers(place) for place in range(1, len(layer.operator.inputs))]
    if layer.operator.name == "SLICE":
        index: tuple[Any, ...] = tuple(
            slice(begin, size if count == -1 else begin + count)
            for begin, count, size in zip(*vectors, shape, strict=True)
        )
    else:
        index = slice_index(layer.operator, *vectors)
    bounds = _bounds(shape, index)
    x = layer.input()
    if len(shape) > 1 and shape[0] == 1:
        layer.require(bounds[0] == range(1), "a slice of the batch")
        bounds = bounds[1:]
    else:
        x = layer.under(x, shape)
    for axis, chosen in enumerate(bounds, 1):
        if len(chosen) == x.shape[axis] and chosen.step == 1:
            continue
        stop = None if chosen.stop < 0 else chosen.stop
        x = x[(*(slice(None),) * axis, slice(chosen.start, stop, chosen.step))]
    layer.finish(x)


def _bounds(shape: Shape, index: tuple[Any, ...]) -> list[range]:
    """Which indices of each axis a NumPy index chooses."""
    named = [entry for entry in index if entry is not None and entry is not ...]
    found, axis = [], 0
    for entry in index if ... in index else (*index, ...):
        if entry is None:
            continue
        if entry is ...:
            for _ in range(len(shape) - len(named)):
                found.append(range(shape[axis]))
                axis += 1
            continue
        size = shape[axis]
        if isinstance(entry, int):
            place = entry % size
            found.append(range(place, place + 1))
        else:
            found.append(range(*entry.indices(size)))
        axis += 1
    return found


@rebuilds("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR")
def rebuild_resize(layer: Layer) -> None:
    """UpSampling2D where the size is a whole multiple, else Resizing; both of pixel centers.

    Without centers pixels are chosen, or interpolated, by the places that the file means.
    """
    x = layer.input()
    want = layer.integers(1)
    method = "nearest" if layer.operator.name == "RESIZE_NEAREST_NEIGHBOR" else "bilinear"
    layer.require(len(x.shape) == 4 and len(want) == 2, "no image of one sample")
    layer.require(min(want) > 0 and max(want) < MAX_SIDE, f"a size of {want}")
    height, width = x.shape[1:3]
    whole = want[0] % height == want[1] % width == 0
    centers = bool(layer.option("HalfPixelCenters", False))
    corners = bool(layer.option("AlignCorners", False))
    # Of whole factors the nearest pixel is the same one with and without centers.
    if corners or not (centers or (whole and method == "nearest")):
        layer.require(not (corners and centers), "resizing with aligned corners and pixel centers")
        if method == "nearest":
            for axis, have, size in ((1, height, want[0]), (2, width, want[1])):
                pixels = [nearest_pixel(layer, index, have, size) for index in range(size)]
                x = ops.take(x, np.asarray(pixels, np.int32), axis=axis)
            layer.finish(x)
            return
        places = CORNERS if corners else EDGES
        layer.finish(Interpolation(want[0], want[1], places, name=layer.name())(x))
        return
    if whole:
        factors = (want[0] // height, want[1] // width)
        resized = keras.layers.UpSampling2D(factors, interpolation=method, name=layer.name())
    else:
        resized = keras.layers.Resizing(*want, interpolation=method, name=layer.name())
    layer.finish(resized(x))


@rebuilds("TILE")
def rebuild_tile(layer: Layer) -> None:
    """The whole tensor several times along its axes."""
    shape, repeats = layer.source().shape, layer.integers(1)
    x = layer.under(layer.input(), shape)
    for axis, count in enumerate(repeats, 1):
        if count > 1:
            x = keras.layers.Concatenate(axis=axis)([x] * count)
    layer.finish(x)


@rebuilds("BROADCAST_TO")
def rebuild_broadcast(layer: Layer) -> None:
    """Axes of length 1 repeated, new ones in front."""
    shape, want = layer.source().shape, layer.result().shape
    aligned = (1,) * (len(want) - len(shape)) + tuple(shape)
    layer.require(len(shape) <= len(want), f"{shape} is not broadcast to {want}")
    x = layer.under(layer.input(), aligned)
    for axis, (have, length) in enumerate(zip(aligned, want, strict=True), 1):
        layer.require(have in (1, length), f"{shape} is not broadcast to {want}")
        if have != length:
            x = keras.layers.Concatenate(axis=axis)([x] * length)
    layer.finish(x)


@rebuilds("DEPTH_TO_SPACE", "SPACE_TO_DEPTH")
def rebuild_blocks(layer: Layer) -> None:
    """Channels as blocks of pixels, or blocks of pixels as channels."""
    x, block = layer.input(), layer.option("BlockSize", 0)
    layer.require(len(x.shape) == 4 and block >= 1, f"blocks of {block}")
    height, width, channels = x.shape[1:]
    if layer.operator.name == "DEPTH_TO_SPACE":
        layer.require(channels % block**2 == 0, f"blocks of {block} in {channels} channels")
        inner = (height, width, block, block, channels // block**2)
    else:
        layer.require(height % block == width % block == 0, f"blocks of {block} in {x.shape[1:3]}")
        inner = (height // block, block, width // block, block, channels)
    order = (1, 3, 2, 4, 5)
    layer.finish(keras.layers.Permute(order, name=layer.name())(layer.under(x, inner)))


@rebuilds("REVERSE_V2")
def rebuild_reverse(layer: Layer) -> None:
    """An axis backwards."""
    x, place = layer.along(0, layer.integers(1)[0])
    layer.finish(ops.flip(x, axis=place))


@rebuilds("GATHER")
def rebuild_gather(layer: Layer) -> None:
    """Embedding of the input's integers, or constant indices along one axis."""
    layer.require(layer.option("BatchDims", 0) == 0, "batch axes of GATHER")
    if layer.is_constant(0):
        table = layer.constant(0)
        layer.require(
            table.ndim == 2 and layer.option("Axis", 0) in (0, -2), f"looks up {layer.source()}"
        )
        embedding = keras.layers.Embedding(*table.shape, name=layer.name())
        value = embedding(layer.input(1))
        embedding.set_weights([table])
        layer.finish(value)
        return
    x, place = layer.along(0, layer.option("Axis", 0))
    layer.require(layer.is_constant(1), "both the values and the indices are computed")
    layer.finish(ops.take(x, np.asarray(layer.integers(1), np.int32), axis=place))
