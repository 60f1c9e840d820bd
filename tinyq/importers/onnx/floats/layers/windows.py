"""Pools, padding and resizing as Keras layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from tinyq.importers.onnx.arrangement import View
from tinyq.importers.onnx.floats.build import converts
from tinyq.importers.onnx.floats.node import Flow, Node


def padded(
    node: Node, x: Any, size: Sequence[int], mode: str, fill: float | None
) -> tuple[Any, str]:
    """A tensor with its padding around it, and what Keras shall pad beside.

    Args:
        node: The operator.
        x: Keras' tensor, channels last.
        size: Of the window.
        mode: ``auto_pad``.
        fill: What padding counts as; None where it must not count, so that Keras alone can pad.
    """
    axes, lengths = len(size), tuple(x.shape[1:-1])
    steps = [int(it) for it in node.attribute("strides", (1,) * axes)]
    gaps = [int(it) for it in node.attribute("dilations", (1,) * axes)]
    if mode == "SAME_UPPER":
        return x, "same"
    node.require(mode in ("NOTSET", "VALID"), f"padding {mode} is not supported")
    pads = [int(it) for it in node.attribute("pads", (0,) * (2 * axes))]
    node.require(len(pads) == 2 * axes and min(pads) >= 0, f"padding {pads}")
    if mode == "VALID" or not any(pads):
        return x, "valid"
    ends = list(zip(pads[:axes], pads[axes:], strict=True))
    usual = []
    for axis in range(axes):
        reach = (size[axis] - 1) * gaps[axis] + 1
        total = max((-(-lengths[axis] // steps[axis]) - 1) * steps[axis] + reach - lengths[axis], 0)
        usual.append((total // 2, total - total // 2))
    if ends == usual:
        return x, "same"
    node.require(
        fill is not None,
        f"padding {pads} must not count, and Keras pads otherwise",
        "pad evenly, or pool after a ReLU",
    )
    kind = keras.layers.ZeroPadding2D if axes == 2 else keras.layers.ZeroPadding1D
    return node.add(kind, x, padding=tuple(ends) if axes == 2 else ends[0]), "valid"


@converts("MaxPool")
def convert_max_pool(node: Node) -> None:
    """Largest value of each window."""
    node.require(len([it for it in node.node.outputs if it]) == 1, "indices are not supported")
    flow = node.flow()
    y = _pool(node, flow, "MaxPooling", 0.0 if flow.positive else None)
    node.give(node.of_image(y, flow.positive))


@converts("AveragePool")
def convert_average_pool(node: Node) -> None:
    """Mean of each window."""
    flow = node.flow()
    counted = bool(node.attribute("count_include_pad", 0))
    node.require(not counted or _has_explicit(node), "padding counts")
    y = _pool(node, flow, "AveragePooling", 0.0 if counted else None, counted)
    node.give(node.of_image(y, flow.positive))


def _has_explicit(node: Node) -> bool:
    return bool(node.attribute("auto_pad", "NOTSET") in ("NOTSET", "VALID"))


def _pool(node: Node, flow: Flow, kind: str, fill: float | None, counted: bool = False) -> Any:
    size = [int(it) for it in node.attribute("kernel_shape", ())]
    axes = len(flow.shape) - 2
    node.require(len(size) == axes, f"a window of {size}")
    gaps = tuple(node.attribute("dilations", (1,) * axes))
    node.require(set(gaps) == {1}, "dilations are not supported")
    x = node.image(flow)
    steps = [int(it) for it in node.attribute("strides", (1,) * axes)]
    pads = [int(it) for it in node.attribute("pads", (0,) * (2 * axes))]
    if node.attribute("ceil_mode", 0):
        even = all(
            (x.shape[1 + axis] + pads[axis] + pads[axes + axis] - size[axis]) % steps[axis] == 0
            for axis in range(axes)
        )
        node.require(even, "ceil_mode leaves a part of a window")
    if counted and any(pads):
        class_ = keras.layers.ZeroPadding2D if axes == 2 else keras.layers.ZeroPadding1D
        ends = list(zip(pads[:axes], pads[axes:], strict=True))
        x = node.add(class_, x, padding=tuple(ends) if axes == 2 else ends[0])
        padding = "valid"
    else:
        x, padding = padded(node, x, size, node.attribute("auto_pad", "NOTSET"), fill)
    layer = getattr(keras.layers, f"{kind}{axes}D")
    return node.add(layer, x, pool_size=tuple(size), strides=tuple(steps), padding=padding)


@converts("GlobalAveragePool", "GlobalMaxPool")
def convert_global_pool(node: Node) -> None:
    """Mean or largest value of each channel."""
    flow = node.flow()
    kind = "Average" if node.node.kind == "GlobalAveragePool" else "Max"
    node.give(_whole(node, flow, kind, True))


def _whole(node: Node, flow: Flow, kind: str, kept: bool) -> Flow:
    axes = len(flow.shape) - 2
    layer = getattr(keras.layers, f"Global{kind}Pooling{axes}D")
    y = node.add(layer, node.image(flow))
    shape = (1, flow.shape[1], *(1,) * axes) if kept else (1, flow.shape[1])
    return Flow(y, View.of(shape), flow.positive)


@converts("ReduceMean")
def convert_reduce_mean(node: Node) -> None:
    """Mean of each channel, where it is over all of an image."""
    flow = node.flow()
    rank = len(flow.shape)
    axes = node.axes(rank)
    node.require(
        rank in (3, 4) and axes is not None and sorted(axes) == list(range(2, rank)),
        f"a mean over axes {axes}",
    )
    node.give(_whole(node, flow, "Average", bool(node.attribute("keepdims", 1))))


@converts("Pad")
def convert_pad(node: Node) -> None:
    """Zeros around an image."""
    flow = node.flow()
    rank = len(flow.shape)
    node.require(node.attribute("mode", "constant") == "constant", "pads with no constant")
    value = node.constant(2).reshape(-1)[0] if node.has(2) else node.attribute("value", 0.0)
    given = node.attribute("pads")
    pads = [int(it) for it in (node.constant(1).reshape(-1) if given is None else given)]
    node.require(float(value) == 0.0 and len(pads) == 2 * rank, f"pads {pads} with {value}")
    node.require(not node.has(3), "axes are not supported")
    ends = list(zip(pads[2:rank], pads[rank + 2 :], strict=True))
    inside = not any(pads[:2] + pads[rank : rank + 2]) and min(pads) >= 0
    node.require(inside and rank in (3, 4), f"pads {pads}")
    kind = keras.layers.ZeroPadding2D if rank == 4 else keras.layers.ZeroPadding1D
    y = node.add(kind, node.image(flow), padding=tuple(ends) if rank == 4 else ends[0])
    node.give(node.of_image(y, flow.positive))


@converts("Resize", "Upsample")
def convert_resize(node: Node) -> None:
    """Nearest neighbours or bilinear, whole times as large."""
    flow = node.flow()
    node.require(len(flow.shape) == 4, "resizes no image")
    place = 1 if node.node.kind == "Upsample" or node.opset < 11 else 2
    scales = node.attribute("scales")
    if scales is None and node.has(place) and node.constant(place).size:
        scales = node.constant(place).reshape(-1)
    if scales is None:
        node.require(node.has(3), "says no size")
        sizes = node.constant(3).reshape(-1)
        scales = [size / old for size, old in zip(sizes, flow.shape, strict=True)]
    factors = [round(float(it)) for it in scales]
    whole = all(math.isclose(a, b) for a, b in zip(factors, scales, strict=True))
    mode = node.attribute("mode", "nearest")
    place_of = node.attribute("coordinate_transformation_mode", "half_pixel")
    nearest = mode == "nearest" and (
        place_of != "asymmetric" or node.attribute("nearest_mode", "floor") == "floor"
    )
    node.require(whole and factors[:2] == [1, 1] and nearest, f"resizes by {list(scales)} ({mode})")
    y = node.add(
        keras.layers.UpSampling2D,
        node.image(flow),
        size=tuple(factors[2:]),
        interpolation="nearest",
    )
    node.give(node.of_image(y, flow.positive))
