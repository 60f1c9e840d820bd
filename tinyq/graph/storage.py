"""Integer graphs as files, and their digest.

A ``.tqg`` file is a zip archive with ``graph.json`` (names, types, operations) and one ``.npy``
file per constant. It holds no code, and loading it needs neither Keras nor TensorFlow.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_origin, get_type_hints

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Graph, Node, Op, State, Tensor, TensorType
from tinyq.graph.epilogues import Epilogue
from tinyq.graph.ops import EPILOGUES, OPERATIONS
from tinyq.graph.ops.window import Window
from tinyq.numerics.formats import Codes, Format, find_format
from tinyq.support import limits
from tinyq.support.documents import SCHEMAS

Record = TypeVar("Record")
VERSION = SCHEMAS["graph"]  # a key of its own, since digests are made of it
# Graphs of one input and one output, and of several without state, are still written as these.
_SINGLE, _SEVERAL = 1, 2
SUFFIX = ".tqg"
_NO_TABLE: Mapping[str, Any] = {"levels": [], "rows": [], "axis": 0, "group": 0}
_EPOCH = (1980, 1, 1, 0, 0, 0)
_REMEDY = "build the graph file again from its model"


def describe(graph: Graph) -> dict[str, Any]:
    """The graph without its constants' values, as plain JSON data."""
    return {
        "tinyq_graph": _number_version(graph),
        "name": graph.name,
        "inputs": list(graph.inputs),
        "outputs": list(graph.outputs),
        "tensors": [_describe_tensor(tensor) for tensor in graph.tensors.values()],
        "nodes": [
            {
                "name": node.name,
                "op": _describe_record(node.op),
                "inputs": list(node.inputs),
                "output": node.output,
            }
            for node in graph.nodes
        ],
        **_describe_states(graph),
    }


def _number_version(graph: Graph) -> int:
    """The oldest version that can say what the graph is, so that digests stay."""
    if graph.states:
        return VERSION
    return _SINGLE if len(graph.inputs) == len(graph.outputs) == 1 else _SEVERAL


def _describe_states(graph: Graph) -> dict[str, Any]:
    if not graph.states:
        return {}
    return {"states": [{"name": it.name, "next": it.next, "fill": it.fill} for it in graph.states]}


def digest(graph: Graph) -> str:
    """SHA-256 over structure and packed constants, hexadecimal; same graph, same digest."""
    state = hashlib.sha256(json.dumps(describe(graph), sort_keys=True).encode())
    for name, tensor in sorted(graph.tensors.items()):
        if tensor.codes is not None:
            state.update(name.encode() + b"\0")
            state.update(tensor.type.format.pack(tensor.codes).tobytes())
    for kept in graph.states:
        if kept.fill is None:
            state.update(kept.name.encode() + b"\0")
            state.update(graph.tensors[kept.name].type.format.pack(kept.first).tobytes())
    return state.hexdigest()


def save_graph(graph: Graph, path: Path) -> None:
    """Write a graph file; an existing file is replaced whole or not at all."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        _write_member(archive, "graph.json", json.dumps(describe(graph), indent=1).encode())
        for index, tensor in enumerate(graph.tensors.values()):
            if tensor.codes is not None:
                _write_codes(archive, f"{index}.npy", tensor.codes)
        for index, state in enumerate(graph.states):
            if state.fill is None:
                _write_codes(archive, f"state{index}.npy", state.first)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(buffer.getvalue())
    partial.replace(path)


def load_graph(path: Path) -> Graph:
    """Read a graph file.

    Raises:
        ModelError: The file is missing, damaged, of another version, or not a valid graph.
    """
    with limits.reading(path, "graph file", remedy=_REMEDY):
        with zipfile.ZipFile(path) as archive:
            limits.check_archive(archive, limits.GRAPH_BYTES + limits.JSON_BYTES)
            data = json.loads(limits.read_member(archive, "graph.json", limits.JSON_BYTES))
            version = data.get("tinyq_graph") if isinstance(data, dict) else None
            if type(version) is not int or not _SINGLE <= version <= VERSION:
                raise ModelError(
                    f"graph file version {version!r:.40}, this tinyq reads {_SINGLE} to {VERSION}",
                    remedy=_REMEDY,
                )
            graph = _restore(data, archive)
        graph.verify()
    return graph


def _write_member(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)


def _write_codes(archive: zipfile.ZipFile, name: str, codes: Codes) -> None:
    content = io.BytesIO()
    np.save(content, codes.astype("<i4"), allow_pickle=False)
    _write_member(archive, name, content.getvalue())


def _describe_tensor(tensor: Tensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": list(tensor.type.shape),
        "format": tensor.type.format.name,
        "scale": tensor.type.scale,
        "zero_point": tensor.type.zero_point,
        "constant": tensor.is_constant,
        **_describe_table(tensor.type.format),
    }


def _describe_table(number_format: Format) -> dict[str, Any]:
    """What a tensor's own format adds to the name; nothing for most formats."""
    if not number_format.table:
        return {}
    return {"table": {**_NO_TABLE, **dataclasses.asdict(number_format.coding)}}


def _restore_format(entry: Mapping[str, Any]) -> Format:
    number_format = find_format(entry["format"])
    table = entry.get("table")
    return _TABLES[number_format.table](number_format, table, tuple(entry["shape"]))


def _restore_scales(plain: Format, table: Mapping[str, Any], shape: tuple[int, ...]) -> Format:
    return plain.with_groups(table["group"], np.reshape(table["rows"], (*shape[:-1], -1)))


_TABLES: Mapping[str, Callable[[Format, Any, tuple[int, ...]], Format]] = {
    "": lambda plain, _table, _shape: plain,
    "levels": lambda plain, table, _: plain.with_levels(table["levels"]),
    "basis": lambda plain, table, _: plain.with_basis(table["rows"], table["axis"]),
    "scales": _restore_scales,
}


def _describe_record(record: Op | Epilogue | Window) -> dict[str, Any]:
    fields: dict[str, Any] = {"type": type(record).__name__}
    for field in dataclasses.fields(record):  # type: ignore[arg-type]  # all three are dataclasses
        value = getattr(record, field.name)
        nested = isinstance(value, (Op, Epilogue, Window))
        fields[field.name] = _describe_record(value) if nested else value
    return fields


_RECORDS: Mapping[str, type] = {**OPERATIONS, **EPILOGUES, "Window": Window}


def _restore_record(data: Mapping[str, Any]) -> Any:  # noqa: ANN401  # one of three families
    fields = {key: _restore_value(value) for key, value in data.items() if key != "type"}
    return _check_fields(_RECORDS[data["type"]](**fields))


def _restore_value(value: Any) -> Any:  # noqa: ANN401  # JSON data
    if isinstance(value, dict):
        return _restore_record(value)
    return tuple(value) if isinstance(value, list) else value


def _restore(data: Mapping[str, Any], archive: zipfile.ZipFile) -> Graph:
    tensors: dict[str, Tensor] = {}
    for index, entry in enumerate(data["tensors"]):
        tensor_type = TensorType(
            tuple(entry["shape"]),
            _restore_format(entry),
            entry["scale"],
            entry["zero_point"],
        )
        codes = None
        if _check(bool, entry["constant"]):
            name = f"{index}.npy"
            codes = _restore_codes(limits.read_member(archive, name, limits.GRAPH_BYTES))
        name = _check(str, entry["name"])
        if name in tensors:
            raise ModelError(f"tensor {name!r} is defined twice", remedy=_REMEDY)
        tensors[name] = Tensor(name, _check_fields(tensor_type), codes)
    nodes = tuple(
        _check_fields(
            Node(
                entry["name"], _restore_record(entry["op"]), tuple(entry["inputs"]), entry["output"]
            )
        )
        for entry in data["nodes"]
    )
    names = tuple[str, ...]
    return Graph(
        _check(str, data["name"]),
        _check(names, tuple(data["inputs"])),
        _check(names, tuple(data["outputs"])),
        tensors,
        nodes,
        tuple(_restore_state(*entry, archive) for entry in enumerate(data.get("states", ()))),
    )


def _restore_state(index: int, entry: Mapping[str, Any], archive: zipfile.ZipFile) -> State:
    if entry["fill"] is None:
        name = f"state{index}.npy"
        first = _restore_codes(limits.read_member(archive, name, limits.GRAPH_BYTES))
    else:
        first = np.array(_check(int, entry["fill"]), np.int32)
    return State(_check(str, entry["name"]), _check(str, entry["next"]), first)


def _restore_codes(content: bytes) -> Codes:
    codes = limits.read_array(content, limits.GRAPH_BYTES)
    if codes.dtype != np.dtype("<i4"):
        raise TypeError(f"a constant of type {codes.dtype}, expected int32")
    return np.asarray(codes, np.int32)


def _check_fields(record: Record) -> Record:
    """The record, once every field is of its annotated type: JSON could hold any other."""
    for name, hint in get_type_hints(type(record)).items():
        if get_origin(hint) is not ClassVar:
            _check(hint, getattr(record, name))
    return record


def _check(hint: Any, value: Any) -> Any:  # noqa: ANN401  # any type, and a value of it
    if not isinstance(hint, type) or not dataclasses.is_dataclass(hint):
        return _make_check(hint)(value)
    if not isinstance(value, hint):
        raise TypeError(f"{value!r} is no {hint.__name__}")
    return value


@functools.cache
def _make_check(hint: Any) -> Callable[[Any], Any]:  # noqa: ANN401  # any type
    from pydantic import ConfigDict, TypeAdapter

    config = ConfigDict(strict=True, arbitrary_types_allowed=True, allow_inf_nan=False)
    return TypeAdapter(hint, config=config).validate_python
