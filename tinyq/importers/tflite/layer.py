"""What the importer of one operator sees: its tensors, its options, the graph under way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.errors import ModelError
from tinyq.graph import GraphBuilder, Op, Shape, TensorType
from tinyq.graph.ops.reshape import Reshape
from tinyq.graph.ops.strided_copy import StridedCopy
from tinyq.importers.tflite.file_layer import FileLayer
from tinyq.importers.tflite.reader import FileModel, FileOperator, FileTensor
from tinyq.importers.tflite.variables import find_variables
from tinyq.numerics.formats import FORMATS, Codes, Format

_FORMATS = {"BOOL": "s8", "INT4": "s4", "INT8": "s8", "INT16": "s16", "INT32": "s32"}
_DTYPES = {"INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8", "FLOAT32": "<f4"}
_AS_WORDS = ("INT64", "UINT32", "UINT64")  # of what indices, energies and their sums become
CODES = ("s8", "s16")  # formats of activations that weights and functions take
_ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6")
_LIMITS = {
    "RELU_0_TO_1": (0.0, 1.0),
    "RELU": (0.0, None),
    "RELU_N1_TO_1": (-1.0, 1.0),
    "RELU6": (0.0, 6.0),
}
_LEAST_SCALE = 2.0**-40  # of an activation, so that ratios of scales stay within float32
_REMEDY_INTEGER = "convert with full-integer quantization (int8 weights and activations)"


def graph_shape(shape: Shape) -> Shape:
    """Shape of one sample: without a leading 1, and at least one axis."""
    inner = shape[1:] if len(shape) > 1 and shape[0] == 1 else shape
    return inner or (1,)


class Conversion:
    """The graph under way, and which file tensor is which graph tensor."""

    def __init__(self, model: FileModel, rounding: str) -> None:
        self.model = model
        self.rounding = rounding
        self.variables = find_variables(model)
        self.builder: GraphBuilder
        self.names: dict[int, str] = {}
        self._left = (1 << 22) + 16 * sum(len(tensor.data or b"") for tensor in model.tensors)

    def spend(self, elements: int) -> None:
        """Account for constants that the import makes, so that no small file becomes a huge graph.

        Raises:
            ModelError: Too many.
        """
        self._left -= elements
        if self._left < 0:
            raise ModelError("the constants grow far beyond the size of the file")

    def type_of(self, tensor: FileTensor) -> TensorType:
        """Graph type of an activation.

        Raises:
            ModelError: It is no integer tensor with one scale.
        """
        name = _FORMATS.get(tensor.type)
        if name is None or name == "s4":
            raise ModelError(
                f"{tensor} is no integer activation of a supported type", remedy=_REMEDY_INTEGER
            )
        meaning = tensor.quantization
        if meaning is None:
            return TensorType(graph_shape(tensor.shape), FORMATS[name])
        if len(meaning.scales) != 1:
            raise ModelError(f"{tensor} is an activation with {len(meaning.scales)} scales")
        if not _LEAST_SCALE <= meaning.scales[0] <= 1 / _LEAST_SCALE:
            raise ModelError(f"scale {meaning.scales[0]} of {tensor} is out of all proportion")
        zero = meaning.zero_points[0]
        if not FORMATS[name].lo <= zero <= FORMATS[name].hi:
            raise ModelError(f"zero point {zero} of {tensor} is no code of its type")
        if name == "s16" and zero != 0:
            raise ModelError(f"zero point {zero} of {tensor}: 16-bit activations are symmetric")
        return TensorType(graph_shape(tensor.shape), FORMATS[name], meaning.scales[0], zero)


class Layer(FileLayer):
    """One operator of the file, and what its importer may ask and add."""

    def __init__(self, operator: FileOperator, conversion: Conversion) -> None:
        super().__init__(operator, conversion.model)
        self.conversion = conversion
        self.twice = conversion.rounding == "tflite"

    @property
    def builder(self) -> GraphBuilder:
        """The graph under way."""
        return self.conversion.builder

    def type_of(self, tensor: FileTensor, *formats: str) -> TensorType:
        """Graph type of a tensor, which must be quantized and in one of ``formats``.

        Raises:
            ModelError: It is not.
        """
        found = self.conversion.type_of(tensor)
        allowed = formats or ("s8",)
        self.require(
            found.format.name in allowed and found.scale is not None,
            f"{tensor} is not a quantized tensor of format {' or '.join(allowed)}",
            _REMEDY_INTEGER,
        )
        return found

    def scale(self, tensor: FileTensor) -> float:
        """The one scale of a quantized tensor."""
        found = self.type_of(tensor, *FORMATS).scale
        return float(found or 1.0)

    def activation(self, position: int = 0) -> str:
        """Graph tensor of an input that is data; a constant of the file becomes one.

        Raises:
            ModelError: Nothing has computed it.
        """
        tensor = self.source(position)
        known = self.conversion.names.get(tensor.index)
        if known is not None:
            signs = self.builder.type(known).format.name == "b1"
            takes_signs = self.operator.name.startswith("CUSTOM:")
            self.require(takes_signs or not signs, f"reads {tensor}, which are words of signs")
            return known
        if tensor.data is None:
            remedy = "models with a state are not supported" if tensor.is_state else None
            self.require(False, f"reads {tensor} before it is computed", remedy)
        meaning = self.conversion.type_of(tensor)
        codes = self.values_of(tensor).reshape(meaning.shape)
        name = self.builder.constant(
            f"tensor_{tensor.index}", codes, meaning.format, meaning.scale, meaning.zero_point
        )
        self.conversion.names[tensor.index] = name
        return name

    def full(self, position: int = 0) -> str:
        """Like ``activation``, under the shape of the file, with all leading ones."""
        tensor = self.source(position)
        name = self.activation(position)
        return self.reshape(name, tensor.shape or (1,), f"in_{position}")

    def reshape(self, name: str, shape: Shape, suffix: str) -> str:
        """The same tensor under another shape; no node where it has that shape."""
        if self.builder.type(name).shape == shape:
            return name
        return self.apply(Reshape(shape), name, suffix=suffix)

    def broadcast(self) -> tuple[str, str]:
        """Both operands under the output's shape; the smaller one is repeated.

        Raises:
            ModelError: The shapes cannot be broadcast.
        """
        shape = self.result().shape
        return self.stretch(0, shape), self.stretch(1, shape)

    def stretch(self, position: int, shape: Shape) -> str:
        """Like ``activation``, repeated to a shape of the file.

        Raises:
            ModelError: It cannot be.
        """
        own = self.source(position).shape
        name = self.activation(position)
        target = graph_shape(shape)
        if own == shape:
            return name
        aligned = (1,) * (len(shape) - len(own)) + own
        fits = len(own) <= len(shape) and all(
            size in (1, full) for size, full in zip(aligned, shape, strict=True)
        )
        self.require(fits, f"cannot broadcast {own} to {shape}")
        if math.prod(own) == math.prod(shape):
            return self.reshape(name, target, f"in_{position}")
        strides = []
        step = 1
        for size in reversed(aligned):
            strides.append(step if size > 1 else 0)
            step *= size
        kept = tuple(reversed(strides))[len(shape) - len(target) :]
        return self.apply(StridedCopy(target, kept), name, suffix=f"stretch_{position}")

    def constant(self, position: int) -> npt.NDArray[Any]:
        """Value of a constant input, integers as int64, under the shape of the file.

        Raises:
            ModelError: It is no constant, or its bytes do not fit its shape.
        """
        return self.values_of(self.source(position))

    def values_of(self, tensor: FileTensor) -> npt.NDArray[Any]:
        """Value of a constant tensor, see `constant`."""
        self.require(tensor.data is not None, f"{tensor} is not a constant")
        data = np.frombuffer(tensor.data or b"", np.uint8)
        self.conversion.spend(tensor.elements)
        if tensor.type == "INT4":
            self.require(data.size == -(-tensor.elements // 2), f"{tensor} has {data.size} bytes")
            halves = np.stack([data & 15, data >> 4], axis=-1).reshape(-1)[: tensor.elements]
            values = (halves.astype(np.int64) ^ 8) - 8
            return values.reshape(tensor.shape)
        self.require(tensor.type in _DTYPES, f"{tensor} has a type that is not supported")
        dtype = np.dtype(_DTYPES[tensor.type])
        self.require(
            data.size == tensor.elements * dtype.itemsize, f"{tensor} has {data.size} bytes"
        )
        values = data.view(dtype).reshape(tensor.shape)
        return values.astype(np.int64) if dtype.kind in "iu" else values

    def integers(self, position: int, limit: int = 64) -> list[int]:
        """A short constant vector, such as axes or a shape."""
        tensor = self.source(position)
        self.require(
            tensor.type in ("INT32", "INT64") and tensor.elements <= limit,
            f"{tensor} is no short vector of integers",
        )
        return [int(value) for value in self.constant(position).reshape(-1)]

    def axis(self, value: int, rank: int) -> int:
        """A normalized axis.

        Raises:
            ModelError: It lies outside the rank.
        """
        self.require(-rank <= value < rank, f"axis {value} of a tensor with {rank} axes")
        return value % rank

    def number(self, suffix: str, codes: npt.ArrayLike, number_format: str) -> str:
        """Add a constant of this operator."""
        array = np.asarray(codes)
        self.conversion.spend(array.size)
        return self.builder.constant(self.name(suffix), array, FORMATS[number_format])

    def apply(self, operation: Op, *inputs: str, suffix: str = "") -> str:
        """Add a node of this operator."""
        return self.builder.apply(self.name(suffix), operation, *inputs)

    def finish(self, name: str, position: int = 0) -> None:
        """Say which graph tensor an output is; brings it to the shape of the file."""
        tensor = self.result(position)
        shape = graph_shape(tensor.shape)
        have = self.builder.type(name).shape
        self.require(
            math.prod(have) == math.prod(shape), f"computes {have}, the file says {tensor}"
        )
        self.hand_on(self.reshape(name, shape, f"out_{position}"), position)

    def hand_on(self, name: str, position: int = 0) -> None:
        """Say which graph tensor an output is, whatever shape it has there."""
        tensor = self.result(position)
        self.require(tensor.index not in self.conversion.names, f"computes {tensor} again")
        self.conversion.names[tensor.index] = name

    def check_outputs(self) -> None:
        """Check that every output was computed, in the format that the file says.

        Raises:
            ModelError: One was not.
        """
        for position in range(len(self.operator.outputs)):
            tensor = self.result(position)
            if tensor.index in self.conversion.variables.handles:
                continue
            self.require(tensor.index in self.conversion.names, f"{tensor} is not computed")
            found = self.builder.type(self.conversion.names[tensor.index]).format.name
            stated = _FORMATS.get(tensor.type, "s32" if tensor.type in _AS_WORDS else "")
            found = "s32" if found == "b1" else found  # signs are words in the file
            self.require(found == stated, f"computes {found}, the file says {tensor}")

    def limits(self, tensor: FileTensor, activation: int | str | None = None) -> tuple[int, int]:
        """Smallest and largest code under a fused activation.

            lo = zero_point + round(lower / scale)      half away from zero, in float32

        Raises:
            ModelError: The activation is none that integer kernels know.
        """
        kind = self.option("FusedActivationFunction", 0) if activation is None else activation
        if isinstance(kind, int):
            self.require(0 <= kind < len(_ACTIVATIONS), f"unknown fused activation {kind}")
            kind = _ACTIVATIONS[kind]
        meaning = self.type_of(tensor, *CODES)
        lower, upper = _LIMITS.get(kind, (None, None))
        codes = [meaning.format.lo, meaning.format.hi]
        for place, (value, choose) in enumerate(((lower, max), (upper, min))):
            if value is not None:
                steps = np.float32(value) / np.float32(meaning.scale)
                self.require(abs(float(steps)) < 2.0**31, "the activation's range overflows")
                code = meaning.zero_point + round_away(float(steps))
                codes[place] = choose(codes[place], code)
        self.require(codes[0] <= codes[1], f"the activation of {tensor} leaves no code")
        return codes[0], codes[1]


def round_away(value: float) -> int:
    """Nearest integer, half away from zero."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def packed(codes: npt.NDArray[Any]) -> Codes:
    """Codes as the graph stores them."""
    return codes.astype(np.int32)


def weight_format(tensor: FileTensor, codes: npt.NDArray[Any]) -> Format:
    """Format of weights: 4 bits where the file has 4 bits, else 8."""
    del codes
    return FORMATS["s4" if tensor.type == "INT4" else "s8"]
