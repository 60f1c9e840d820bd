"""Operators of constants alone: computed on import, in NumPy, so that shapes and weights are known.

An exporter writes the arithmetic of shapes, the transposes of weights and Brevitas' quantization of
float weights as operators; none of it depends on an input.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.errors import ModelError
from tinyq.importers.onnx.reader import MAX_ELEMENTS, FileModel, FileNode

Array = npt.NDArray[Any]
Fold = Callable[[FileNode, int, Sequence[Array | None]], Array]

_BINARY: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "Add": np.add,
        "And": np.logical_and,
        "Equal": np.equal,
        "Greater": np.greater,
        "Less": np.less,
        "Max": np.maximum,
        "Min": np.minimum,
        "Mul": np.multiply,
        "Or": np.logical_or,
        "Pow": lambda a, b: np.power(a, b).astype(a.dtype),
        "Sub": np.subtract,
    }
)
_UNARY: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "Abs": np.abs,
        "Ceil": np.ceil,
        "Exp": np.exp,
        "Floor": np.floor,
        "Identity": np.asarray,
        "Log": np.log,
        "Neg": np.negative,
        "Not": np.logical_not,
        "Reciprocal": lambda a: (1.0 / a).astype(a.dtype),
        "Round": np.rint,
        "Sqrt": np.sqrt,
    }
)
_TYPES = {1: "f4", 2: "u1", 3: "i1", 5: "i2", 6: "i4", 7: "i8", 9: "?", 10: "f2", 11: "f8"}


def fold(model: FileModel, node: FileNode, values: Sequence[Array | None]) -> Array | None:
    """The value of an operator of constants; None where it is not computed on import.

    Args:
        model: The file, for its opset.
        node: The operator.
        values: Its inputs, None for one that is left out.

    Raises:
        ModelError: The result would be too large, or the constants do not fit.
    """
    function = FOLDED.get(node.kind)
    if function is None or len(node.outputs) != 1 or node.domain:
        return None
    try:
        with np.errstate(all="ignore"):
            found = np.asarray(function(node, model.opset, values))
    except (ValueError, TypeError, IndexError, KeyError, ArithmeticError) as error:
        raise ModelError(
            f"the constants do not fit the operator: {' '.join(str(error).split())[:200]}",
            where=f"{model.path}, {node}",
        ) from None
    return found


def _limit(shape: Sequence[int]) -> None:
    if any(size < 0 for size in shape) or math.prod(shape) > MAX_ELEMENTS:
        raise ValueError(f"a constant of shape {tuple(shape)}")


def axes_of(node: FileNode, values: Sequence[Array | None], place: int = 1) -> list[int] | None:
    """Axes from the attribute of old opsets or the input of new ones."""
    if "axes" in node.attributes:
        return [int(axis) for axis in node.attributes["axes"]]
    given = values[place] if place < len(values) else None
    return None if given is None else [int(axis) for axis in given.ravel()]


def resolve_shape(old: Sequence[int], wanted: Sequence[int], allow_zero: bool) -> tuple[int, ...]:
    """The sizes that a Reshape means by 0 and -1.

    Raises:
        ValueError: They do not fit.
    """
    shape = [old[at] if it == 0 and not allow_zero else it for at, it in enumerate(wanted)]
    if shape.count(-1) > 1 or any(size < -1 for size in shape):
        raise ValueError(f"a shape {tuple(wanted)}")
    rest = math.prod(size for size in shape if size != -1)
    if -1 in shape:
        shape[shape.index(-1)] = math.prod(old) // rest if rest else 0
    if math.prod(shape) != math.prod(old):
        raise ValueError(f"{tuple(old)} under a shape {tuple(wanted)}")
    return tuple(shape)


def _need(value: Array | None) -> Array:
    if value is None:
        raise ValueError("an input is missing")
    return value


def _constant(node: FileNode, opset: int, values: Sequence[Array | None]) -> Array:
    del opset, values
    for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        if name in node.attributes:
            kind = {"value_float": np.float32, "value_floats": np.float32}.get(name)
            return np.asarray(node.attributes[name], kind)
    raise ValueError("a constant without numbers")


def _cast(node: FileNode, opset: int, values: Sequence[Array | None]) -> Array:
    del opset
    return _need(values[0]).astype(_TYPES[node.attributes["to"]])


def _unsqueeze(node: FileNode, opset: int, values: Sequence[Array | None]) -> Array:
    del opset
    axes = axes_of(node, values) or []
    return np.expand_dims(_need(values[0]), tuple(axes))


def _squeeze(node: FileNode, opset: int, values: Sequence[Array | None]) -> Array:
    del opset
    axes = axes_of(node, values)
    return np.squeeze(_need(values[0]), None if axes is None else tuple(axes))


def _slice(node: FileNode, opset: int, values: Sequence[Array | None]) -> Array:
    data = _need(values[0])
    chosen = [slice(None)] * data.ndim
    for axis, start, stop, step in slices_of(node, opset, values, data.shape):
        chosen[axis] = slice(start, stop if stop >= 0 or step > 0 else None, step)
    return data[tuple(chosen)]


def slices_of(
    node: FileNode, opset: int, values: Sequence[Array | None], shape: Sequence[int]
) -> list[tuple[int, int, int, int]]:
    """Axis, first, end and step of each slice, within the axis; the end is -1 before the first.

    Raises:
        ValueError: A number is missing, or a step is 0.
    """
    if opset < 10:
        starts, ends = node.attributes["starts"], node.attributes["ends"]
        axes, steps = node.attributes.get("axes"), None
    else:
        starts, ends = (_need(values[at]).ravel() for at in (1, 2))
        given = [values[at] if at < len(values) else None for at in (3, 4)]
        axes, steps = (None if each is None else each.ravel() for each in given)
    places = range(len(starts)) if axes is None else axes
    strides = [1] * len(starts) if steps is None else steps
    found = []
    for axis, start, end, step in zip(places, starts, ends, strides, strict=True):
        place = int(axis) + (len(shape) if axis < 0 else 0)
        if step == 0:
            raise ValueError("a step of 0")
        found.append((place, *slice(int(start), int(end), int(step)).indices(shape[place])))
    return found


def _reshape(node: FileNode, opset: int, values: Sequence[Array | None]) -> Array:
    del opset
    data, wanted = _need(values[0]), [int(size) for size in _need(values[1]).ravel()]
    return data.reshape(resolve_shape(data.shape, wanted, bool(node.attributes.get("allowzero"))))


def _expand(node: FileNode, opset: int, values: Sequence[Array | None]) -> Array:
    del node, opset
    data, wanted = _need(values[0]), tuple(int(size) for size in _need(values[1]).ravel())
    shape = np.broadcast_shapes(data.shape, wanted)
    _limit(shape)
    return np.broadcast_to(data, shape).copy()


def _fill(node: FileNode, opset: int, values: Sequence[Array | None]) -> Array:
    del opset
    shape = tuple(int(size) for size in _need(values[0]).ravel())
    _limit(shape)
    value = node.attributes.get("value", np.zeros(1, np.float32))
    return np.full(shape, value.ravel()[0], value.dtype)


def _range(node: FileNode, opset: int, values: Sequence[Array | None]) -> Array:
    del node, opset
    start, stop, step = (_need(value).ravel()[0] for value in values[:3])
    _limit([max(math.ceil((float(stop) - float(start)) / float(step)), 0)])
    return np.arange(start, stop, step, dtype=_need(values[0]).dtype)


def _divide(node: FileNode, opset: int, values: Sequence[Array | None]) -> Array:
    del node, opset
    a, b = _need(values[0]), _need(values[1])
    if a.dtype.kind not in "iu":
        return np.asarray(a / b, a.dtype)
    quotient = np.abs(a) // np.abs(b)
    return np.asarray(np.sign(a) * np.sign(b) * quotient, a.dtype)


def _clip(node: FileNode, opset: int, values: Sequence[Array | None]) -> Array:
    data = _need(values[0])
    low, high = limits_of(node, opset, values)
    found = data if low is None else np.maximum(data, np.asarray(low, data.dtype))
    return found if high is None else np.minimum(found, np.asarray(high, data.dtype))


def limits_of(
    node: FileNode, opset: int, values: Sequence[Array | None]
) -> tuple[float | None, float | None]:
    """Limits of a Clip, None where one is open."""
    if opset < 11:
        return node.attributes.get("min"), node.attributes.get("max")
    ends = [values[at] if at < len(values) else None for at in (1, 2)]
    low, high = (None if end is None else end.ravel()[0].item() for end in ends)
    return low, high


def _quantize(node: FileNode, opset: int, values: Sequence[Array | None]) -> Array:
    """Codes of constants: Brevitas leaves the quantization of float weights in the file."""
    del opset
    data, scale = _need(values[0]), _need(values[1])
    zero = values[2] if len(values) > 2 and values[2] is not None else np.zeros((), np.uint8)
    if data.dtype.kind != "f" or zero.dtype.kind not in "iu":
        raise ValueError("neither floats to codes")
    if scale.size > 1:
        shape = [1] * data.ndim
        shape[int(node.attributes.get("axis", 1))] = scale.size
        scale, zero = scale.reshape(shape), np.broadcast_to(zero, scale.shape).reshape(shape)
    ends = np.iinfo(zero.dtype)
    steps = np.rint(data.astype(np.float32) / scale.astype(np.float32)).astype(np.float64)
    return np.clip(steps + zero, ends.min, ends.max).astype(zero.dtype)


def _plain(function: Callable[..., Any]) -> Fold:
    def folded(node: FileNode, opset: int, values: Sequence[Array | None]) -> Array:
        del node, opset
        return np.asarray(function(*map(_need, values)))

    return folded


def _reduce(function: Callable[..., Any]) -> Fold:
    def folded(node: FileNode, opset: int, values: Sequence[Array | None]) -> Array:
        del opset
        data, axes = _need(values[0]), axes_of(node, values)
        kept = bool(node.attributes.get("keepdims", 1))
        return np.asarray(
            function(data, axis=None if axes is None else tuple(axes), keepdims=kept), data.dtype
        )

    return folded


FOLDED: Mapping[str, Fold] = MappingProxyType(
    {
        "Cast": _cast,
        "Clip": _clip,
        "Concat": lambda n, _, v: np.concatenate([*map(_need, v)], n.attributes["axis"]),
        "Constant": _constant,
        "ConstantOfShape": _fill,
        "Div": _divide,
        "Expand": _expand,
        "Gather": lambda n, _, v: np.take(
            _need(v[0]), _need(v[1]), axis=int(n.attributes.get("axis", 0))
        ),
        "QuantizeLinear": _quantize,
        "Range": _range,
        "ReduceMax": _reduce(np.max),
        "ReduceMean": _reduce(np.mean),
        "ReduceProd": _reduce(np.prod),
        "ReduceSum": _reduce(np.sum),
        "Reshape": _reshape,
        "Shape": lambda n, _, v: np.asarray(
            _need(v[0]).shape[n.attributes.get("start", 0) : n.attributes.get("end")], np.int64
        ),
        "Size": lambda _n, _, v: np.asarray(_need(v[0]).size, np.int64),
        "Slice": _slice,
        "Squeeze": _squeeze,
        "Transpose": lambda n, _, v: np.transpose(_need(v[0]), n.attributes.get("perm")),
        "Unsqueeze": _unsqueeze,
        "Where": lambda _n, _, v: np.where(*map(_need, v)),
        **{name: _plain(function) for name, function in (*_BINARY.items(), *_UNARY.items())},
    }
)
