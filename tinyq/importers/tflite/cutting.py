"""The operators of a .tflite file between named tensors."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinyq.errors import ModelError
from tinyq.graph.cutting import Cut, explain_dependence, explain_unknown, explain_unused

_INT8 = 9  # in TFLite's list of types


@dataclass(frozen=True, slots=True)
class Link:
    """What an operator reads and writes, and the name that its node has in a graph."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FilePart:
    """Indexes of the inputs and outputs of a part, and of its operators in their order."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[int, ...]


def cut_operators(
    cut: Cut,
    path: str,
    links: Sequence[Link],
    tensors: Sequence[str],
    ends: tuple[tuple[int, ...], tuple[int, ...]],
) -> FilePart:
    """Find a part of a file.

    Args:
        cut: Where to cut.
        path: The file, for messages.
        links: Its operators.
        tensors: Names of its tensors.
        ends: Its own inputs and outputs.

    Raises:
        ModelError: There is no such tensor, it is not unique, an output needs more than the inputs,
            or an input is not needed.
    """
    known = _list_names(links, tensors, ends[0])
    stops = tuple(_find(name, known, path) for name in cut.inputs)
    outputs = tuple(_find(name, known, path) for name in cut.outputs) or ends[1]
    producers = {index: place for place, link in enumerate(links) for index in link.outputs}
    kept: set[int] = set()
    reached: set[int] = set()
    left = list(outputs)
    while left:
        index = left.pop()
        place = producers.get(index)
        if index in stops or place is None:
            reached.add(index)
        elif place not in kept:
            kept.add(place)
            left += [it for it in links[place].inputs if it >= 0]
    missing = [index for index in ends[0] if index in reached and index not in stops]
    if stops and missing:
        raise explain_dependence(tensors[missing[0]], path)
    for name, index in zip(cut.inputs, stops, strict=True):
        if index not in reached:
            raise explain_unused(name, path)
    inputs = stops or tuple(missing)
    if not inputs or not kept:
        raise ModelError(
            "there is nothing between the inputs and the outputs",
            where=path,
            remedy="name outputs that are computed from the inputs",
        )
    return FilePart(inputs, outputs, tuple(sorted(kept)))


def _list_names(
    links: Sequence[Link], tensors: Sequence[str], inputs: Sequence[int]
) -> dict[str, list[int]]:
    """Tensors by their names, by those of the operators that compute them, and by their index."""
    found: dict[str, list[int]] = {}
    data = [*inputs, *(index for link in links for index in link.outputs)]
    for index in dict.fromkeys(data):
        found.setdefault(tensors[index], []).append(index)
    for link in links:
        if link.outputs:
            found.setdefault(link.name, [link.outputs[0]])
    for index in data:
        found.setdefault(str(index), [index])
    return found


def _find(name: str, known: Mapping[str, list[int]], path: str) -> int:
    places = known.get(name)
    if places is None:
        names = [it for it in known if not it.isdecimal()]
        raise explain_unknown(name, names, path)
    if len(places) > 1:
        raise ModelError(
            f"{len(places)} tensors have the name {name!r}",
            where=path,
            remedy=f"give the index of one in its place: {', '.join(map(str, places))}",
        )
    return places[0]


def write_part(content: bytes, part: FilePart) -> bytes:
    """A .tflite file of a part alone, for an interpreter; its tensors keep their indexes.

    Raises:
        ImportError: LiteRT, which has the classes to write files, is not installed.
    """
    flatbuffers = importlib.import_module("flatbuffers")
    schema = importlib.import_module("ai_edge_litert.schema_py_generated")
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    graph.operators = [graph.operators[index] for index in part.operators]
    graph.inputs, graph.outputs = list(part.inputs), list(part.outputs)
    touched = {*part.inputs, *part.outputs}
    for operator in graph.operators:
        touched.update((*operator.inputs, *operator.outputs, *(operator.intermediates or ())))
    for index in {*range(len(graph.tensors))} - touched:
        graph.tensors[index] = _blank(schema, index)
    used = sorted({operator.opcodeIndex for operator in graph.operators})
    model.operatorCodes = [model.operatorCodes[index] for index in used]
    for operator in graph.operators:
        operator.opcodeIndex = used.index(operator.opcodeIndex)
    model.subgraphs, model.signatureDefs = [graph], []
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _blank(schema: Any, index: int) -> Any:
    """A tensor that nothing reads or writes: what was there may be none that LiteRT takes."""
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type = f"unused_{index}".encode(), [1], _INT8
    tensor.buffer = 0
    return tensor
