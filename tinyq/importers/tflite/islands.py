"""What the converter left in floating point: between DEQUANTIZE and QUANTIZE.

A float tensor of such an island stands for the codes that were dequantized, its carrier, and a
function of them. A move changes no value, so it can move the codes instead. An operator that
computes each value from the same place of one carrier changes the function: of 256 codes it is a
list of 256 float32 values. What is left of the island is one table where it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from tinyq.errors import ModelError
from tinyq.importers.tflite.functions import find_function
from tinyq.importers.tflite.reader import FileModel, FileOperator, FileTensor

Refuse = Callable[[ModelError], None]

FROM_FLOAT = "FromFloat"  # option of a QUANTIZE at the end of an island: its 256 values
REMEDY = "convert with full-integer quantization (int8 weights and activations)"
_TRUTH = (np.arange(-128, 128) != 0).astype(np.float32)  # of the codes of BOOL
_SPLIT_DATA = 1  # SPLIT has the axis first
# Rising functions of all values: in floating point at the end of a network they are left out, since
# no integers define them, and the outputs are the codes that they would read.
_TAILS = ("LOGISTIC", "LOG_SOFTMAX", "SOFTMAX")
_MOVES = (
    *("EXPAND_DIMS", "RESHAPE", "SLICE", "SPLIT", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE"),
    *("TRANSPOSE", "UNPACK", "GATHER", "TILE", "BROADCAST_TO", "REVERSE_V2"),
    *("SPACE_TO_DEPTH", "DEPTH_TO_SPACE"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """What a float tensor is.

    Attributes:
        carrier: Index of the tensor whose codes it is a function of, place by place.
        values: Of the codes -128 .. 127, float32; None for 16-bit codes, which are only moved.
        is_plain: Whether the values are the reals of the carrier's codes.
    """

    carrier: int
    values: npt.NDArray[np.float32] | None
    is_plain: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """A file without islands: its tensors, its operators, and what each float tensor was.

    ``tails`` are last operators on floats that were left out, see ``_TAILS``.
    """

    model: FileModel
    operators: list[FileOperator]
    curves: dict[int, Curve]
    tails: tuple[FileOperator, ...]


class _Settling:
    """One walk over the operators in execution order."""

    def __init__(self, model: FileModel, refuse: Refuse) -> None:
        self.path = model.path
        self.refuse = refuse
        self.outputs = model.outputs
        self.tails: list[FileOperator] = []
        self.tensors = list(model.tensors)
        self.curves: dict[int, Curve] = {}
        self.found: list[FileOperator] = []

    def take(self, operator: FileOperator) -> None:
        if not operator.outputs:  # as assignments have none; of others a reader says so
            self.found.append(operator)
            return
        if self._begins(operator) or self._moves(operator):
            return
        if self._ends(operator) or self._computes(operator):
            return
        try:
            self.found.append(self._read_codes(operator))
        except ModelError as error:
            self.refuse(error)

    def _begins(self, operator: FileOperator) -> bool:
        """DEQUANTIZE of codes with one scale, CAST of pixels or of truth values."""
        if operator.name not in ("DEQUANTIZE", "CAST") or len(operator.inputs) != 1:
            return False
        source, target = (self.tensors[places[0]] for places in (operator.inputs, operator.outputs))
        if source.index in self.curves or source.data is not None or target.type != "FLOAT32":
            return False
        if source.type == "BOOL":
            self.curves[target.index] = Curve(source.index, _TRUTH, is_plain=False)
            return True
        meaning = source.quantization
        if source.type not in ("INT8", "INT16") or meaning is None or len(meaning.scales) != 1:
            return False
        values = None
        if source.type == "INT8":
            steps = (np.arange(-128, 128) - meaning.zero_points[0]).astype(np.float32)
            values = np.float32(meaning.scales[0]) * steps
        self.curves[target.index] = Curve(source.index, values)
        return True

    def _moves(self, operator: FileOperator) -> bool:
        place = _SPLIT_DATA if operator.name == "SPLIT" else 0
        if operator.name not in _MOVES or place >= len(operator.inputs):
            return False
        curve = self.curves.get(operator.inputs[place])
        if curve is None:
            return False
        carrier = self.tensors[curve.carrier]
        inputs = list(operator.inputs)
        inputs[place] = curve.carrier
        self.found.append(replace(operator, inputs=tuple(inputs)))
        for index in operator.outputs:
            self.tensors[index] = _under(self.tensors[index], carrier)
            self.curves[index] = replace(curve, carrier=index)
        return True

    def _ends(self, operator: FileOperator) -> bool:
        """The last operator, whose input says as much as its output."""
        if operator.name not in _TAILS or operator.outputs[0] not in self.outputs:
            return False
        curve = self.curves.get(operator.inputs[0])
        if curve is None or not curve.is_plain:
            return False
        self.curves[operator.outputs[0]] = curve
        self.tails.append(operator)
        return True

    def _computes(self, operator: FileOperator) -> bool:
        """A function of one carrier and of single numbers."""
        function = find_function(operator)
        known = [self.curves.get(index) for index in operator.inputs]
        carriers = {curve.carrier for curve in known if curve is not None}
        if function is None or len(carriers) != 1:
            return False
        operands: list[npt.NDArray[np.float64]] = []
        for index, curve in zip(operator.inputs, known, strict=True):
            values = curve.values if curve is not None else _single(self.tensors[index])
            if values is None:
                return False
            operands.append(values.astype(np.float64))
        carrier = carriers.pop()
        if self.tensors[operator.outputs[0]].elements != self.tensors[carrier].elements:
            return False
        with np.errstate(all="ignore"):
            values = np.broadcast_to(function(*operands), 256).astype(np.float32)
        self.curves[operator.outputs[0]] = Curve(carrier, values, is_plain=False)
        return True

    def _read_codes(self, operator: FileOperator) -> FileOperator:
        """An operator that is kept, with codes in the place of floats.

        Raises:
            ModelError: It needs the floats.
        """
        curves = [self.curves.get(index) for index in operator.inputs]
        if not any(curves):
            return operator
        first = curves[0]
        inputs = tuple(
            index if curve is None else curve.carrier
            for index, curve in zip(operator.inputs, curves, strict=True)
        )
        if operator.name == "QUANTIZE" and first is not None and first.values is not None:
            options = MappingProxyType({**operator.options, FROM_FLOAT: first.values})
            return replace(operator, inputs=inputs, options=options)
        if operator.name == "ARG_MAX" and first is not None and first.is_plain:
            return replace(operator, inputs=inputs)
        raise ModelError(
            f"computes in floating point ({self.tensors[operator.outputs[0]]})",
            where=f"{self.path}, {operator}",
            remedy=REMEDY,
        )


def _raise(error: ModelError) -> None:
    raise error


def settle_islands(
    model: FileModel, operators: Sequence[FileOperator], refuse: Refuse = _raise
) -> Settled:
    """Replace what is left in floating point by moves of codes and by tables.

    Args:
        model: The file.
        operators: Those to convert, in execution order.
        refuse: What is done with the error of an operator, which is left out if that returns.

    Raises:
        ModelError: An operator computes in floating point from several tensors.
    """
    settling = _Settling(model, refuse)
    for operator in operators:
        settling.take(operator)
    settled = replace(model, tensors=tuple(settling.tensors))
    return Settled(settled, settling.found, settling.curves, tuple(settling.tails))


def _single(tensor: FileTensor) -> npt.NDArray[np.float32] | None:
    """The one float of a constant."""
    if tensor.type != "FLOAT32" or tensor.data is None or tensor.elements != 1:
        return None
    return np.frombuffer(tensor.data, "<f4") if len(tensor.data) == 4 else None


def _under(tensor: FileTensor, source: FileTensor) -> FileTensor:
    return replace(
        tensor,
        type=source.type,
        quantization=source.quantization,
        is_unsigned=source.is_unsigned,
    )
