"""Shapes of tensors that the file leaves open, from those of the operands.

The converter states a 1 for every size that it does not know, which is wrong as soon as the batch
has been mixed with other axes. ``SHAPES`` has the rule of an operator by its name; what has none
keeps the stated shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from tinyq.importers.tflite.folding import slice_index
from tinyq.importers.tflite.reader import FileOperator, FileTensor

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """What a shape follows from: the operator and the tensors that it reads."""

    operator: FileOperator
    tensors: tuple[FileTensor, ...]

    def option(self, name: str, default: Any) -> Any:
        """An option of the operator, or ``default`` where the file has none."""
        return self.operator.options.get(name, default)

    def shape(self, position: int = 0) -> Shape:
        """Shape of an input."""
        return self.tensors[position].shape

    def integers(self, position: int) -> list[int]:
        """A constant input.

        Raises:
            ValueError: It is none.
        """
        tensor = self.tensors[position]
        if tensor.data is None or tensor.type not in ("INT32", "INT64"):
            raise ValueError("no constant")
        kind = "<i4" if tensor.type == "INT32" else "<i8"
        return [int(value) for value in np.frombuffer(tensor.data, kind)]


Rule = Callable[[Sources], Shape]
_FOUND: dict[str, Rule] = {}
SHAPES: Mapping[str, Rule] = MappingProxyType(_FOUND)


def infer_shapes(operator: FileOperator, tensors: Sequence[FileTensor]) -> dict[int, FileTensor]:
    """The outputs of an operator under their true shapes, where the file leaves them open.

    Several outputs have one shape.
    """
    rule = SHAPES.get(operator.name)
    outputs = [tensors[index] for index in operator.outputs]
    if rule is None or not any(output.open_axes for output in outputs):
        return {}
    sources = Sources(operator, tuple(tensors[index] for index in operator.inputs))
    try:
        shape = rule(sources)
    except (ValueError, IndexError, TypeError, ZeroDivisionError):
        return {}
    if min(shape, default=1) < 1:
        return {}
    return {
        output.index: replace(output, shape=shape)
        for output in outputs
        if len(output.shape) == len(shape)
    }


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        for name in names:
            _FOUND[name] = function
        return function

    return register


@_rule(
    *("ABS", "ELU", "EXP", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOG", "LOGISTIC", "LOG_SOFTMAX"),
    *("L2_NORMALIZATION", "NEG", "PRELU", "QUANTIZE", "DEQUANTIZE", "RELU", "RELU6", "CAST"),
    *("RELU_N1_TO_1", "REVERSE_V2", "RSQRT", "SOFTMAX", "SQRT", "SQUARE", "TANH"),
)
def _same(sources: Sources) -> Shape:
    return sources.shape()


@_rule(
    *("ADD", "DIV", "EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "LOGICAL_AND"),
    *("LOGICAL_OR", "MAXIMUM", "MINIMUM", "MUL", "NOT_EQUAL", "SELECT_V2", "SELECT", "SUB"),
    *("SQUARED_DIFFERENCE",),
)
def _broadcast(sources: Sources) -> Shape:
    return tuple(np.broadcast_shapes(*(tensor.shape for tensor in sources.tensors)))


@_rule("RESHAPE")
def _reshape(sources: Sources) -> Shape:
    wanted = sources.integers(1)
    known = math.prod(size for size in wanted if size != -1)
    rest = sources.tensors[0].elements // max(known, 1)
    return tuple(rest if size == -1 else size for size in wanted)


@_rule("EXPAND_DIMS")
def _expand(sources: Sources) -> Shape:
    shape, axis = sources.shape(), sources.integers(1)[0]
    place = axis % (len(shape) + 1)
    return (*shape[:place], 1, *shape[place:])


@_rule("SQUEEZE")
def _squeeze(sources: Sources) -> Shape:
    shape = sources.shape()
    axes = [axis % len(shape) for axis in sources.option("SqueezeDims", ())]
    return tuple(
        size
        for axis, size in enumerate(shape)
        if axis not in (axes or [place for place, one in enumerate(shape) if one == 1])
    )


@_rule("TRANSPOSE")
def _transpose(sources: Sources) -> Shape:
    return tuple(sources.shape()[axis] for axis in sources.integers(1))


@_rule("TILE")
def _tile(sources: Sources) -> Shape:
    return tuple(a * b for a, b in zip(sources.shape(), sources.integers(1), strict=True))


@_rule("BROADCAST_TO", "FILL")
def _stated(sources: Sources) -> Shape:
    return tuple(sources.integers(1 if sources.operator.name == "BROADCAST_TO" else 0))


@_rule("TRANSPOSE_CONV")
def _transpose_conv(sources: Sources) -> Shape:
    return tuple(sources.integers(0))


@_rule("CONCATENATION")
def _concatenation(sources: Sources) -> Shape:
    shape = list(sources.shape())
    axis = sources.option("Axis", 0)
    shape[axis] = sum(tensor.shape[axis] for tensor in sources.tensors)
    return tuple(shape)


@_rule("PACK")
def _pack(sources: Sources) -> Shape:
    shape = sources.shape()
    place = sources.option("Axis", 0) % (len(shape) + 1)
    return (*shape[:place], len(sources.tensors), *shape[place:])


@_rule("PAD", "PADV2", "MIRROR_PAD")
def _pad(sources: Sources) -> Shape:
    pairs = sources.integers(1)
    borders = [a + b for a, b in zip(pairs[::2], pairs[1::2], strict=True)]
    return tuple(size + border for size, border in zip(sources.shape(), borders, strict=True))


@_rule("SLICE")
def _slice(sources: Sources) -> Shape:
    parts = zip(sources.shape(), sources.integers(1), sources.integers(2), strict=True)
    return tuple(size - begin if count == -1 else count for size, begin, count in parts)


@_rule("STRIDED_SLICE")
def _strided_slice(sources: Sources) -> Shape:
    places = [sources.integers(position) for position in (1, 2, 3)]
    shape: Shape = np.broadcast_to(0, sources.shape())[slice_index(sources.operator, *places)].shape
    return shape


@_rule("SPLIT")
def _split(sources: Sources) -> Shape:
    shape = list(sources.shape(1))
    shape[sources.integers(0)[0]] //= len(sources.operator.outputs)
    return tuple(shape)


@_rule("UNPACK")
def _unpack(sources: Sources) -> Shape:
    shape = list(sources.shape())
    del shape[sources.option("Axis", 0)]
    return tuple(shape)


@_rule("GATHER")
def _gather(sources: Sources) -> Shape:
    shape = sources.shape()
    axis = sources.option("Axis", 0) % len(shape)
    return (*shape[:axis], *sources.shape(1), *shape[axis + 1 :])


@_rule("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD")
def _reduce(sources: Sources) -> Shape:
    shape = sources.shape()
    axes = {axis % len(shape) for axis in sources.integers(1)}
    if sources.option("KeepDims", False):
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


@_rule("FULLY_CONNECTED")
def _fully_connected(sources: Sources) -> Shape:
    units, depth = sources.shape(1)
    if sources.option("KeepNumDims", False):
        return (*sources.shape()[:-1], units)
    return (sources.tensors[0].elements // depth, units)


@_rule("BATCH_MATMUL")
def _matmul(sources: Sources) -> Shape:
    x, y = sources.shape(0), sources.shape(1)
    rows = x[-1] if sources.option("AdjX", False) else x[-2]
    columns = y[-2] if sources.option("AdjY", False) else y[-1]
    return (*np.broadcast_shapes(x[:-2], y[:-2]), rows, columns)


@_rule("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
def _resize(sources: Sources) -> Shape:
    height, width = sources.integers(1)
    return (sources.shape()[0], height, width, sources.shape()[3])


@_rule("CONV_2D", "DEPTHWISE_CONV_2D")
def _convolution(sources: Sources) -> Shape:
    weights = sources.shape(1)
    channels = weights[0] if sources.operator.name == "CONV_2D" else weights[3]
    return _windows(sources, (weights[1], weights[2]), channels)


@_rule("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D")
def _pool(sources: Sources) -> Shape:
    size = sources.option("FilterHeight", 1), sources.option("FilterWidth", 1)
    return _windows(sources, size, sources.shape()[3])


def _windows(sources: Sources, size: tuple[int, int], channels: int) -> Shape:
    batch, height, width, _ = sources.shape()
    sides = []
    for length, reach, letter in ((height, size[0], "H"), (width, size[1], "W")):
        stride = sources.option(f"Stride{letter}", 1)
        extent = (reach - 1) * sources.option(f"Dilation{letter}Factor", 1) + 1
        is_same = sources.option("Padding", 0) == 0
        sides.append(-(-(length if is_same else length - extent + 1) // stride))
    return (batch, sides[0], sides[1], channels)
