"""Reads a .tflite flatbuffer into plain records. Nothing of the file is trusted.

The schema classes come from the package ``tflite``: generated from the schema, pure Python, and
it needs no more than flatbuffers and NumPy.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph.cutting import WHOLE, Cut
from tinyq.importers.tflite.cutting import Link, cut_operators

Value = TypeVar("Value")

MAX_FILE_BYTES = 1 << 28
MAX_ELEMENTS = 1 << 26  # of one tensor; a microcontroller holds far less
MAX_RANK = 6
_IDENTIFIER = b"TFL3"
_REMEDY = "convert the model again; the file may be damaged or cut off"
_STATEFUL = ("ASSIGN_VARIABLE", "CALL_ONCE", "READ_VARIABLE", "VAR_HANDLE")
_CONTROL = ("CALL", "IF", "WHILE")
# Generated methods that read a field, without Init, GetRootAs, XAsNumpy and XIsNone.
_FIELD = re.compile(r"(?!Init$|GetRootAs)[A-Z](?!\w*(As[A-Z]|IsNone|BufferHasIdentifier))\w*")
_FAULTS = (struct.error, ValueError, TypeError, IndexError, OverflowError, AttributeError)


@dataclass(frozen=True, slots=True)
class Quantization:
    """Meaning of a tensor's codes: real = scales[k] * (code - zero_points[k]) along ``axis``."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int


@dataclass(frozen=True, slots=True, eq=False)
class FileTensor:
    """One tensor of the file; ``data`` are the bytes of a constant, else None.

    ``open_axes`` are those whose size the file leaves open; ``shape`` has a 1 there. Of a tensor
    that was ``is_unsigned`` in the file, ``type``, zero points and data are signed.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    type: str
    quantization: Quantization | None
    data: bytes | None
    is_state: bool
    open_axes: tuple[int, ...] = ()
    is_unsigned: bool = False

    @property
    def elements(self) -> int:
        """How many values the tensor holds."""
        return math.prod(self.shape)

    def __str__(self) -> str:
        return f"tensor {self.index} {self.name!r} {self.type}{list(self.shape)}"


@dataclass(frozen=True, slots=True, eq=False)
class FileOperator:
    """One operator of the file; an absent optional input is -1.

    ``custom`` are the bytes of the options of a custom operator, which none but its importer reads.
    """

    index: int
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    intermediates: tuple[int, ...]
    options_type: str
    options: Mapping[str, Any]
    custom: bytes = b""

    def __str__(self) -> str:
        return f"operator {self.index} {self.name}"


@dataclass(frozen=True, slots=True, eq=False)
class FileModel:
    """The main subgraph of a file, or the part of it that was asked for.

    ``labels`` are the names that inputs and outputs have for users, by tensor index; ``starts`` the
    subgraphs that are called once, before the first inference.
    """

    path: str
    tensors: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    labels: Mapping[int, str] = field(default_factory=dict)
    starts: tuple[FileModel, ...] = ()


def read_model(path: Path, cut: Cut = WHOLE) -> FileModel:
    """Read and check a .tflite file, or a part of it; what is cut off is not looked at.

    Args:
        path: The file.
        cut: Where to cut; names are those of tensors in the file, or of the operators that compute
            them as in a graph, such as ``conv_2d_7``.

    Raises:
        ModelError: The file is missing, too large, no .tflite file, damaged, or has control flow;
            or there is no such part, or one of a file with variables is asked for.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ModelError(f"the file has more than {MAX_FILE_BYTES} bytes", where=str(path))
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelError("there is no such file", where=str(path)) from None
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}", where=str(path)) from None
    if content[4:8] != _IDENTIFIER:
        raise ModelError("this is no .tflite file", where=str(path), remedy=_REMEDY)
    try:
        return _Reader(content, str(path)).model(cut)
    except _FAULTS as error:
        raise ModelError(
            f"the file is damaged ({type(error).__name__}: {error})",
            where=str(path),
            remedy=_REMEDY,
        ) from None


class _Reader:
    """Walks the tables. A file holds fewer vector elements than bytes, which is the limit."""

    def __init__(self, content: bytes, path: str) -> None:
        import tflite

        self._schema = tflite
        self._content = content
        self._path = path
        self._left = 4 * len(content) + 1024
        self._codes = _names(tflite.BuiltinOperator)
        self._types = _names(tflite.TensorType)
        self._options = _names(tflite.BuiltinOptions)

    def model(self, cut: Cut) -> FileModel:
        root = self._schema.Model.GetRootAs(self._content, 0)
        if root.SubgraphsLength() < 1:
            raise ValueError("there is no subgraph")
        model = self._subgraph(root, 0, cut)
        calls = [
            operator.options.get("InitSubgraphIndex", 0)
            for operator in model.operators
            if operator.name == "CALL_ONCE"
        ]
        for call in calls:
            if not 0 < call < root.SubgraphsLength():
                raise ValueError(f"subgraph {call} of {root.SubgraphsLength()}")
        return replace(model, starts=tuple(self._subgraph(root, it, WHOLE) for it in calls))

    def _subgraph(self, root: Any, number: int, cut: Cut) -> FileModel:
        graph = root.Subgraphs(number)
        buffers = self._vector(root.BuffersLength(), root.Buffers)
        names = [
            self._operator_name(code)
            for code in self._vector(root.OperatorCodesLength(), root.OperatorCodes)
        ]
        tables = self._vector(graph.TensorsLength(), graph.Tensors)
        count = len(tables)
        lines = self._vector(graph.OperatorsLength(), graph.Operators)
        inputs = self._indexes(graph.InputsLength(), graph.Inputs, count, 0)
        outputs = self._indexes(graph.OutputsLength(), graph.Outputs, count, 0)
        kept: Sequence[int] = range(len(lines))
        if cut:
            links = [self._link(index, it, names, count) for index, it in enumerate(lines)]
            known = [self._name(table) for table in tables]
            part = cut_operators(cut, self._path, links, known, (inputs, outputs))
            inputs, outputs, kept = part.inputs, part.outputs, part.operators
        operators = tuple(self._operator(index, lines[index], names, count) for index in kept)
        operators = _without_initialization(operators)
        self._require_one(root.SubgraphsLength(), operators, cut)
        data = {*inputs, *outputs}
        for operator in operators:
            data.update(operator.inputs, operator.outputs)
        tensors = tuple(
            self._tensor(index, table, buffers, index in data)
            if index in data or not cut
            else FileTensor(index, self._name(table), (), "NONE", None, None, False)
            for index, table in enumerate(tables)
        )
        for index in inputs:
            if cut and tensors[index].data is not None:
                raise ModelError(f"{tensors[index]} is a constant", where=self._path)
        signature = self._signature(root)
        labels = {index: signature.get(index, tensors[index].name) for index in (*inputs, *outputs)}
        return FileModel(self._path, tensors, operators, inputs, outputs, MappingProxyType(labels))

    def _link(self, index: int, table: Any, names: list[str], tensors: int) -> Link:
        """What an operator reads and writes; the rest of it may be of any kind."""
        return Link(
            f"{names[table.OpcodeIndex()].lower()}_{index}",
            self._indexes(table.InputsLength(), table.Inputs, tensors, -1),
            self._indexes(table.OutputsLength(), table.Outputs, tensors, 0),
        )

    @staticmethod
    def _name(table: Any) -> str:
        return str((table.Name() or b"").decode("utf-8", "replace"))

    def _signature(self, root: Any) -> dict[int, str]:
        """Names of inputs and outputs by the first signature of the main subgraph."""
        for signature in self._vector(root.SignatureDefsLength(), root.SignatureDefs):
            if signature.SubgraphIndex() == 0:
                pairs = [
                    *self._vector(signature.InputsLength(), signature.Inputs),
                    *self._vector(signature.OutputsLength(), signature.Outputs),
                ]
                return {pair.TensorIndex(): self._name(pair) for pair in pairs if pair.Name()}
        return {}

    def _require_one(self, subgraphs: int, operators: tuple[FileOperator, ...], cut: Cut) -> None:
        """Refuse what one subgraph cannot say."""
        names = sorted({operator.name for operator in operators} & {*_STATEFUL, *_CONTROL})
        kept = [name for name in names if name in _STATEFUL]
        if kept and cut:
            raise ModelError(
                f"a part of a file with variables ({', '.join(kept)}) is not known",
                where=self._path,
                remedy="take the whole model",
            )
        names = [name for name in names if name in _CONTROL]
        if subgraphs != 1 and names:
            raise ModelError(
                f"the file holds {subgraphs} subgraphs for control flow ({', '.join(names)})",
                where=self._path,
                remedy="convert a model whose loops are unrolled and whose conditions are constant",
            )

    def _spend(self, count: int) -> None:
        self._left -= count
        if count < 0 or self._left < 0:
            raise ValueError("a vector is longer than the file")

    def _vector(self, length: int, get: Callable[[int], Value]) -> list[Value]:
        self._spend(length)
        return [get(index) for index in range(length)]

    def _indexes(
        self, length: int, get: Callable[[int], int], limit: int, least: int
    ) -> tuple[int, ...]:
        found = tuple(self._vector(length, get))
        wrong = [index for index in found if not least <= index < limit]
        if wrong:
            raise ValueError(f"tensor index {wrong[0]} of {limit}")
        return found

    def _operator_name(self, code: Any) -> str:
        number = max(code.DeprecatedBuiltinCode(), code.BuiltinCode())
        name = self._codes.get(number, f"BUILTIN_{number}")
        custom = code.CustomCode() if name == "CUSTOM" else None
        return f"CUSTOM:{custom.decode('utf-8', 'replace')}" if custom else name

    def _tensor(self, index: int, table: Any, buffers: list[Any], is_data: bool) -> FileTensor:
        """A tensor; one that no operator reads or writes may say what it likes of its shape."""
        shape = tuple(self._vector(table.ShapeLength(), table.Shape))
        signature = self._vector(table.ShapeSignatureLength(), table.ShapeSignature)
        name = self._name(table)
        if is_data:
            self._require_shape(shape, f"{self._path}, tensor {index} {name!r}")
        kind = self._types.get(table.Type(), f"TYPE_{table.Type()}")
        if table.Sparsity() is not None:
            kind = f"SPARSE_{kind}"
        data = self._data(table.Buffer(), buffers)
        meaning = self._quantization(table.Quantization())
        open_axes = tuple(axis for axis, size in enumerate(signature) if size == -1)
        state = bool(table.IsVariable())
        return FileTensor(index, name, shape, kind, meaning, data, state, open_axes)

    @staticmethod
    def _require_shape(shape: tuple[int, ...], place: str) -> None:
        if len(shape) > MAX_RANK or any(size < 1 for size in shape):
            raise ModelError(
                f"has shape {list(shape)}",
                where=place,
                remedy=f"convert the model with at most {MAX_RANK} fixed, positive axes",
            )
        if math.prod(shape) > MAX_ELEMENTS:
            raise ModelError(
                f"has {math.prod(shape)} values, at most {MAX_ELEMENTS} are allowed", where=place
            )

    def _data(self, index: int, buffers: list[Any]) -> bytes | None:
        if index == 0:
            return None
        buffer = buffers[index]
        length = buffer.DataLength()
        if length == 0:
            return None
        self._spend(length)
        return bytes(buffer.DataAsNumpy())

    def _quantization(self, table: Any) -> Quantization | None:
        if table is None or table.ScaleLength() == 0:
            return None
        scales = tuple(self._vector(table.ScaleLength(), table.Scale))
        zeros = tuple(self._vector(table.ZeroPointLength(), table.ZeroPoint))
        if len(zeros) not in (len(scales), 1):
            zeros = zeros or (0,) * len(scales)
        if len(zeros) == 1:
            zeros *= len(scales)
        if len(zeros) != len(scales):
            raise ValueError(f"{len(scales)} scales and {len(zeros)} zero points")
        if not all(np.isfinite(scale) and scale > 0 for scale in scales):
            raise ValueError("a scale is not a positive number")
        if not all(-(2**31) <= zero < 2**31 for zero in zeros):
            raise ValueError("a zero point leaves int32")
        return Quantization(scales, zeros, int(table.QuantizedDimension()))

    def _operator(self, index: int, table: Any, names: list[str], tensors: int) -> FileOperator:
        kind = self._options.get(table.BuiltinOptionsType(), "")
        return FileOperator(
            index,
            names[table.OpcodeIndex()],
            self._indexes(table.InputsLength(), table.Inputs, tensors, -1),
            self._indexes(table.OutputsLength(), table.Outputs, tensors, 0),
            self._indexes(table.IntermediatesLength(), table.Intermediates, tensors, 0),
            kind,
            MappingProxyType(dict(self._read_options(kind, table.BuiltinOptions()))),
            bytes(self._vector(table.CustomOptionsLength(), table.CustomOptions)),
        )

    def _read_options(self, kind: str, union: Any) -> Iterator[tuple[str, Any]]:
        schema = getattr(self._schema, kind, None)
        if union is None or schema is None:
            return
        table = schema()
        table.Init(union.Bytes, union.Pos)
        fields = [name for name in vars(schema) if _FIELD.fullmatch(name)]
        for name in fields:
            if name.endswith("Length"):
                field = name.removesuffix("Length")
                yield field, tuple(self._vector(getattr(table, name)(), getattr(table, field)))
            elif f"{name}Length" not in fields:
                yield name, getattr(table, name)()


def _without_initialization(operators: tuple[FileOperator, ...]) -> tuple[FileOperator, ...]:
    """Without calls of subgraphs that set variables up, where no operator has one."""
    if {operator.name for operator in operators} & {*_STATEFUL} != {"CALL_ONCE"}:
        return operators
    return tuple(operator for operator in operators if operator.name != "CALL_ONCE")


def _names(enumeration: type) -> dict[int, str]:
    return {number: name for name, number in vars(enumeration).items() if isinstance(number, int)}
