"""Constants of a float network as float32 arrays, whatever type the file keeps them in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tinyq.errors import ModelError
from tinyq.importers.tflite.reader import FileModel, FileOperator, FileTensor

Reals = npt.NDArray[np.float32]

_DTYPES = {
    "FLOAT16": "<f2",
    "FLOAT32": "<f4",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "INT8": "i1",
    "UINT8": "u1",
}


def real_values(tensor: FileTensor) -> Reals:
    """The numbers of a constant: float32 and float16 as they are, codes times their scale.

        value = scale * (code - zero_point)

    Raises:
        ModelError: It is no constant, its type holds no numbers, or its bytes do not fit its shape.
    """
    codes = _stored(tensor)
    meaning = tensor.quantization
    if meaning is None or codes.dtype.kind == "f":
        return codes.astype(np.float32)
    shape = [1] * codes.ndim
    if len(meaning.scales) > 1:
        axis = meaning.axis
        if not 0 <= axis < codes.ndim or codes.shape[axis] != len(meaning.scales):
            raise ModelError(f"{tensor} has {len(meaning.scales)} scales on axis {axis}")
        shape[axis] = len(meaning.scales)
    scales = np.asarray(meaning.scales, np.float64).reshape(shape)
    zeros = np.asarray(meaning.zero_points, np.float64).reshape(shape)
    return np.asarray(scales * (codes.astype(np.float64) - zeros), np.float32)


def _stored(tensor: FileTensor) -> npt.NDArray[np.generic]:
    if tensor.data is None:
        raise ModelError(f"{tensor} is not a constant")
    data = np.frombuffer(tensor.data, np.uint8)
    if tensor.type == "INT4":
        if data.size != -(-tensor.elements // 2):
            raise ModelError(f"{tensor} has {data.size} bytes")
        halves = np.stack([data & 15, data >> 4], axis=-1).reshape(-1)[: tensor.elements]
        return ((halves.astype(np.int8) ^ 8) - 8).reshape(tensor.shape)
    if tensor.type not in _DTYPES:
        raise ModelError(f"{tensor} has a type that is not supported")
    dtype = np.dtype(_DTYPES[tensor.type])
    if data.size != tensor.elements * dtype.itemsize:
        raise ModelError(f"{tensor} has {data.size} bytes")
    return data.view(dtype).reshape(tensor.shape)


def unpack_constants(
    model: FileModel, operators: Sequence[FileOperator]
) -> tuple[FileModel, list[FileOperator]]:
    """Compute every DEQUANTIZE of a constant: weights that the file keeps in fewer bits.

    Returns:
        The file, whose weights are float32; the operators that are left.
    """
    tensors, left = list(model.tensors), []
    for operator in operators:
        source = (
            tensors[operator.inputs[0]] if operator.inputs and operator.inputs[0] >= 0 else None
        )
        if operator.name != "DEQUANTIZE" or source is None or source.data is None:
            left.append(operator)
            continue
        result = tensors[operator.outputs[0]]
        data = real_values(source).tobytes()
        tensors[result.index] = replace(result, data=data, type="FLOAT32", shape=source.shape)
    return replace(model, tensors=tuple(tensors)), left
