"""Operators that arrange codes anew: tiles, blocks, mirrors, picks; all by constant indices."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tinyq.graph.ops.pick_pixels import PickPixels
from tinyq.importers.tflite.layer import CODES, Layer
from tinyq.importers.tflite.operators.move import finish_view
from tinyq.importers.tflite.registry import imports
from tinyq.importers.tflite.view import View, copy_view

_MOST_ELEMENTS = 1 << 26  # of one tensor
_MOST_INDEX = 1 << 16  # of a picked row or column, which u16 holds


@imports("REVERSE_V2")
def import_reverse(layer: Layer) -> None:
    """Axes backwards."""
    shape = layer.source().shape
    view = View.of(shape)
    for axis in {layer.axis(axis, len(shape)) for axis in layer.integers(1)}:
        view = view.sliced(axis, shape[axis] - 1, -1, shape[axis])
    finish_view(layer, view)


@imports("TILE")
def import_tile(layer: Layer) -> None:
    """The whole tensor several times along its axes."""
    shape = layer.source().shape
    repeats = layer.integers(1)
    layer.require(
        len(repeats) == len(shape) and min(repeats, default=1) >= 1,
        f"repeats {repeats} do not fit {layer.source()}",
    )
    full = View.of(shape)
    axes: list[tuple[int, int]] = []
    for size, stride, count in zip(full.shape, full.strides, repeats, strict=True):
        axes += [(count, 0), (size, stride)]
    _require_size(layer, math.prod(size for size, _ in axes))
    finish_view(layer, View(tuple(a for a, _ in axes), tuple(b for _, b in axes)))


@imports("BROADCAST_TO")
def import_broadcast(layer: Layer) -> None:
    """Axes of one element, repeated."""
    shape, want = layer.source().shape, layer.result().shape
    aligned = (1,) * (len(want) - len(shape)) + shape
    fits = len(aligned) == len(want) and all(
        size in (1, full) for size, full in zip(aligned, want, strict=True)
    )
    layer.require(fits, f"cannot broadcast {layer.source()} to {want}")
    strides = View.of(aligned).strides
    kept = [stride if size > 1 else 0 for size, stride in zip(aligned, strides, strict=True)]
    finish_view(layer, View(want, tuple(kept)))


@imports("DEPTH_TO_SPACE")
def import_depth_to_space(layer: Layer) -> None:
    """Channels become blocks of pixels."""
    batch, height, width, channels = _image(layer)
    block = _block(layer)
    layer.require(channels % block**2 == 0, f"{channels} channels are no blocks of {block}")
    inner = channels // block**2
    shape = (batch, height, block, width, block, inner)
    rows = height * width * channels, width * channels
    strides = (*rows, block * inner, channels, inner, 1)
    finish_view(layer, View(shape, strides))


@imports("SPACE_TO_DEPTH")
def import_space_to_depth(layer: Layer) -> None:
    """Blocks of pixels become channels."""
    batch, height, width, channels = _image(layer)
    block = _block(layer)
    layer.require(height % block == width % block == 0, f"{height}x{width} is no {block} blocks")
    row = width * channels
    shape = (batch, height // block, width // block, block, block, channels)
    strides = (height * row, block * row, block * channels, row, channels, 1)
    finish_view(layer, View(shape, strides))


@imports("MIRROR_PAD")
def import_mirror_pad(layer: Layer) -> None:
    """A border that mirrors the tensor, with its outermost element (mode 1) or without."""
    shape = list(layer.source().shape)
    amounts, offset = layer.integers(1), layer.option("Mode", 0)
    layer.require(
        len(amounts) == 2 * len(shape) and min(amounts, default=0) >= 0 and offset in (0, 1),
        f"padding {amounts} does not fit {layer.source()}",
    )
    name = layer.activation()
    for axis, pair in enumerate(zip(amounts[::2], amounts[1::2], strict=True)):
        size = shape[axis]
        layer.require(max(pair) <= size - 1 + offset, f"axis {axis} is too short for {pair}")
        if any(pair):
            indices = _mirrored(size, *pair, offset)
            name = pick(layer, name, tuple(shape), axis, indices, f"axis_{axis}")
            shape[axis] = size + sum(pair)
    layer.finish(name)


def pick(
    layer: Layer, name: str, shape: tuple[int, ...], axis: int, indices: list[int], part: str = ""
) -> str:
    """Slices of one axis by their indices: a view where they are evenly spaced.

    Raises:
        ModelError: They are too large.
    """
    steps = {after - before for before, after in zip(indices, indices[1:], strict=False)}
    if len(steps) <= 1:
        view = View.of(shape).sliced(axis, indices[0], min(steps, default=1), len(indices))
        return copy_view(layer, name, view, part)
    outer, inner = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    layer.require(
        max(outer, shape[axis], len(indices)) < _MOST_INDEX, f"{layer.source()} is too large"
    )
    layer.require(outer * len(indices) * inner < _MOST_ELEMENTS, "the result is too large")
    image = layer.reshape(name, (outer, shape[axis], inner), f"{part}image".strip("_"))
    tables = [
        layer.number(f"{part}{kind}", table, "u16")
        for kind, table in (("rows", _counted(outer)), ("columns", np.asarray(indices)))
    ]
    return layer.apply(PickPixels(), image, *tables, suffix=part)


def _mirrored(size: int, before: int, after: int, offset: int) -> list[int]:
    """Indices of an axis with its mirror images on both sides; offset 1 repeats the outermost."""
    first = range(before - offset, -offset, -1)
    last = range(size - 2 + offset, size - 2 + offset - after, -1)
    return [*first, *range(size), *last]


def _counted(count: int) -> npt.NDArray[np.int64]:
    return np.arange(count, dtype=np.int64)


def _image(layer: Layer) -> tuple[int, int, int, int]:
    shape = layer.source().shape
    layer.type_of(layer.source(), *CODES)
    layer.require(len(shape) == 4, f"{layer.source()} is no image")
    return shape[0], shape[1], shape[2], shape[3]


def _block(layer: Layer) -> int:
    block = int(layer.option("BlockSize", 0))
    layer.require(0 < block < 1 << 12, f"blocks of {block}")
    return block


def _require_size(layer: Layer, elements: int) -> None:
    layer.require(elements == layer.result().elements, f"does not give {layer.result()}")
    layer.require(elements < _MOST_ELEMENTS, "the result is too large")
