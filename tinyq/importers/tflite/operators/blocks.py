"""Blocks of pixels as samples of a batch, outside of the convolutions that `dilations` joins."""

from __future__ import annotations

import math

from tinyq.graph.ops.pad2d import Pad2D
from tinyq.importers.tflite.layer import CODES, Layer
from tinyq.importers.tflite.registry import imports
from tinyq.importers.tflite.view import View, copy_view


@imports("SPACE_TO_BATCH_ND")
def import_space_to_batch(layer: Layer) -> None:
    """Pads with real 0, then each place within a block becomes a sample."""
    shape, block, pairs = _blocks(layer)
    meaning = layer.type_of(layer.source(), *CODES)
    name, sizes = layer.activation(), list(shape)
    for axis, (before, after) in enumerate(pairs, 1):
        if before or after:
            rows = (math.prod(sizes[:axis]), sizes[axis], math.prod(sizes[axis + 1 :]))
            image = layer.reshape(name, rows, f"image_{axis}")
            padding = Pad2D((0, 0, before, after), meaning.zero_point)
            name = layer.apply(padding, image, suffix=f"axis_{axis}")
            sizes[axis] += before + after
    layer.require(
        all(size % one == 0 for size, one in zip(sizes[1:], block, strict=False)),
        f"{sizes} is no whole number of blocks {block}",
    )
    split, places = _split(sizes, block)
    inner, outer = [one for one, _ in places], [other for _, other in places]
    order = [*outer, 0, *inner, *range(2 * len(block) + 1, len(split))]
    layer.finish(copy_view(layer, name, View.of(split).transposed(order), "blocks"))


@imports("BATCH_TO_SPACE_ND")
def import_batch_to_space(layer: Layer) -> None:
    """Samples become the places within blocks, then a border is cut off."""
    shape, block, pairs = _blocks(layer)
    count = math.prod(block)
    layer.require(shape[0] % count == 0, f"{shape[0]} samples are no blocks of {block}")
    split = (*block, shape[0] // count, *shape[1:])
    rank = len(block)
    order = [rank]
    for axis in range(rank):
        order += [rank + 1 + axis, axis]
    order += range(2 * rank + 1, len(split))
    name = copy_view(layer, layer.activation(), View.of(split).transposed(order), "blocks")
    sizes = [shape[0] // count, *shape[1:]]
    for axis, one in enumerate(block, 1):
        sizes[axis] *= one
    view = View.of(tuple(sizes))
    for axis, (before, after) in enumerate(pairs, 1):
        left = sizes[axis] - before - after
        layer.require(left > 0, f"crops {pairs} leave nothing of axis {axis}")
        view = view.sliced(axis, before, 1, left)
    layer.finish(copy_view(layer, name, view, "cropped"))


def _blocks(layer: Layer) -> tuple[tuple[int, ...], list[int], list[tuple[int, int]]]:
    """Shape of the input, block, and pairs of paddings or crops."""
    shape, block, border = layer.source().shape, layer.integers(1), layer.integers(2)
    layer.type_of(layer.source(), *CODES)
    layer.require(
        0 < len(block) < len(shape) and len(border) == 2 * len(block),
        f"a block {block} with the border {border} does not fit {layer.source()}",
    )
    layer.require(
        min(block) >= 1 and min(border) >= 0 and max(*block, *border) < 1 << 12,
        f"a block {block} with the border {border} makes no sense",
    )
    return shape, block, list(zip(border[::2], border[1::2], strict=True))


def _split(sizes: list[int], block: list[int]) -> tuple[tuple[int, ...], list[tuple[int, int]]]:
    """A shape whose blocked axes are two each, and their places."""
    split, places = [sizes[0]], []
    for size, one in zip(sizes[1:], block, strict=False):
        places.append((len(split), len(split) + 1))
        split += [size // one, one]
    return (*split, *sizes[len(block) + 1 :]), places
