"""Records: what kernels that take sizes at run time are told of a layer, as C structs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tinyq.graph import Graph, Node
from tinyq.graph.accumulating import Accumulating
from tinyq.graph.epilogues import Epilogue
from tinyq.kernels.base import Bound
from tinyq.kernels.epilogues import EpilogueFunction
from tinyq.kernels.layer import split_inputs


@dataclass(frozen=True, slots=True)
class Record:
    """A constant C struct: its type's name, its own name, and fields (C type, name, value)."""

    type: str
    name: str
    fields: tuple[tuple[str, str, str], ...]


def make_records(
    graph: Graph, node: Node, bound: Bound, names: Mapping[str, str]
) -> tuple[Record, ...]:
    """The integers of a node and the constants of its epilogue, for a shared kernel."""
    finishing = node.op.output.geometry() if isinstance(node.op, Accumulating) else {}
    geometry = {
        key: value
        for key, value in node.op.geometry(*graph.types(node)).items()
        if key not in finishing
    }
    record = Record(
        f"tq_{bound.kernel.operation}_geometry",
        names[f"{node.name} geometry"],
        tuple(("int32_t ", key, str(value)) for key, value in geometry.items()),
    )
    return (record, *make_epilogue_records(node, bound.finisher, names))


def make_epilogue_records(
    node: Node, finisher: EpilogueFunction | None, names: Mapping[str, str]
) -> tuple[Record, ...]:
    """The constants of the epilogue's function, if it is called."""
    if not finisher or not isinstance(node.op, Accumulating):
        return ()
    _, constants = split_inputs(node)
    tables = zip(node.op.output.names, constants, strict=True)
    fields = (
        *(("const int32_t *", key, names[tensor]) for key, tensor in tables),
        *(("int32_t ", key, str(value)) for key, value in node.op.output.geometry().items()),
        *_list_arrays(node.op.output),
    )
    return (Record(finisher.struct, names[f"{node.name} output"], fields),)


def _list_arrays(output: Epilogue) -> Iterator[tuple[str, str, str]]:
    for key, values in output.arrays().items():
        yield "int8_t ", f"{key}[{len(values)}]", f"{{{', '.join(map(str, values))}}}"
