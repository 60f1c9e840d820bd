"""Indices that count from the end: what the converter writes in front of an embedding.

    GATHER(table, SELECT(LESS(x, 0), ADD(x, rows), x)) = GATHER(table, x) with negative x wrapped

The arithmetic is on plain integers, for which there is no other use in a network of integers with
a scale, so it becomes a part of the lookup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from tinyq.importers.tflite.reader import FileModel, FileOperator, FileTensor

WRAPS = "WrapsNegative"  # option of a GATHER whose negative indices count from the end
_SELECTS = ("SELECT", "SELECT_V2")


def fold_lookups(model: FileModel, operators: Sequence[FileOperator]) -> list[FileOperator]:
    """Make such arithmetic a part of the lookups that alone read it.

    Args:
        model: The file.
        operators: Those to convert, in execution order.

    Returns:
        The operators that are left.
    """
    found = list(operators)
    for select in operators:
        index = _wrapped(model, operators, select) if select.name in _SELECTS else None
        if index is None:
            continue
        result = select.outputs[0]
        readers = [one for one in found if result in one.inputs]
        if result in model.outputs or not all(_looks_up(model, one, select) for one in readers):
            continue
        for reader in readers:
            options = MappingProxyType({**reader.options, WRAPS: True})
            inputs = (reader.inputs[0], index)
            found[found.index(reader)] = replace(reader, inputs=inputs, options=options)
        found.remove(select)
        found = _without_unread(model, found, select.inputs[:2])
    return found


def _wrapped(
    model: FileModel, operators: Sequence[FileOperator], select: FileOperator
) -> int | None:
    """The tensor whose negative values a SELECT counts from the end, or None."""
    if len(select.inputs) != 3 or min(select.inputs) < 0:
        return None
    makers = {index: one for one in operators for index in one.outputs}
    less, add = (makers.get(index) for index in select.inputs[:2])
    index = select.inputs[2]
    if less is None or add is None or less.name != "LESS" or add.name != "ADD":
        return None
    if less.inputs[:1] != (index,) or index not in add.inputs:
        return None
    is_plain = model.tensors[index].type == "INT32" and model.tensors[index].quantization is None
    return index if is_plain and _number(model.tensors[less.inputs[1]]) == 0 else None


def _looks_up(model: FileModel, reader: FileOperator, select: FileOperator) -> bool:
    """Whether an operator reads indices of an axis that is as long as what is added to them."""
    if reader.name != "GATHER" or reader.inputs[1:] != select.outputs[:1]:
        return False
    shape, axis = model.tensors[reader.inputs[0]].shape, reader.options.get("Axis", 0)
    adds = [one for one in model.operators if one.name == "ADD" and select.inputs[1] in one.outputs]
    counts = [_number(model.tensors[index]) for one in adds for index in one.inputs]
    return -len(shape) <= axis < len(shape) and shape[axis] in counts


def _without_unread(
    model: FileModel, operators: list[FileOperator], candidates: Sequence[int]
) -> list[FileOperator]:
    read = {index for one in operators for index in one.inputs} | {*model.outputs}
    gone = {index for index in candidates if index not in read}
    return [one for one in operators if not gone.intersection(one.outputs)]


def _number(tensor: FileTensor) -> int | None:
    """The one integer of a constant."""
    if tensor.data is None or tensor.type != "INT32" or len(tensor.data) != 4:
        return None
    return int(np.frombuffer(tensor.data, "<i4")[0])
