"""Real inputs of a model that has one input or several: one array for each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tinyq.errors import DataError
from tinyq.support.mapped import forget
from tinyq.training.tracing import names_of

_FLOAT32_BYTES = 4
_AT_A_TIME = 64


def check_inputs(data: Any, model: keras.Model) -> tuple[np.ndarray, ...]:
    """Real inputs of a model, one array for each input, in the model's order.

    Args:
        data: An array; for several inputs a mapping by their names, or a sequence in their order.
        model: Functional model.

    Raises:
        DataError: The data do not fit the model.
    """
    names = names_of(model.inputs)
    arrays = tuple(_as_numbers(array, name) for name, array in _in_order(data, names))
    for name, array, tensor in zip(names, arrays, model.inputs, strict=True):
        where = name if len(names) > 1 else None
        shape = tuple(tensor.shape[1:])
        if array.ndim < 1 or len(array) == 0:
            raise DataError(
                "the calibration set holds no sample",
                where=where,
                remedy="give some hundred inputs",
            )
        if array.shape[1:] != shape:
            raise DataError(
                f"inputs have shape {array.shape[1:]}, the model takes {shape}",
                where=where,
                remedy="reshape the data so that one sample has the model's input shape",
            )
        if len(array) != len(arrays[0]):
            raise DataError(
                f"has {len(array)} samples, {names[0]} has {len(arrays[0])}",
                where=where,
                remedy="give every input the same number of samples",
            )
        if not _is_finite(array):
            raise DataError("an input is NaN or infinite", where=where, remedy="clean the data")
    return arrays


def _as_numbers(data: Any, name: str) -> np.ndarray:
    """An array as it is where its numbers need no more memory than float32, else as that."""
    try:
        array = np.asarray(data)
        narrow = array.dtype.kind in "biu" and array.dtype.itemsize <= _FLOAT32_BYTES
        return array if narrow else np.asarray(array, np.float32)
    except (TypeError, ValueError):
        raise DataError(
            "the inputs are no array of numbers", where=name, remedy="give one array of numbers"
        ) from None


def _is_finite(array: np.ndarray) -> bool:
    """Whether no number is NaN or infinite; looks at some samples at a time."""
    if array.dtype.kind != "f":
        return True
    for start in range(0, len(array), _AT_A_TIME):
        if not np.isfinite(array[start : start + _AT_A_TIME]).all():
            return False
        forget(array)
    return True


def _in_order(data: Any, names: Sequence[str]) -> list[tuple[str, Any]]:
    """The arrays of all inputs with their names, in the model's order."""
    if isinstance(data, Mapping):
        own = {re.sub(r"\W+", "_", name).lower(): name for name in names}
        data = {own.get(str(key), key): values for key, values in data.items()}
        missing = [name for name in names if name not in data]
        unknown = [str(name) for name in data if name not in names]
        if missing or unknown:
            raise DataError(
                f"the inputs of the model are {', '.join(names)}; the data hold "
                f"{', '.join(map(str, data)) or 'none'}",
                remedy="give one array for each input, by these names",
            )
        return [(name, data[name]) for name in names]
    if len(names) == 1:
        return [(names[0], data)]
    if not isinstance(data, list | tuple) or len(data) != len(names):
        raise DataError(
            f"the model has {len(names)} inputs: {', '.join(names)}",
            remedy="give one array for each input, by name or in this order",
        )
    return list(zip(names, data, strict=True))
