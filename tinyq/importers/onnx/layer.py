"""What the importer of one operator sees: its inputs, its attributes, the graph under way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.errors import ModelError
from tinyq.graph import GraphBuilder, Op, Shape
from tinyq.graph.epilogues import Requantize
from tinyq.graph.ops.rescale import Rescale
from tinyq.graph.ops.reshape import Reshape
from tinyq.graph.ops.strided_copy import MAX_RANK, StridedCopy
from tinyq.importers.onnx.arrangement import View
from tinyq.importers.onnx.file_layer import FileLayer
from tinyq.importers.onnx.folding import axes_of
from tinyq.importers.onnx.reader import FileModel, FileNode
from tinyq.importers.onnx.values import Coded, Fixed, Pending, Real, Stored, Value
from tinyq.numerics.formats import FORMATS

Array = npt.NDArray[Any]
HALF_UP, TFLITE, ONNX = ROUNDINGS = ("half_up", "tflite", "onnx")
REMEDY = (
    "quantize and export the model again; if it has to be like that, export it up to this operator "
    "and compute the rest in the application"
)
REMEDY_INTEGER = (
    "quantize it as well, with QuantizeLinear and DequantizeLinear around it; or remove all "
    "quantization and run `tinyq quantize MODEL.onnx --data DATA.npz -o model.keras`"
)


class Conversion:
    """The graph under way, and what every tensor of the file is."""

    def __init__(self, model: FileModel, rounding: str) -> None:
        self.model = model
        self.rounding = rounding
        self.builder: GraphBuilder
        self.values: dict[str, Value] = {}
        self.used: set[str] = set()
        self.origins: dict[str, str] = {}
        self._readers: dict[str, list[FileNode]] = {}
        for node in model.nodes:
            for name in node.inputs:
                self._readers.setdefault(name, []).append(node)
        self._left = (1 << 23) + 16 * sum(array.size for array in model.constants.values())

    def has_one_reader(self, name: str) -> bool:
        """Whether one operator alone reads codes, through DequantizeLinear or not."""
        count = 0
        for node in self._readers.get(name, []):
            through = node.kind == "DequantizeLinear"
            count += max(len(self._readers.get(node.outputs[0], [])), 1) if through else 1
        return count == 1

    def spend(self, elements: int) -> None:
        """Account for constants that the import makes, so that no small file becomes a huge graph.

        Raises:
            ModelError: Too many.
        """
        self._left -= elements
        if self._left < 0:
            raise ModelError("the constants grow far beyond the size of the file")


class Layer(FileLayer):
    """One operator of the file, and what its importer may ask and add."""

    def __init__(self, node: FileNode, conversion: Conversion) -> None:
        super().__init__(node, conversion.model)
        self.conversion = conversion

    @property
    def builder(self) -> GraphBuilder:
        """The graph under way."""
        return self.conversion.builder

    @property
    def rounding(self) -> str:
        """Rule of the graph."""
        return self.conversion.rounding

    def value(self, position: int = 0) -> Value:
        """What an input is."""
        self.require(self.has(position), f"input {position} is missing")
        return self.conversion.values[self.node.inputs[position]]

    def fixed(self, position: int) -> Array:
        """An input that must be a constant, dequantized where it has scales."""
        value = self.value(position)
        self.require(
            isinstance(value, Fixed | Stored),
            f"input {position} is no constant",
            "export the model with fixed shapes and weights",
        )
        return value.array if isinstance(value, Fixed) else value.real()  # type: ignore[union-attr]

    def constants(self) -> list[Array | None]:
        """All inputs that are constants, None for the others."""
        found = []
        for position in range(len(self.node.inputs)):
            value = self.value(position) if self.has(position) else None
            found.append(value.array if isinstance(value, Fixed) else None)
        return found

    def computed(self, position: int = 0) -> Real | Pending:
        """An input of reals that the graph computes.

        Raises:
            ModelError: It is of integers, or has not been quantized.
        """
        value = self.value(position)
        self.require(
            isinstance(value, Real | Pending),
            f"input {position} has no scale, so the operator computes in floating point",
            REMEDY_INTEGER,
        )
        return value  # type: ignore[return-value]

    def real(self, position: int = 0) -> Real:
        """An input of dequantized codes.

        Raises:
            ModelError: It is a function of them, or not quantized.
        """
        return self.as_real(self.computed(position), f"input {position}")

    def as_real(self, value: Value, what: str) -> Real:
        """A value that must be dequantized codes."""
        self.require(
            isinstance(value, Real) and value.values is None,
            f"{what} is not quantized, so the operator computes in floating point",
            REMEDY_INTEGER,
        )
        return value  # type: ignore[return-value]

    def axes(self, rank: int, place: int = 1) -> list[int] | None:
        """Axes from an attribute or an input, within the rank; None where there are none."""
        found = axes_of(self.node, self.constants(), place)
        return None if found is None else [self.axis(axis, rank) for axis in found]

    def axis(self, value: int, rank: int) -> int:
        """A normalized axis.

        Raises:
            ModelError: It lies outside the rank.
        """
        self.require(-rank <= value < rank, f"axis {value} of a tensor with {rank} axes")
        return int(value) % rank

    def give(self, value: Value, position: int = 0) -> None:
        """Say what an output is."""
        name = self.node.outputs[position] if position < len(self.node.outputs) else ""
        self.conversion.values[name] = value

    def name(self, suffix: str = "") -> str:
        """Name for a node or constant of this operator, a new one each time."""
        base = f"{self.node.kind.lower()}_{self.node.index}" + (f"_{suffix}" if suffix else "")
        name, count = base, 1
        while name in self.conversion.used:
            count += 1
            name = f"{base}_{count}"
        self.conversion.used.add(name)
        return name

    def number(self, suffix: str, codes: npt.ArrayLike, number_format: str) -> str:
        """Add a constant of this operator."""
        array = np.asarray(codes)
        self.conversion.spend(array.size)
        return self.builder.constant(self.name(suffix), array, FORMATS[number_format])

    def apply(self, operation: Op, *inputs: str, suffix: str = "") -> str:
        """Add a node of this operator."""
        return self.builder.apply(self.name(suffix), operation, *inputs)

    def reshape(self, name: str, shape: Shape) -> str:
        """The same tensor under another shape; no node where it has that shape."""
        if self.builder.type(name).shape == shape:
            return name
        return self.apply(Reshape(shape), name, suffix="shape")

    def arrange(self, name: str, view: View, order: Sequence[int], shape: Shape) -> str:
        """The elements of a view with its axes in an order, under a shape.

        Nothing moves where they lie like that already; else they are copied.
        """
        held = int(np.prod(self.builder.type(name).shape, dtype=np.int64))
        if view.is_dense(order, held):
            return self.reshape(name, shape)
        if self.builder.type(name).format.bits < 8:
            name = self.widened(name)
        atoms = view.atoms(order) or [(1, 1)]
        self.require(
            len(atoms) <= MAX_RANK,
            f"a copy of {len(atoms)} axes is not supported",
            "arrange the tensor by operators with fewer axes",
        )
        copy = StridedCopy(
            tuple(size for size, _ in atoms), tuple(stride for _, stride in atoms), view.start
        )
        return self.reshape(self.apply(copy, name, suffix="arranged"), shape)

    def widened(self, name: str) -> str:
        """A tensor in whole bytes: the same codes as s8."""
        found = self.builder.type(name)
        if found.format.bits >= 8:
            return name
        output = Requantize("s8", float(found.scale or 1.0), found.zero_point, -128, 127)
        channels = found.shape[-1]
        # (code - zero) * 2 / 2 + zero
        constants = [
            self.number(part, np.full(channels, value), "s32")
            for part, value in zip(output.names, (0, 2, 1), strict=True)
        ]
        return self.apply(Rescale(output, found.zero_point), name, *constants, suffix="bytes")

    def dense(self, coded: Coded, order: Sequence[int], shape: Shape) -> str:
        """The tensor of codes with its axes in an order, under a shape of the graph."""
        return self.arrange(coded.name, coded.view, order, shape)
