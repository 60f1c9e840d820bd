"""Operators on integers that the file or the shapes decide: the arithmetic of an open batch.

The converter writes ``Flatten`` of a batch of unknown size as SHAPE, STRIDED_SLICE, PACK, RESHAPE.
With shapes known, the batch 1, these are constants. An operator is folded where all that it reads
is known and carries no scale; the functions are in `folding`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tinyq.errors import ModelError
from tinyq.importers.tflite.folding import FOLDS, Operands
from tinyq.importers.tflite.reader import FileModel, FileOperator, FileTensor
from tinyq.importers.tflite.shapes import infer_shapes

Values = npt.NDArray[np.generic]

# Operators that hand codes on as they are, so that a scale does not stop them.
MOVES = ("FILL", "RESHAPE", "EXPAND_DIMS", "SQUEEZE", "TILE", "BROADCAST_TO", "TRANSPOSE")
_DTYPES = {"INT32": "<i4", "INT64": "<i8", "BOOL": "?", "FLOAT32": "<f4", "INT8": "i1"}
MAX_VALUES = 1 << 16  # of one folded tensor


def fold_constants(
    model: FileModel, operators: Sequence[FileOperator]
) -> tuple[FileModel, list[FileOperator]]:
    """Compute what needs no input, and the shapes that the file leaves open.

    Args:
        model: The file.
        operators: Those to convert, in execution order.

    Returns:
        The file, whose folded tensors have data and open ones a shape; the operators that are
        left.

    Raises:
        ModelError: A constant does not fit its shape, or the arithmetic has no result.
    """
    tensors, left = list(model.tensors), []
    for operator in operators:
        for index, tensor in infer_shapes(operator, tensors).items():
            tensors[index] = tensor
        operands = _operands(tensors, operator)
        if operands is None:
            left.append(operator)
            continue
        try:
            with np.errstate(all="ignore"):
                results = FOLDS[operator.name](operands)
        except (ValueError, IndexError, TypeError, ZeroDivisionError, MemoryError) as error:
            place = f"{model.path}, {operator}"
            raise ModelError(f"has no constant result: {error}", where=place) from None
        for index, values in zip(operator.outputs, results, strict=False):
            tensors[index] = _with_data(model, operator, tensors[index], np.asarray(values))
    return replace(model, tensors=tuple(tensors)), left


def _operands(tensors: list[FileTensor], operator: FileOperator) -> Operands | None:
    """What a foldable operator reads, or None where that is unknown or codes with a scale."""
    if operator.name not in FOLDS or not operator.outputs:
        return None
    results = [tensors[index] for index in operator.outputs]
    shapes = operator.name in ("SHAPE", "RANK")
    sources = [tensors[index] for index in operator.inputs if index >= 0]
    if len(sources) < len(operator.inputs):
        return None
    if any(result.type not in _DTYPES for result in results):
        return None
    if shapes:
        return Operands(operator, (), sources[0].shape, _DTYPES[results[0].type])
    moved = operator.name in MOVES and len({tensor.quantization for tensor in results}) == 1
    plain = all(tensor.quantization is None for tensor in (*sources, *results))
    if not (plain or (moved and _carries(operator, sources, results[0]))):
        return None
    values = [_values(tensor) for tensor in sources]
    known = [value for value in values if value is not None]
    if len(known) < len(values) or max(result.elements for result in results) > MAX_VALUES:
        return None
    return Operands(operator, tuple(known), results[0].shape, _DTYPES[results[0].type])


def _carries(operator: FileOperator, sources: list[FileTensor], result: FileTensor) -> bool:
    """Whether a move hands codes on under the same scale; those of FILL are its second input."""
    source = sources[1 if operator.name == "FILL" else 0]
    return source.type == result.type and source.quantization == result.quantization


def _values(tensor: FileTensor) -> Values | None:
    if tensor.data is None or tensor.type not in _DTYPES:
        return None
    dtype = np.dtype(_DTYPES[tensor.type])
    if len(tensor.data) != tensor.elements * dtype.itemsize or tensor.elements > MAX_VALUES:
        return None
    return np.frombuffer(tensor.data, dtype).reshape(tensor.shape)


def _with_data(
    model: FileModel, operator: FileOperator, tensor: FileTensor, values: Values
) -> FileTensor:
    if tensor.open_axes and values.ndim == len(tensor.shape):
        tensor = replace(tensor, shape=values.shape)
    if values.size != tensor.elements:
        raise ModelError(
            f"computes {list(values.shape)}, the file says {tensor}",
            where=f"{model.path}, {operator}",
        )
    data = np.ascontiguousarray(values, np.dtype(_DTYPES[tensor.type])).tobytes()
    return replace(tensor, data=data)
