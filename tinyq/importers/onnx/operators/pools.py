"""Pools and means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.graph.ops.max_pool2d import MaxPool2D
from tinyq.graph.ops.pad2d import Pad2D
from tinyq.graph.ops.sum_pool2d import SumPool2D
from tinyq.graph.ops.window import Window
from tinyq.importers.onnx.arrangement import View, channel_last
from tinyq.importers.onnx.layer import Layer
from tinyq.importers.onnx.operators.moves import moved
from tinyq.importers.onnx.operators.quantization import dequantized, finish
from tinyq.importers.onnx.registry import imports
from tinyq.importers.onnx.sums import Scales, Sum, span_of
from tinyq.importers.onnx.values import Coded, Open, Real, Single, Value
from tinyq.importers.onnx.windows import image_of, window_of


@imports("MaxPool", "GlobalMaxPool")
def import_max_pool(layer: Layer) -> None:
    """Largest code of each window."""
    layer.require(len([it for it in layer.node.outputs if it]) == 1, "indices are not supported")
    layer.require(not layer.attribute("storage_order", 0), "columns first are not supported")
    value = layer.value()
    layer.require(isinstance(value, Coded | Real) and _rises(value), "pools what is not quantized")
    coded = value.coded if isinstance(value, Real) else value
    assert isinstance(coded, Coded)
    image = image_of(layer, coded.name, coded.view)
    shape = layer.builder.type(image.name).shape
    whole = coded.shape[2:]
    size = whole if layer.node.kind == "GlobalMaxPool" else layer.attribute("kernel_shape", ())
    window = window_of(layer, shape, size, image.rank)
    name = layer.apply(MaxPool2D(window), image.name)
    view = image.view(layer.builder.type(name).shape)
    found = Coded(name, view, coded.meaning)
    layer.give(_with(value, found))


def _rises(value: Value) -> bool:
    """Whether a larger code is a larger real, so that the largest code is the largest real."""
    if not isinstance(value, Real) or value.values is None:
        return True
    lo, hi = value.span
    return bool((np.diff(value.values[lo + 128 : hi + 129]) >= 0).all())


def _with(value: Value, coded: Coded) -> Value:
    return (
        Real(coded, value.scale, value.zero_point, value.values)
        if isinstance(value, Real)
        else coded
    )


@imports("GlobalAveragePool")
def import_global_average_pool(layer: Layer) -> None:
    """Mean of each channel."""
    real = layer.real()
    rank = len(real.shape)
    layer.give(mean(layer, real, range(2, rank), True, True))


@imports("QLinearGlobalAveragePool")
def import_qlinear_global_average_pool(layer: Layer) -> None:
    """Mean of each channel of codes."""
    real = layer.as_real(dequantized(layer, 0), "the input")
    rank = len(real.shape)
    axes = range(1, rank - 1) if layer.attribute("channels_last", 0) else range(2, rank)
    finish(layer, mean(layer, real, axes, True, True), 3)


@imports("ReduceMean")
def import_reduce_mean(layer: Layer) -> None:
    """Mean over axes."""
    real = layer.real()
    rank = len(real.shape)
    axes = layer.axes(rank)
    if not axes:
        if axes is not None and layer.attribute("noop_with_empty_axes", 0):
            layer.give(real)
            return
        axes = list(range(rank))
    layer.give(mean(layer, real, axes, bool(layer.attribute("keepdims", 1)), False))


@imports("QLinearReduceMean")
def import_qlinear_reduce_mean(layer: Layer) -> None:
    """Mean of codes over axes."""
    real = layer.as_real(dequantized(layer, 0), "the input")
    rank = len(real.shape)
    axes = [layer.axis(int(it), rank) for it in layer.attribute("axes", tuple(range(rank)))]
    finish(layer, mean(layer, real, axes, bool(layer.attribute("keepdims", 1)), False), 3)


def mean(layer: Layer, real: Real, axes: Sequence[int], kept: bool, fused: bool) -> Sum:
    """Mean over axes: a sum of codes, whose number of terms is part of the scale.

    Args:
        layer: The operator.
        real: The input.
        axes: Axes.
        kept: Whether they stay, of one element.
        fused: Whether onnxruntime sums integers.
    """
    rank, chosen = len(real.shape), {*axes}
    rest = [axis for axis in range(rank) if axis not in chosen]
    order = [axis for axis in _outer(real.view, rest)]
    inner = sorted(chosen)
    count = math.prod(real.shape[axis] for axis in inner)
    sizes = [real.shape[axis] for axis in order]
    # (terms, 1, channels): the axes that stay are the channels of one window
    channels = math.prod(sizes)
    name = layer.arrange(
        real.coded.name,
        real.view,
        [*_outer(real.view, inner), *order],
        (count, 1, channels),
    )
    window = Window((count, 1), (1, 1))
    view = View.of(
        [real.shape[axis] if axis in rest else 1 for axis in range(rank)], [*inner, *order]
    )
    if not kept:
        view = View(tuple(view.axes[axis] for axis in rest), view.start)
    scales = _single(real, count) if fused else None
    return replace(pooled(layer, real, name, window, view), scales=scales)


def _outer(view: View, axes: Sequence[int]) -> tuple[int, ...]:
    """Axes in the order in which they lie in memory."""
    return view.dense(axes)


def _single(real: Real, count: int) -> Scales:
    return lambda scale: np.asarray([Single(real.scale) / (scale * Single(count))], np.float32)


def pooled(layer: Layer, real: Real, name: str, window: Window, view: View) -> Sum:
    """Sums of windows whose number of terms is in the scale."""
    count = math.prod(window.size)
    channels = layer.builder.type(name).shape[-1]
    least, most = (end * count for end in span_of(*real.span, real.zero_point))
    return Sum(
        layer,
        view,
        lambda output: SumPool2D(output, window, real.zero_point),
        (name,),
        np.full(channels, real.scale / count),
        np.full(channels, least, np.int64),
        np.full(channels, most, np.int64),
        biases=np.zeros(channels, np.int64),
        offsets=np.zeros(channels),
    )


@imports("AveragePool")
def import_average_pool(layer: Layer) -> None:
    """Mean of each window."""
    layer.give(average(layer, layer.real()))


@imports("QLinearAveragePool")
def import_qlinear_average_pool(layer: Layer) -> None:
    """Mean of each window of codes."""
    layer.require(not layer.attribute("channels_last", 0), "channels come last already")
    finish(layer, average(layer, layer.as_real(dequantized(layer, 0), "the input")), 3)


def average(layer: Layer, real: Real) -> Sum:
    """Sums of windows of one size; padding counts, or there is none.

    Raises:
        ModelError: Windows at the border have fewer terms.
    """
    image = image_of(layer, real.coded.name, real.view)
    shape = layer.builder.type(image.name).shape
    window = window_of(layer, shape, layer.attribute("kernel_shape", ()), image.rank)
    name, padding = image.name, window.padding
    layer.require(window.dilation == (1, 1), "dilations are not supported")
    if any(padding):
        whole = window.output_size(shape) == (1, 1) and not layer.attribute("count_include_pad", 0)
        layer.require(
            bool(layer.attribute("count_include_pad", 0)) and not whole,
            "windows at the border have fewer terms",
            "use count_include_pad=1, or no padding",
        )
        layer.require(not layer.attribute("ceil_mode", 0), "ceil_mode with padding")
        name = layer.apply(Pad2D(padding, real.zero_point), name, suffix="padded")
        window = Window(window.size, window.stride)
    height, width = window.output_size(layer.builder.type(name).shape)
    view = image.view((height, width, shape[2]))
    return replace(pooled(layer, real, name, window, view), inside=True)


@imports("Pad")
def import_pad(layer: Layer) -> None:
    """A border of one value around an image."""
    layer.require(
        layer.attribute("mode", "constant") == "constant",
        f"a border by {layer.attribute('mode')} is not supported",
        "pad with zeros",
    )
    value = layer.value()
    layer.require(isinstance(value, Real | Coded | Open), "pads what is not quantized")
    given = layer.attribute("pads")
    pads = [int(it) for it in (layer.fixed(1).reshape(-1) if given is None else given)]
    rank = len(value.shape)
    if layer.has(3):
        axes = [layer.axis(int(axis), rank) for axis in layer.fixed(3).reshape(-1)]
        full = [0] * (2 * rank)
        for place, axis in enumerate(axes):
            full[axis], full[rank + axis] = pads[place], pads[len(axes) + place]
        pads = full
    layer.require(len(pads) == 2 * rank, f"pads {pads} of {rank} axes")
    if not any(pads):
        layer.give(value)
        return
    layer.require(isinstance(value, Real), "pads what is not quantized", "quantize before the Pad")
    assert isinstance(value, Real)
    real = layer.as_real(value, "the input")
    code = _border(layer, real)
    spatial = pads[2:rank] + pads[rank + 2 :]
    layer.require(
        rank in (3, 4)
        and not any(pads[:2])
        and not any(pads[rank : rank + 2])
        and min(spatial) >= 0,
        f"pads {pads}: height and width alone can be padded",
    )
    image = image_of(layer, real.coded.name, real.view)
    before, after = pads[2:rank], pads[rank + 2 :]
    ends = [(before[axis], after[axis]) for axis in range(rank - 2)] + [(0, 0)] * (4 - rank)
    padding = (*ends[0], *ends[1])
    name = layer.apply(Pad2D(padding, code), image.name)
    view = image.view(layer.builder.type(name).shape)
    found = Coded(name, view, real.coded.meaning)
    layer.give(Real(found, real.scale, real.zero_point))


def _border(layer: Layer, real: Real) -> int:
    """Code of the value that a Pad puts around."""
    value = layer.attribute("value", 0.0)
    if layer.has(2):
        value = layer.fixed(2).reshape(-1)[0].item()
    code = int(np.rint(Single(value) / Single(real.scale))) + real.zero_point
    lo, hi = real.span
    layer.require(
        lo <= code <= hi, f"the border of {value} is no code of the input", "pad with zeros"
    )
    return code


@imports("Resize", "Upsample")
def import_resize(layer: Layer) -> None:
    """Nearest neighbours, whole times as large."""
    value = layer.value()
    layer.require(isinstance(value, Real | Coded), "resizes what is not quantized")
    assert isinstance(value, Real | Coded)
    layer.require(
        layer.attribute("mode", "nearest") == "nearest",
        f"resizing by {layer.attribute('mode')} is not supported",
        "use nearest neighbours",
    )
    shape, rank = value.shape, len(value.shape)
    factors = _factors(layer, shape)
    layer.require(rank in (3, 4) and factors[:2] == [1, 1], f"resizes {shape} by {factors}")
    parts = [
        value.view.axes[axis] + (((factors[axis], 0),) if factors[axis] > 1 else ())
        for axis in channel_last(rank)
    ]
    last = View(tuple(parts), value.view.start)  # (batch, height, width, channels)
    order = [0, rank - 1, *range(1, rank - 1)]
    layer.give(moved(layer, value, last.transposed(order)))


def _factors(layer: Layer, shape: tuple[int, ...]) -> list[int]:
    """By how much each axis grows."""
    place = 1 if layer.node.kind == "Upsample" or layer.opset < 11 else 2
    given: npt.NDArray[Any] | None = None
    if layer.attribute("scales") is not None:
        given = np.asarray(layer.attribute("scales"))
    elif layer.has(place) and layer.fixed(place).size:
        given = layer.fixed(place).reshape(-1)
    if given is not None:
        real = [float(it) for it in given]
    else:
        layer.require(layer.has(3), "says no size")
        sizes = [int(it) for it in layer.fixed(3).reshape(-1)]
        layer.require(len(sizes) == len(shape), f"sizes {sizes} for {shape}")
        real = [size / old for size, old in zip(sizes, shape, strict=True)]
    found = [round(it) for it in real]
    mode = layer.attribute("coordinate_transformation_mode", "half_pixel")
    nearest = layer.attribute("nearest_mode", "round_prefer_floor")
    whole = all(abs(a - b) < 1e-6 and b >= 1 for a, b in zip(real, found, strict=True))
    known = mode in ("half_pixel", "pytorch_half_pixel", "asymmetric", "half_pixel_symmetric")
    # Each pixel is repeated where the nearest one is the floor of the quotient.
    same = mode != "asymmetric" or nearest == "floor" or layer.node.kind == "Upsample"
    layer.require(
        len(real) == len(shape) and whole and known and same,
        f"factors {real} ({mode}, {nearest}) are not supported",
        "upsample by whole factors",
    )
    return found
