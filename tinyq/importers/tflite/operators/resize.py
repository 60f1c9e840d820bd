"""Resizing of images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tinyq.graph.ops.interpolate import Interpolate, InterpolateHalfUp
from tinyq.graph.ops.pick_pixels import PickPixels
from tinyq.importers.tflite.layer import CODES, Layer
from tinyq.importers.tflite.pixels import MAX_SIDE, nearest_pixel
from tinyq.importers.tflite.registry import imports


@imports("RESIZE_NEAREST_NEIGHBOR")
def import_resize_nearest_neighbor(layer: Layer) -> None:
    """Nearest pixel; which one is decided here, in float32 as TFLite does."""
    have, want = _sides(layer)
    tables = [
        layer.number(name, [nearest_pixel(layer, index, *pair) for index in range(pair[1])], "u16")
        for name, pair in zip(("rows", "columns"), zip(have, want, strict=True), strict=True)
    ]
    layer.finish(layer.apply(PickPixels(), layer.activation(), *tables))


@imports("RESIZE_BILINEAR")
def import_resize_bilinear(layer: Layer) -> None:
    """Mean of four pixels with 10-bit weights, made here in integers as TFLite does.

    Unsigned images TFLite resizes in float32, half rounded up. Where all weights are short binary
    fractions, as for a factor of 2 or 16, no step of that is rounded, and integers are the same.
    """
    have, want = _sides(layer)
    is_float = layer.twice and layer.source().is_unsigned
    weigh = _float_weights if is_float else _weights
    tables = [
        layer.number(name, weigh(layer, *pair), "s16")
        for name, pair in zip(("rows", "columns"), zip(have, want, strict=True), strict=True)
    ]
    operation = InterpolateHalfUp() if is_float else Interpolate()
    layer.finish(layer.apply(operation, layer.activation(), *tables))


def _float_weights(layer: Layer, have: int, want: int) -> npt.NDArray[np.int64]:
    """Like ``_weights``, of places that TFLite computes in float32.

    Raises:
        ModelError: A weight has more than 7 binary places, so that float32 rounds sums.
    """
    single = np.float32
    corners = bool(layer.option("AlignCorners", False)) and want > 1
    scale = single(have - 1) / single(want - 1) if corners else single(have) / single(want)
    half = single(0.5 if layer.option("HalfPixelCenters", False) else 0.0)
    place = (np.arange(want, dtype=single) + half) * scale - half
    fractions = np.asarray(place, np.float64) * 128
    layer.require(
        bool((fractions == np.rint(fractions)).all()),
        f"TFLite resizes unsigned images in floating point, and {have} to {want} pixels is no "
        "factor whose weights are exact there",
        "import with rounding half_up, which weighs pixels by 10 bits",
    )
    lower = np.maximum(np.floor(place), 0).astype(np.int64)
    upper = np.minimum(np.ceil(place).astype(np.int64), have - 1)
    weight = np.rint(np.asarray(place, np.float64) * 1024).astype(np.int64) - 1024 * lower
    return np.stack([lower, np.maximum(upper, 0), weight], axis=1)


def _sides(layer: Layer) -> tuple[tuple[int, int], tuple[int, int]]:
    """Height and width of input and output."""
    x, y = layer.type_of(layer.source(), *CODES), layer.type_of(layer.result(), *CODES)
    layer.require(len(x.shape) == len(y.shape) == 3, "resizing takes an image of one sample")
    have, want = x.shape[:2], y.shape[:2]
    layer.require(max(*have, *want) < MAX_SIDE, f"resizing {have} to {want} is too large")
    layer.require(layer.integers(1) == list(want), f"the size is not {want}")
    return (have[0], have[1]), (want[0], want[1])


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
