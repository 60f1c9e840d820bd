"""Operators as functions of known arrays: ``FOLDS`` by the schema's operator names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.importers.tflite.reader import FileOperator

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Operands:
    """What a foldable operator reads.

    Attributes:
        operator: The operator with its options.
        values: Arrays of all inputs; none for SHAPE and RANK.
        shape: Of the first output, for SHAPE and RANK of the input.
        dtype: Of the first output.
    """

    operator: FileOperator
    values: tuple[Array, ...]
    shape: tuple[int, ...]
    dtype: str

    def option(self, name: str, default: Any) -> Any:
        """An option of the operator, or ``default`` where the file has none."""
        return self.operator.options.get(name, default)

    def vector(self, position: int) -> list[int]:
        """An input as a list of integers."""
        return [int(value) for value in self.values[position].reshape(-1)]


Fold = Callable[[Operands], list[Array]]
_FOUND: dict[str, Fold] = {}


def folds(*names: str) -> Callable[[Fold], Fold]:
    """Register the value of an operator whose inputs are known."""

    def register(function: Fold) -> Fold:
        for name in names:
            _FOUND[name] = function
        return function

    return register


FOLDS: Mapping[str, Fold] = MappingProxyType(_FOUND)


@folds("SHAPE")
def _shape(operands: Operands) -> list[Array]:
    return [np.asarray(operands.shape, np.dtype(operands.dtype))]


@folds("RANK")
def _rank(operands: Operands) -> list[Array]:
    return [np.asarray(len(operands.shape), np.dtype(operands.dtype))]


@folds("CAST")
def _cast(operands: Operands) -> list[Array]:
    return [operands.values[0].astype(np.dtype(operands.dtype))]


@folds("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def _reshape(operands: Operands) -> list[Array]:
    return [operands.values[0].reshape(operands.shape)]


@folds("TRANSPOSE")
def _transpose(operands: Operands) -> list[Array]:
    return [np.transpose(operands.values[0], operands.vector(1))]


@folds("FILL")
def _fill(operands: Operands) -> list[Array]:
    return [np.broadcast_to(operands.values[1].reshape(()), operands.shape)]


@folds("ZEROS_LIKE")
def _zeros(operands: Operands) -> list[Array]:
    return [np.zeros_like(operands.values[0])]


@folds("BROADCAST_TO")
def _broadcast(operands: Operands) -> list[Array]:
    return [np.broadcast_to(operands.values[0], operands.shape)]


@folds("BROADCAST_ARGS")
def _broadcast_shapes(operands: Operands) -> list[Array]:
    return [np.asarray(np.broadcast_shapes(operands.vector(0), operands.vector(1)))]


@folds("TILE")
def _tile(operands: Operands) -> list[Array]:
    repeats = operands.vector(1)
    grown = [size * count for size, count in zip(operands.values[0].shape, repeats, strict=True)]
    if tuple(grown) != operands.shape:
        raise ValueError(f"repeats {repeats} do not give {operands.shape}")
    return [np.tile(operands.values[0], repeats)]


@folds("RANGE")
def _range(operands: Operands) -> list[Array]:
    first, _, step = (value.reshape(()) for value in operands.values)
    count = operands.shape[0] if operands.shape else 0
    return [(first + step * np.arange(count)).astype(np.dtype(operands.dtype))]


@folds("PACK")
def _pack(operands: Operands) -> list[Array]:
    return [np.stack(operands.values, operands.option("Axis", 0))]


@folds("UNPACK")
def _unpack(operands: Operands) -> list[Array]:
    axis = operands.option("Axis", 0)
    return list(np.moveaxis(operands.values[0], axis, 0))


@folds("CONCATENATION")
def _concatenation(operands: Operands) -> list[Array]:
    return [np.concatenate(operands.values, operands.option("Axis", 0))]


@folds("GATHER")
def _gather(operands: Operands) -> list[Array]:
    if operands.option("BatchDims", 0):
        raise ValueError("batch axes of GATHER")
    indices = operands.values[1]
    if indices.size and int(indices.min()) < 0:
        raise ValueError("a negative index")
    return [np.take(operands.values[0], indices, operands.option("Axis", 0))]


@folds("SLICE")
def _slice(operands: Operands) -> list[Array]:
    begins, sizes = operands.vector(1), operands.vector(2)
    chosen = tuple(
        slice(begin, None if size == -1 else begin + size)
        for begin, size in zip(begins, sizes, strict=True)
    )
    return [operands.values[0][chosen]]


@folds("STRIDED_SLICE")
def _strided_slice(operands: Operands) -> list[Array]:
    places = [operands.vector(place) for place in (1, 2, 3)]
    return [np.asarray(operands.values[0][slice_index(operands.operator, *places)])]


def slice_index(
    operator: FileOperator, begins: list[int], ends: list[int], steps: list[int]
) -> tuple[Any, ...]:
    """NumPy's index for a STRIDED_SLICE with its masks.

    Raises:
        ValueError: Its ends are offsets.
    """
    names = ("Begin", "End", "ShrinkAxis", "Ellipsis", "NewAxis")
    masks = {name: operator.options.get(f"{name}Mask", 0) for name in names}
    if operator.options.get("Offset", False):
        raise ValueError("ends as offsets")

    def choose(place: int) -> Any:
        set_in = {name: bool(mask >> place & 1) for name, mask in masks.items()}
        if set_in["Ellipsis"] or set_in["NewAxis"]:
            return ... if set_in["Ellipsis"] else np.newaxis
        if set_in["ShrinkAxis"]:
            return begins[place]
        begin = None if set_in["Begin"] else begins[place]
        return slice(begin, None if set_in["End"] else ends[place], steps[place])

    return tuple(map(choose, range(len(begins))))


def _reduces(function: Callable[..., Any]) -> Fold:
    def reduce(operands: Operands) -> list[Array]:
        keep = bool(operands.option("KeepDims", False))
        result = function(operands.values[0], axis=tuple(operands.vector(1)), keepdims=keep)
        return [np.asarray(result).astype(np.dtype(operands.dtype))]

    return reduce


_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "REDUCE_PROD": np.prod,
    "REDUCE_MAX": np.max,
    "REDUCE_MIN": np.min,
    "SUM": np.sum,
    "REDUCE_ALL": np.all,
    "REDUCE_ANY": np.any,
}
for _name, _function in _REDUCTIONS.items():
    folds(_name)(_reduces(_function))


def _divide(a: Array, b: Array) -> Array:
    """Quotient as C has it: integers towards zero."""
    if a.dtype.kind not in "iu":
        return a / b
    if not b.all():
        raise ZeroDivisionError("division by zero")
    return np.asarray(np.sign(a) * np.sign(b) * (abs(a) // abs(b)), a.dtype)


def _elementwise(function: Callable[..., Any]) -> Fold:
    def compute(operands: Operands) -> list[Array]:
        if operands.option("FusedActivationFunction", 0):
            raise ValueError("a fused activation")
        return [np.asarray(function(*operands.values)).astype(np.dtype(operands.dtype))]

    return compute


_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "ADD": np.add,
    "SUB": np.subtract,
    "MUL": np.multiply,
    "DIV": _divide,
    "FLOOR_DIV": np.floor_divide,
    "FLOOR_MOD": np.mod,
    "MAXIMUM": np.maximum,
    "MINIMUM": np.minimum,
    "NEG": np.negative,
    "ABS": np.abs,
    "EQUAL": np.equal,
    "NOT_EQUAL": np.not_equal,
    "LESS": np.less,
    "LESS_EQUAL": np.less_equal,
    "GREATER": np.greater,
    "GREATER_EQUAL": np.greater_equal,
    "LOGICAL_AND": np.logical_and,
    "LOGICAL_OR": np.logical_or,
    "LOGICAL_NOT": np.logical_not,
    "SELECT": np.where,
    "SELECT_V2": np.where,
    "FLOOR": np.floor,
    "CEIL": np.ceil,
}
for _name, _function in _ELEMENTWISE.items():
    folds(_name)(_elementwise(_function))
