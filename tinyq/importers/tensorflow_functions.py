"""TensorFlow's functions that Keras 2 kept as layers, in the operations of Keras 3."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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


def _tile(input: Any, multiples: Any, **options: Any) -> Any:  # noqa: A002
    _refuse_options(options)
    repeats = [int(count) for count in np.asarray(multiples).reshape(-1)]
    if repeats[:1] not in ([1], []):
        raise ModelError(f"repeats the batch {repeats[0]} times", remedy="repeat other axes")
    for axis, count in enumerate(repeats):
        if count > 1:
            input = ops.concatenate([input] * count, axis)  # noqa: A001
    return input


def _split(value: Any, num_or_size_splits: Any, axis: int = 0, **options: Any) -> Any:
    options.pop("num", None)
    _refuse_options(options)
    parts = np.asarray(num_or_size_splits)
    if parts.ndim == 0:
        return ops.split(value, int(parts), axis)
    return ops.split(value, np.cumsum(parts)[:-1].tolist(), axis)


def _stack(values: Any, axis: int = 0, **options: Any) -> Any:
    _refuse_options(options)
    return ops.stack(values, axis)


def _unstack(value: Any, num: int | None = None, axis: int = 0, **options: Any) -> Any:
    _refuse_options(options)
    count = int(num or value.shape[axis])
    return [ops.squeeze(part, axis) for part in ops.split(value, count, axis)]


def _sum(input_tensor: Any, axis: Any = None, keepdims: bool = False, **options: Any) -> Any:
    """A mean times how many there are."""
    _refuse_options(options)
    axes = range(1, len(input_tensor.shape)) if axis is None else np.atleast_1d(axis).tolist()
    count = int(np.prod([input_tensor.shape[int(one)] for one in axes]))
    return ops.mean(input_tensor, axis, keepdims) * float(count)


def _gelu(features: Any, approximate: bool = False, **options: Any) -> Any:
    _refuse_options(options)
    return ops.gelu(features, approximate)


def _cast(x: Any, dtype: Any, **options: Any) -> Any:
    _refuse_options(options)
    if "float" not in str(dtype):
        raise ModelError(f"casts to {dtype}", remedy="keep real numbers, or cast in the data")
    return ops.cast(x, "float32")


def _matmul(a: Any, b: Any, **options: Any) -> Any:
    turned = [bool(options.pop(f"transpose_{side}", False)) for side in "ab"]
    _refuse_options({key: value for key, value in options.items() if value is not False})
    first, second = (
        ops.swapaxes(one, -1, -2) if turn else one for one, turn in zip((a, b), turned, strict=True)
    )
    return ops.matmul(first, second)


def _normalize(x: Any, axis: Any = None, epsilon: float = 1e-12, **options: Any) -> Any:
    _refuse_options(options)
    axes = np.atleast_1d(-1 if axis is None else axis).tolist()
    del epsilon  # of Keras' layer it is as small
    return keras.layers.UnitNormalization(axis=axes[0] if len(axes) == 1 else axes)(x)


def _resize(
    images: Any,
    size: Any,
    method: Any = "bilinear",
    preserve_aspect_ratio: bool = False,
    antialias: bool = False,
    **options: Any,
) -> Any:
    _refuse_options(options)
    if preserve_aspect_ratio or antialias or str(method) not in ("bilinear", "nearest"):
        raise ModelError(f"resizes by {method}", remedy="use bilinear or nearest, without options")
    height, width = (int(length) for length in np.asarray(size).reshape(-1))
    rows, columns = images.shape[1], images.shape[2]
    if height % rows == width % columns == 0:
        factors = (height // rows, width // columns)
        return keras.layers.UpSampling2D(factors, interpolation=str(method))(images)
    return keras.layers.Resizing(height, width, interpolation=str(method))(images)


def _to_space(
    input: Any,  # noqa: A002
    block_size: int,
    data_format: str = "NHWC",
    **options: Any,
) -> Any:
    _refuse_options(options)
    _require_last(data_format)
    _, rows, columns, channels = input.shape
    parts = (rows, columns, block_size, block_size, channels // block_size**2)
    return _move_blocks(input, parts, (rows * block_size, columns * block_size, parts[-1]))


def _to_depth(
    input: Any,  # noqa: A002
    block_size: int,
    data_format: str = "NHWC",
    **options: Any,
) -> Any:
    _refuse_options(options)
    _require_last(data_format)
    _, rows, columns, channels = input.shape
    down, right = rows // block_size, columns // block_size
    parts = (down, block_size, right, block_size, channels)
    return _move_blocks(input, parts, (down, right, channels * block_size**2))


def _move_blocks(pixels: Any, parts: Sequence[int], shape: Sequence[int]) -> Any:
    """Pixels in five parts, of which the second and third change places, in another shape."""
    split = ops.transpose(ops.reshape(pixels, (-1, *parts)), (0, 1, 3, 2, 4, 5))
    return ops.reshape(split, (-1, *shape))


def _require_last(data_format: str) -> None:
    if data_format not in ("NHWC", None):
        raise ModelError(f"moves pixels of format {data_format}", remedy="use NHWC")


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
        "math.reduce_sum": _sum,
        "math.exp": _first(ops.exp),
        "math.softplus": _first(ops.softplus),
        "math.l2_normalize": _normalize,
        "nn.bias_add": _pair(ops.add),
        "nn.gelu": _gelu,
        "nn.depth_to_space": _to_space,
        "nn.space_to_depth": _to_depth,
        "compat.v1.depth_to_space": _to_space,
        "compat.v1.space_to_depth": _to_depth,
        "image.resize": _resize,
        "linalg.matmul": _matmul,
        "cast": _cast,
        "split": _split,
        "stack": _stack,
        "stop_gradient": _first(ops.stop_gradient),
        "tile": _tile,
        "unstack": _unstack,
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
