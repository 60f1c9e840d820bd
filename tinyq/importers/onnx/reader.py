"""Reads an .onnx file into plain records: bounded, and without running anything of it."""

from __future__ import annotations

import importlib
import math
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.errors import ModelError, ToolMissing
from tinyq.support.limits import describe

Array = npt.NDArray[Any]
MAX_FILE_BYTES = 1 << 28
MAX_DATA_BYTES = 1 << 29  # of external data, all tensors together
MAX_ELEMENTS = 1 << 26  # of one tensor; a microcontroller holds far less
MAX_NODES = 20_000
MAX_RANK = 8
OPSETS = (9, 25)
DOMAINS = ("", "ai.onnx", "com.microsoft")
_FLOAT, _STRING = 1, 8
_PACKED = {21: (4, False), 22: (4, True), 25: (2, False), 26: (2, True)}  # UINT4, INT4, UINT2, INT2
_EXTERNAL = 1
_SKIPPED = {"doc_string"}


@dataclass(frozen=True, slots=True)
class FileInput:
    """An input of the file.

    Attributes:
        name: Its name.
        shape: Its shape; 1 where the batch is open, None for another open axis.
        type: Element type as NumPy names it.
    """

    name: str
    shape: tuple[int | None, ...]
    type: str


@dataclass(frozen=True, slots=True, eq=False)
class FileNode:
    """An operator of the file.

    Attributes:
        index: Its place.
        kind: ``op_type``.
        domain: Empty for ONNX's own.
        inputs: Names; empty for one that is left out.
        outputs: Names.
        attributes: Values by name; tensors as arrays, a subgraph as None.
    """

    index: int
    kind: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def __str__(self) -> str:
        return f"node {self.index} ({self.kind})"


@dataclass(frozen=True, slots=True, eq=False)
class FileModel:
    """What a file holds."""

    path: str
    opset: int
    nodes: tuple[FileNode, ...]
    constants: Mapping[str, Array]
    inputs: tuple[FileInput, ...]
    outputs: tuple[str, ...]


def require_onnx(path: Path) -> ModuleType:
    """The package that reads the format.

    Raises:
        ToolMissing: It is not installed.
    """
    try:
        return importlib.import_module("onnx")
    except ImportError:
        raise ToolMissing(
            "reading .onnx files takes the package onnx",
            where=str(path),
            remedy="run `pip install 'tinyq[onnx]'`",
        ) from None


def read_model(path: Path) -> FileModel:
    """Read a file.

    Raises:
        ToolMissing: onnx is not installed.
        ModelError: The file is missing, too large, damaged, or of an opset or with an operator
            domain that is not supported.
    """
    onnx = require_onnx(path)
    proto = onnx.ModelProto()
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ModelError(f"the file has more than {MAX_FILE_BYTES:,} bytes", where=str(path))
        proto.ParseFromString(path.read_bytes())
    except OSError as error:
        raise ModelError(f"cannot be read: {describe(error)}", where=str(path)) from None
    except ModelError:
        raise
    except Exception as error:  # protobuf has an exception of its own for each implementation
        raise ModelError(f"is no ONNX file: {describe(error)}", where=str(path)) from None
    try:
        return _Reading(path, onnx, proto).model()
    except ModelError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, MemoryError) as error:
        raise ModelError(f"is damaged: {describe(error)}", where=str(path)) from None


class _Reading:
    """One file on its way."""

    def __init__(self, path: Path, onnx: ModuleType, proto: Any) -> None:
        self.path, self.onnx, self.proto = path, onnx, proto
        self.left = MAX_DATA_BYTES

    def model(self) -> FileModel:
        graph = self.proto.graph
        if not graph.node:
            raise self.error("holds no network", "give a file that torch or onnx has written")
        if len(graph.node) > MAX_NODES:
            raise self.error(f"has {len(graph.node):,} operators, at most {MAX_NODES:,} are read")
        if graph.sparse_initializer:
            raise self.error("has sparse constants", "save the model with dense weights")
        constants = {tensor.name: self.array(tensor) for tensor in graph.initializer}
        nodes = tuple(self.node(index, node) for index, node in enumerate(graph.node))
        _check_order(self, nodes, {*constants, *(each.name for each in graph.input)})
        inputs = tuple(self.input(each) for each in graph.input if each.name not in constants)
        outputs = tuple(each.name for each in graph.output)
        if len({*outputs}) != len(outputs) or not outputs or not inputs:
            raise self.error("has no inputs and outputs with names of their own")
        return FileModel(
            str(self.path), self.opset(), nodes, MappingProxyType(constants), inputs, outputs
        )

    def opset(self) -> int:
        versions = {it.domain or "ai.onnx": int(it.version) for it in self.proto.opset_import}
        version = versions.get("ai.onnx", 1)
        if not OPSETS[0] <= version <= OPSETS[1]:
            raise self.error(
                f"uses opset {version}, {OPSETS[0]} to {OPSETS[1]} are read",
                "export with opset_version=20, or convert by onnx.version_converter",
            )
        return version

    def node(self, index: int, node: Any) -> FileNode:
        label = f"node {index} ({node.op_type[:60]})"
        if node.domain not in DOMAINS:
            own = any(it.domain == node.domain for it in self.proto.functions)
            raise ModelError(
                f"is an operator of the domain {node.domain[:60]!r}",
                where=f"{self.path}, {label}",
                remedy="export with operators of ONNX alone"
                + ("; onnx.inliner.inline_local_functions resolves functions" if own else ""),
            )
        attributes = {it.name: self.attribute(label, it) for it in node.attribute}
        domain = "" if node.domain == "ai.onnx" else node.domain
        return FileNode(
            index, node.op_type, domain, tuple(node.input), tuple(node.output), attributes
        )

    def attribute(self, label: str, attribute: Any) -> Any:
        kinds = self.onnx.AttributeProto
        if attribute.type == kinds.TENSOR:
            return self.array(attribute.t)
        if attribute.type in (kinds.INT, kinds.FLOAT, kinds.STRING, kinds.INTS, kinds.FLOATS):
            value = self.onnx.helper.get_attribute_value(attribute)
            if isinstance(value, bytes):
                return value.decode("utf-8", "replace")
            return tuple(value) if attribute.type in (kinds.INTS, kinds.FLOATS) else value
        if attribute.type == kinds.STRINGS:
            return tuple(text.decode("utf-8", "replace") for text in attribute.strings)
        if attribute.type in (kinds.GRAPH, kinds.GRAPHS):
            raise ModelError(
                "has a network inside, which only control flow does",
                where=f"{self.path}, {label}",
                remedy="export without control flow: trace the model instead of scripting it",
            )
        raise ModelError(
            f"attribute {attribute.name[:60]!r} is of an unknown kind",
            where=f"{self.path}, {label}",
        )

    def input(self, value: Any) -> FileInput:
        if value.type.WhichOneof("value") != "tensor_type":
            raise self.error(f"input {value.name!r} is no tensor")
        tensor = value.type.tensor_type
        sizes: list[int | None] = []
        for axis, size in enumerate(tensor.shape.dim):
            known = size.WhichOneof("value") == "dim_value"
            if known and not 1 <= size.dim_value <= MAX_ELEMENTS:
                raise self.error(f"input {value.name!r} has an axis of size {size.dim_value}")
            sizes.append(int(size.dim_value) if known else (1 if axis == 0 else None))
        if not 1 <= len(sizes) <= MAX_RANK:
            raise self.error(
                f"input {value.name!r} has {len(sizes)} axes, 1 to {MAX_RANK} are read",
                "export the model with an example input of fixed shape",
            )
        return FileInput(value.name, tuple(sizes), self.dtype(tensor.elem_type, value.name))

    def dtype(self, kind: int, name: str) -> str:
        if kind in _PACKED:
            bits, signed = _PACKED[kind]
            return f"{'' if signed else 'u'}int{bits}"
        try:
            return str(np.dtype(self.onnx.helper.tensor_dtype_to_np_dtype(kind)).name)
        except (KeyError, TypeError):
            raise self.error(f"tensor {name!r} is of unknown type {kind}") from None

    def array(self, tensor: Any) -> Array:
        """The value of a constant, sizes checked before memory is taken."""
        name = tensor.name[:60]
        shape = tuple(int(size) for size in tensor.dims)
        if len(shape) > MAX_RANK or any(size < 0 for size in shape):
            raise self.error(f"constant {name!r} has shape {shape[:MAX_RANK]}")
        if math.prod(shape) > MAX_ELEMENTS:
            raise self.error(f"constant {name!r} has {math.prod(shape):,} values")
        if tensor.data_type == _STRING or tensor.HasField("segment"):
            raise self.error(f"constant {name!r} is not of numbers")
        if tensor.data_location == _EXTERNAL:
            return self.external(tensor, shape)
        held = len(tensor.raw_data) + sum(
            len(getattr(tensor, field))
            for field in ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")
        )
        if held < math.prod(shape) // 4:
            raise self.error(f"constant {name!r} is shorter than its shape {shape}")
        found = np.asarray(self.onnx.numpy_helper.to_array(tensor))
        return _plain(found, tensor.data_type)

    def external(self, tensor: Any, shape: tuple[int, ...]) -> Array:
        """A constant in a file of its own, which must lie beside the model."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        name, place = tensor.name[:60], entries.get("location", "")
        source = self.path.parent / place
        inside = place and Path(place).name == place and place not in (".", "..")
        if not inside or "\\" in place or "\0" in place:
            raise self.error(
                f"constant {name!r} lies outside of the model's folder",
                "save the model with its data beside it, or in one file",
            )
        try:
            state = source.lstat()
            if not stat.S_ISREG(state.st_mode):
                raise self.error(f"{place!r}, where constant {name!r} lies, is no plain file")
            dtype = np.dtype(self.onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
            if tensor.data_type in _PACKED:
                raise self.error(f"constant {name!r} has packed codes in a file of its own")
            offset = int(entries.get("offset", 0))
            needed = math.prod(shape) * dtype.itemsize
            self.left -= needed
            if self.left < 0 or not 0 <= offset <= state.st_size - needed:
                raise self.error(f"constant {name!r} is not whole in {place!r}")
            with source.open("rb") as file:
                file.seek(offset)
                data = file.read(needed)
        except OSError as error:
            raise self.error(
                f"{place!r}, where constant {name!r} lies, cannot be read: {describe(error)}",
                "keep the file of the data beside that of the model",
            ) from None
        return _plain(np.frombuffer(data, dtype).reshape(shape), tensor.data_type)

    def error(self, message: str, remedy: str | None = None) -> ModelError:
        return ModelError(message, where=str(self.path), remedy=remedy)


def _plain(array: Array, kind: int) -> Array:
    """Codes of few bits and short floats as types that NumPy computes with."""
    if kind in _PACKED:
        return array.astype(np.int8 if _PACKED[kind][1] else np.uint8)
    if array.dtype.kind not in "fiub":  # bfloat16 and float8, which ml_dtypes brings
        return array.astype(np.float32)
    return array


def _check_order(reading: _Reading, nodes: tuple[FileNode, ...], known: set[str]) -> None:
    """ONNX wants the nodes in order, and every name to be given once."""
    ready = {"", *known}
    for node in nodes:
        missing = [name for name in node.inputs if name not in ready]
        if missing:
            raise reading.error(f"{node} reads {missing[0][:60]!r}, which nothing has computed")
        for name in node.outputs:
            if name in ready and name:
                raise reading.error(f"{node} computes {name[:60]!r}, which is there already")
            ready.add(name)
