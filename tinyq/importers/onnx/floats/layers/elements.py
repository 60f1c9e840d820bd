"""Activations, sums and moves as Keras layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from tinyq.importers.onnx.arrangement import View, channel_last
from tinyq.importers.onnx.floats.build import converts
from tinyq.importers.onnx.floats.node import Flow, Node
from tinyq.importers.onnx.folding import axes_of, limits_of, resolve_shape

_ACTIVATIONS = {
    "Elu": "elu",
    "HardSwish": "hard_swish",
    "Mish": "mish",
    "Selu": "selu",
    "Sigmoid": "sigmoid",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Tanh": "tanh",
}
_POSITIVE = ("Sigmoid", "Softplus")


@converts("Relu")
def convert_relu(node: Node) -> None:
    """Nothing below 0."""
    flow = node.flow()
    node.give(node.same(flow, node.add(keras.layers.ReLU, flow.tensor), positive=True))


@converts("Clip")
def convert_clip(node: Node) -> None:
    """Nothing below 0 or above a limit."""
    flow = node.flow()
    low, high = limits_of(node.node, node.opset, node.constants())
    node.require(low == 0.0, f"clips below {low}, not 0")
    most = None if high is None or not math.isfinite(high) else float(high)
    y = node.add(keras.layers.ReLU, flow.tensor, max_value=most)
    node.give(node.same(flow, y, positive=True))


@converts(*_ACTIVATIONS)
def convert_activation(node: Node) -> None:
    """An activation of Keras' own."""
    flow, kind = node.flow(), node.node.kind
    alpha = float(node.attribute("alpha", 1.0))
    node.require(kind != "Elu" or alpha == 1.0, f"alpha is {alpha}")
    y = node.add(keras.layers.Activation, flow.tensor, activation=_ACTIVATIONS[kind])
    node.give(node.same(flow, y, positive=kind in _POSITIVE))


@converts("HardSigmoid")
def convert_hard_sigmoid(node: Node) -> None:
    """With Keras' slope, 1/6."""
    flow = node.flow()
    slope, place = float(node.attribute("alpha", 0.2)), float(node.attribute("beta", 0.5))
    node.require(math.isclose(slope, 1 / 6, rel_tol=1e-5) and place == 0.5, f"slope {slope}")
    y = node.add(keras.layers.Activation, flow.tensor, activation="hard_sigmoid")
    node.give(node.same(flow, y, positive=True))


@converts("LeakyRelu")
def convert_leaky_relu(node: Node) -> None:
    """A slope for negative numbers."""
    flow = node.flow()
    alpha = float(node.attribute("alpha", 0.01))
    node.give(node.same(flow, node.add(keras.layers.LeakyReLU, flow.tensor, negative_slope=alpha)))


@converts("PRelu")
def convert_prelu(node: Node) -> None:
    """A slope of each channel for negative numbers."""
    flow, slope = node.flow(), node.constant(1)
    x = node.image(flow)
    channels, axes = flow.shape[1], len(flow.shape) - 2
    node.require(slope.size in (1, channels), f"slopes {slope.shape}")
    alpha = np.broadcast_to(slope.reshape(-1), channels).reshape(*(1,) * axes, channels)
    shared = list(range(1, axes + 1))
    y = node.with_weights(keras.layers.PReLU, x, [alpha], shared_axes=shared)
    node.give(node.of_image(y))


@converts("Gelu")
def convert_gelu(node: Node) -> None:
    """Gaussian error linear unit."""
    flow = node.flow()
    tanh = node.attribute("approximate", "none") == "tanh"
    node.require(not tanh, "approximates by tanh", "use the exact GELU")
    node.give(node.same(flow, node.add(keras.layers.Activation, flow.tensor, activation="gelu")))


@converts("Softmax")
def convert_softmax(node: Node) -> None:
    """Shares of the last axis."""
    flow = node.flow()
    rank = len(flow.shape)
    axis = int(node.attribute("axis", -1 if node.opset >= 13 else 1)) % rank
    node.require(
        axis == rank - 1 and (node.opset >= 13 or rank == 2), f"a softmax over axis {axis}"
    )
    x = node.arrange(flow, range(rank), flow.shape[1:])
    y = node.add(keras.layers.Softmax, x)
    node.give(Flow(y, View.of(flow.shape), positive=True))


@converts("Identity", "Dropout")
def convert_identity(node: Node) -> None:
    """Nothing, once trained."""
    node.give(node.flow())


@converts("Add", "Sub", "Mul", "Max", "Min")
def convert_pair(node: Node) -> None:
    """Two tensors, or one and a number."""
    kind = node.node.kind
    node.require(len(node.node.inputs) == 2, "takes more than two")
    one, other = node.value(0), node.value(1)
    if not isinstance(one, Flow) or not isinstance(other, Flow):
        _with_constant(node, kind)
        return
    if kind == "Mul" and _swish(node, one, other):
        return
    layers: dict[str, Callable[..., Any]] = {
        "Add": keras.layers.Add,
        "Sub": keras.layers.Subtract,
        "Mul": keras.layers.Multiply,
        "Max": keras.layers.Maximum,
        "Min": keras.layers.Minimum,
    }
    a, b, shape = _aligned(node, one, other)
    y = node.add(layers[kind], a, b)
    positive = kind != "Sub" and one.positive and other.positive
    order = channel_last(len(shape)) if len(shape) in (3, 4) else tuple(range(len(shape)))
    node.give(Flow(y, View.of(shape, order), positive))


def _aligned(node: Node, one: Flow, other: Flow) -> tuple[Any, Any, tuple[int, ...]]:
    """Two tensors of one rank, images with channels last."""
    node.require(len(one.shape) == len(other.shape), f"shapes {one.shape} and {other.shape}")
    rank = len(one.shape)
    shape = np.broadcast_shapes(one.shape, other.shape)
    order = channel_last(rank) if rank in (3, 4) else tuple(range(rank))
    tensors = [
        node.arrange(each, order, [each.shape[a] for a in order[1:]]) for each in (one, other)
    ]
    return tensors[0], tensors[1], tuple(int(size) for size in shape)


def _swish(node: Node, one: Flow, other: Flow) -> bool:
    """X * sigmoid(x) and x * hard_sigmoid(x), as exporters write SiLU and hard-swish."""
    makers = {name: it for it in node.building.model.nodes for name in it.outputs}
    for place, flow in ((1, one), (0, other)):
        gate = makers.get(node.node.inputs[place])
        plain = gate is not None and gate.inputs[0] == node.node.inputs[1 - place]
        if gate is None or not plain or gate.kind not in ("Sigmoid", "HardSigmoid"):
            continue
        name = "silu" if gate.kind == "Sigmoid" else "hard_swish"
        y = node.add(keras.layers.Activation, flow.tensor, activation=name)
        node.give(node.same(flow, y))
        return True
    return False


@converts("Div")
def convert_division(node: Node) -> None:
    """A quotient by a number."""
    node.require(not isinstance(node.value(1), Flow), "divides by a computed tensor")
    _with_constant(node, "Div")


def _with_constant(node: Node, kind: str) -> None:
    """A tensor with a number, or with one for each channel."""
    place = 0 if isinstance(node.value(0), Flow) else 1
    flow, array = node.flow(place), node.constant(1 - place).astype(np.float64)
    node.require(place == 0 or kind in ("Add", "Mul"), "the constant comes first")
    scale, offset = {
        "Add": (np.ones_like(array), array),
        "Sub": (np.ones_like(array), -array),
        "Mul": (array, np.zeros_like(array)),
        "Div": (1.0 / array, np.zeros_like(array)),
    }.get(kind, (None, None))
    node.require(scale is not None, f"{kind} of a tensor and a constant")
    assert scale is not None
    assert offset is not None
    if array.size == 1:
        y = node.add(
            keras.layers.Rescaling,
            flow.tensor,
            scale=float(scale.reshape(-1)[0]),
            offset=float(offset.reshape(-1)[0]),
        )
        node.give(node.same(flow, y))
        return
    rank = len(flow.shape)
    axis = 1 if rank in (3, 4) else rank - 1
    aligned = (1,) * (rank - array.ndim) + array.shape
    fits = array.ndim <= rank and all(
        size == 1 or (at == axis and size == flow.shape[axis]) for at, size in enumerate(aligned)
    )
    if rank == 3 and not fits:  # (batch, tokens, features)
        axis = 2
        fits = all(
            size == 1 or (at == 2 and size == flow.shape[2]) for at, size in enumerate(aligned)
        )
    node.require(fits, f"a constant {array.shape} for {flow.shape}")
    channels = flow.shape[axis]
    order = channel_last(rank) if axis == 1 and rank > 2 else tuple(range(rank))
    x = node.arrange(flow, order, [flow.shape[at] for at in order[1:]])
    gamma, beta = (np.broadcast_to(it.reshape(-1), channels) for it in (scale, offset))
    y = node.with_weights(
        keras.layers.BatchNormalization,
        x,
        [gamma, beta, np.zeros(channels), np.ones(channels)],
        epsilon=0.0,
    )
    node.give(Flow(y, View.of(flow.shape, order)))


@converts("Concat")
def convert_concat(node: Node) -> None:
    """Tensors side by side."""
    flows = [node.flow(place) for place in range(len(node.node.inputs))]
    rank = len(flows[0].shape)
    axis = int(node.attribute("axis", 0)) % rank
    node.require(axis > 0, "joins batches")
    order = channel_last(rank) if rank in (3, 4) else tuple(range(rank))
    tensors = [node.arrange(it, order, [it.shape[a] for a in order[1:]]) for it in flows]
    y = node.add(keras.layers.Concatenate, *tensors, axis=order.index(axis))
    shape = list(flows[0].shape)
    shape[axis] = sum(it.shape[axis] for it in flows)
    node.give(Flow(y, View.of(shape, order), all(it.positive for it in flows)))


@converts("Flatten", "Reshape", "Squeeze", "Unsqueeze")
def convert_reshape(node: Node) -> None:
    """Another shape; the order of the elements is said where they are used."""
    flow = node.flow()
    shape, kind = flow.shape, node.node.kind
    if kind == "Flatten":
        axis = int(node.attribute("axis", 1)) % (len(shape) + 1)
        wanted: tuple[int, ...] = (math.prod(shape[:axis]), math.prod(shape[axis:]))
    elif kind == "Reshape":
        given = node.attribute("shape") or node.constant(1).reshape(-1)
        wanted = resolve_shape(shape, [int(it) for it in given], bool(node.attribute("allowzero")))
    elif kind == "Squeeze":
        axes = node.axes(len(shape))
        wanted = tuple(
            size for at, size in enumerate(shape) if not (size == 1 if axes is None else at in axes)
        )
    else:
        found = axes_of(node.node, node.constants()) or []
        places = {axis % (len(shape) + len(found)) for axis in found}
        left = iter(shape)
        rank = len(shape) + len(found)
        wanted = tuple(1 if at in places else next(left) for at in range(rank))
    view = flow.view.reshaped(wanted)
    if view is None:
        inner = shape[1:] or (1,)
        flow = Flow(node.arrange(flow, range(len(shape)), inner), View.of(shape), flow.positive)
        view = flow.view.reshaped(wanted)
    node.require(view is not None, f"cannot bring {shape} to {wanted}")
    assert view is not None
    node.give(replace(flow, view=view))


@converts("Transpose")
def convert_transpose(node: Node) -> None:
    """Axes in another order, which is said where they are used."""
    flow = node.flow()
    order = node.attribute("perm", tuple(range(len(flow.shape)))[::-1])
    node.give(replace(flow, view=flow.view.transposed(order)))
