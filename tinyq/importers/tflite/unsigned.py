"""Unsigned 8-bit tensors under signed codes: the same reals, every code and zero point 128 less.

    code' = code - 128,   zero_point' = zero_point - 128

A shift of both changes no real value and no integer kernel, so a network of uint8 codes and one
whose border alone is uint8 are networks of int8 codes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyq.importers.tflite.reader import FileModel, FileTensor, Quantization

OFFSET = 128
_PLAIN = Quantization((1.0,), (0,), 0)  # of pixels that nothing has quantized


def relabel_unsigned(model: FileModel) -> FileModel:
    """The file with int8 in the place of uint8, zero points that leave uint8 included."""
    starts = tuple(map(relabel_unsigned, model.starts))
    return replace(model, tensors=tuple(map(_relabelled, model.tensors)), starts=starts)


def _relabelled(tensor: FileTensor) -> FileTensor:
    if tensor.type != "UINT8":
        return tensor
    meaning = tensor.quantization or _PLAIN
    zeros = tuple(zero - OFFSET for zero in meaning.zero_points)
    data = tensor.data
    if data is not None:
        data = (np.frombuffer(data, np.uint8) ^ 0x80).tobytes()
    quantization = replace(meaning, zero_points=zeros)
    return replace(tensor, type="INT8", quantization=quantization, data=data, is_unsigned=True)
