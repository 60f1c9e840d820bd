"""TensorFlow's functions that Keras 2 kept as layers, in the operations of Keras 3."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.errors import ModelError


def _refuse_options(options: Mapping[str, Any]) -> None:
    given = {key: value for key, value in options.items() if value is not None and key != "name"}
    if given:
        raise ModelError(
            f"an operation has the options {', '.join(given)}", remedy="leave them out"
        )


def _reshape(x: Any, shape: Any, **options: Any) -> Any:
    del options
    return ops.reshape(x, tuple(int(length) for length in shape))


def _concatenate(values: Any, axis: int = -1, **options: Any) -> Any:
    del options
    return ops.concatenate(values, axis)


def _first(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(x: Any, **options: Any) -> Any:
        _refuse_options(options)
        return function(x)

    return call


def _pair(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(x: Any, y: Any, **options: Any) -> Any:
        _refuse_options(options)
        return function(x, y)

    return call


def _mean(input_tensor: Any, axis: Any = None, keepdims: bool = False, **options: Any) -> Any:
    _refuse_options(options)
    return ops.mean(input_tensor, axis, keepdims)


def _softmax(logits: Any, axis: int | None = None, **options: Any) -> Any:
    _refuse_options(options)
    return ops.softmax(logits, -1 if axis is None else axis)


def _transpose(a: Any, perm: Any = None, **options: Any) -> Any:
    del options
    return ops.transpose(a, perm)


def _maximum(input_tensor: Any, axis: Any = None, keepdims: bool = False, **options: Any) -> Any:
    _refuse_options(options)
    return ops.max(input_tensor, axis, keepdims)


def _expand(input: Any, axis: int, **options: Any) -> Any:  # noqa: A002  # TensorFlow's name
    _refuse_options(options)
    return ops.expand_dims(input, axis)


def _squeeze(input: Any, axis: Any = None, **options: Any) -> Any:  # noqa: A002
    _refuse_options(options)
    return ops.squeeze(input, None if axis is None else tuple(np.atleast_1d(axis).tolist()))


def _leaky_relu(features: Any, alpha: float = 0.2, **options: Any) -> Any:
    _refuse_options(options)
    return ops.leaky_relu(features, negative_slope=float(alpha))


def _clip(t: Any, clip_value_min: Any, clip_value_max: Any, **options: Any) -> Any:
    _refuse_options(options)
    return ops.clip(t, float(clip_value_min), float(clip_value_max))


def _pad(
    tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: Any = 0, **options: Any
) -> Any:
    _refuse_options(options)
    widths = tuple(tuple(int(side) for side in pair) for pair in np.asarray(paddings).tolist())
    if str(mode).upper() != "CONSTANT":
        raise ModelError(f"pads by {mode}", remedy="pad with zeros")
    return ops.pad(tensor, widths, constant_values=float(constant_values))


def _pool(layer: type) -> Callable[..., Any]:
    def call(
        value: Any = None,
        ksize: Any = None,
        strides: Any = None,
        padding: str = "VALID",
        data_format: str = "NHWC",
        **options: Any,
    ) -> Any:
        image = options.pop("input", None) if value is None else value
        _refuse_options(options)
        size, steps = (_sides(lengths) for lengths in (ksize, strides))
        if data_format not in ("NHWC", None):
            raise ModelError(f"pools images of format {data_format}", remedy="use NHWC")
        return layer(size, steps, padding.lower())(image)

    return call


def _sides(lengths: Any) -> tuple[int, int]:
    """Height and width of what TensorFlow gives as one number, two, or four."""
    numbers = [int(number) for number in np.atleast_1d(lengths)]
    if len(numbers) == 4:  # noqa: PLR2004  # batch, height, width, channels
        numbers = numbers[1:3]
    return numbers[0], numbers[-1]


def _get_item(tensor: Any, slice_spec: Any, **options: Any) -> Any:
    _refuse_options(options)
    return tensor[tuple(_slice(part) for part in slice_spec)]


def _slice(part: Any) -> Any:
    """A slice, which files hold as a mapping; numbers and the ellipsis as they are."""
    if isinstance(part, Mapping):
        return slice(part.get("start"), part.get("stop"), part.get("step"))
    return part


# Functions of TensorFlow by the name that Keras 2 saves for them.
FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "__operators__.add": _pair(ops.add),
        "math.add": _pair(ops.add),
        "math.subtract": _pair(ops.subtract),
        "__operators__.sub": _pair(ops.subtract),
        "math.multiply": _pair(ops.multiply),
        "__operators__.mul": _pair(ops.multiply),
        "math.truediv": _pair(ops.true_divide),
        "math.divide": _pair(ops.true_divide),
        "__operators__.truediv": _pair(ops.true_divide),
        "math.maximum": _pair(ops.maximum),
        "math.minimum": _pair(ops.minimum),
        "math.negative": _first(ops.negative),
        "math.square": _first(ops.square),
        "math.abs": _first(ops.absolute),
        "math.sigmoid": _first(ops.sigmoid),
        "sigmoid": _first(ops.sigmoid),
        "tanh": _first(ops.tanh),
        "identity": _first(ops.copy),
        "clip_by_value": _clip,
        "expand_dims": _expand,
        "squeeze": _squeeze,
        "pad": _pad,
        "math.reduce_max": _maximum,
        "nn.selu": _first(ops.selu),
        "nn.leaky_relu": _leaky_relu,
        "compat.v1.nn.softmax": _softmax,
        "compat.v1.math.softmax": _softmax,
        "compat.v1.transpose": _transpose,
        "compat.v1.nn.avg_pool": _pool(keras.layers.AveragePooling2D),
        "compat.v1.nn.max_pool": _pool(keras.layers.MaxPooling2D),
        "math.tanh": _first(ops.tanh),
        "nn.relu": _first(ops.relu),
        "nn.relu6": _first(ops.relu6),
        "nn.elu": _first(ops.elu),
        "nn.silu": _first(ops.silu),
        "nn.swish": _first(ops.silu),
        "nn.softplus": _first(ops.softplus),
        "nn.softmax": _softmax,
        "reshape": _reshape,
        "concat": _concatenate,
        "transpose": _transpose,
        "math.reduce_mean": _mean,
        "__operators__.getitem": _get_item,
    }
)
