"""Resizing of images."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tinyq.graph.ops.interpolate import Interpolate
from tinyq.graph.ops.pick_pixels import PickPixels
from tinyq.importers.tflite.layer import CODES, Layer, round_away
from tinyq.importers.tflite.registry import imports

MAX_SIDE = 1 << 14


@imports("RESIZE_NEAREST_NEIGHBOR")
def import_resize_nearest_neighbor(layer: Layer) -> None:
    """Nearest pixel; which one is decided here, in float32 as TFLite does."""
    have, want = _sides(layer)
    tables = [
        layer.number(name, [_nearest(layer, index, *pair) for index in range(pair[1])], "u16")
        for name, pair in zip(("rows", "columns"), zip(have, want, strict=True), strict=True)
    ]
    layer.finish(layer.apply(PickPixels(), layer.activation(), *tables))


@imports("RESIZE_BILINEAR")
def import_resize_bilinear(layer: Layer) -> None:
    """Mean of four pixels with 10-bit weights, made here in integers as TFLite does."""
    layer.require(
        not (layer.twice and layer.source().is_unsigned),
        "TFLite resizes uint8 images in floating point",
        "import with rounding half_up, which weighs pixels by 10 bits",
    )
    have, want = _sides(layer)
    tables = [
        layer.number(name, _weights(layer, *pair), "s16")
        for name, pair in zip(("rows", "columns"), zip(have, want, strict=True), strict=True)
    ]
    layer.finish(layer.apply(Interpolate(), layer.activation(), *tables))


def _sides(layer: Layer) -> tuple[tuple[int, int], tuple[int, int]]:
    """Height and width of input and output."""
    x, y = layer.type_of(layer.source(), *CODES), layer.type_of(layer.result(), *CODES)
    layer.require(len(x.shape) == len(y.shape) == 3, "resizing takes an image of one sample")
    have, want = x.shape[:2], y.shape[:2]
    layer.require(max(*have, *want) < MAX_SIDE, f"resizing {have} to {want} is too large")
    layer.require(layer.integers(1) == list(want), f"the size is not {want}")
    return (have[0], have[1]), (want[0], want[1])


def _nearest(layer: Layer, index: int, have: int, want: int) -> int:
    single = np.float32
    corners = bool(layer.option("AlignCorners", False)) and want > 1
    centers = bool(layer.option("HalfPixelCenters", False))
    scale = single(have - 1) / single(want - 1) if corners else single(have) / single(want)
    place = float((single(index) + single(0.5 if centers else 0.0)) * scale)
    aligned = bool(layer.option("AlignCorners", False))
    chosen = round_away(place) if aligned else math.floor(place)
    return max(min(chosen, have - 1), 0)


def _weights(layer: Layer, have: int, want: int) -> npt.NDArray[np.int64]:
    """Rows of the table of ``Interpolate``: lower, upper, weight of the upper in 1/1024."""
    corners = bool(layer.option("AlignCorners", False)) and want > 1
    above, below = (have - 1, want - 1) if corners else (have, want)
    scale = (1024 * above + below // 2) // below
    place = np.arange(want, dtype=np.int64) * scale
    if layer.option("HalfPixelCenters", False):
        place = place + scale // 2 - 512
    lower = np.maximum(np.where(place < 0, -(-place // 1024), place // 1024), 0)
    upper = np.where(place + 1023 < 0, -(-(place + 1023) // 1024), (place + 1023) // 1024)
    return np.stack([lower, np.minimum(upper, have - 1), place - 1024 * lower], axis=1)
