"""Moves that the converter left in floating point: between DEQUANTIZE and QUANTIZE.

A move changes no value, so the floats that it moves stand for the codes that were dequantized, and
it can move those instead. What is left of the island is one change of scale where it ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

from tinyq.importers.tflite.reader import FileModel, FileOperator, FileTensor

FROM_FLOAT = "FromFloat"  # option of a QUANTIZE at the end of an island
_SPLIT_DATA = 1  # SPLIT has the axis first
_MOVES = (
    *("EXPAND_DIMS", "RESHAPE", "SLICE", "SPLIT", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE"),
    *("TRANSPOSE", "UNPACK"),
)


def settle_moves(
    model: FileModel, operators: Sequence[FileOperator]
) -> tuple[FileModel, list[FileOperator]]:
    """Give float tensors that are moved codes the type and the scale of those codes.

    Args:
        model: The file.
        operators: Those to convert, in execution order.

    Returns:
        The file with other tensors; the operators, with the option ``FROM_FLOAT`` where a QUANTIZE
        ends an island.
    """
    tensors = list(model.tensors)
    settled: set[int] = set()
    found = []
    for operator in operators:
        source = _moved_tensor(operator, tensors)
        if source is not None and operator.name == "QUANTIZE" and source.index in settled:
            options = MappingProxyType({**operator.options, FROM_FLOAT: True})
            operator = replace(operator, options=options)
        elif source is not None and (operator.name == "DEQUANTIZE" or source.index in settled):
            for index in operator.outputs:
                if tensors[index].type == "FLOAT32" and tensors[index].data is None:
                    settled.add(index)
                    tensors[index] = _under(tensors[index], source)
        found.append(operator)
    return replace(model, tensors=tuple(tensors)), found


def _moved_tensor(operator: FileOperator, tensors: Sequence[FileTensor]) -> FileTensor | None:
    """The tensor that a move, a DEQUANTIZE or a QUANTIZE reads, if it is a quantized activation."""
    if operator.name not in (*_MOVES, "DEQUANTIZE", "QUANTIZE"):
        return None
    place = _SPLIT_DATA if operator.name == "SPLIT" else 0
    if place >= len(operator.inputs) or operator.inputs[place] < 0:
        return None
    tensor = tensors[operator.inputs[place]]
    quantized = tensor.type in ("INT8", "INT16") and tensor.quantization is not None
    return tensor if quantized and tensor.data is None else None


def _under(tensor: FileTensor, source: FileTensor) -> FileTensor:
    return replace(tensor, type=source.type, quantization=source.quantization)
