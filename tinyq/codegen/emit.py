"""Sources of a model: the graph and the plan go in, C text comes out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any

from tinyq import __version__
from tinyq.codegen.calls import Call, Program, list_calls
from tinyq.codegen.records import Record
from tinyq.codegen.rows import Loop
from tinyq.codegen.states import list_copies, list_fillings, list_first_values
from tinyq.errors import ModelError
from tinyq.graph import Graph, TensorType
from tinyq.graph.interface import WORD_BYTES, label_ports
from tinyq.graph.storage import digest
from tinyq.kernels.base import Bound
from tinyq.kernels.environment import make_environment
from tinyq.kernels.text import make_once, write_epilogue, write_kernel
from tinyq.memory.planner import MemoryPlan
from tinyq.selection.candidates import Bounds, select_kernels
from tinyq.support.resources import TEMPLATES

_BYTE_BITS = 8
_FILES = {
    "{name}.h": "model/model.h.j2",
    "{stem}.c": "model/model.c.j2",
    "{stem}_weights.h": "model/model_weights.h.j2",
    "{stem}_kernels.h": "model/model_kernels.h.j2",
    "tq_model_instance.c": "model/tq_model_instance.c.j2",
}


@dataclass(frozen=True, slots=True)
class Variant:
    """One of several instruction sets that the sources of a model are for.

    Attributes:
        isa: Its name, part of the names of its files.
        condition: What the preprocessor is asked; the last variant is for what no other fits.
        arena_bytes: Size of its arena.
    """

    isa: str
    condition: str
    arena_bytes: int


@dataclass(frozen=True, slots=True)
class SourceTree:
    """Generated sources.

    Attributes:
        files: Text of each file by its path in the tree.
        name: The model's name: prefix of the public C names.
        digest: SHA-256 of the graph, hexadecimal.
    """

    files: Mapping[PurePath, str]
    name: str
    digest: str


def emit(
    graph: Graph,
    plan: MemoryPlan,
    bounds: Bounds | None = None,
    variant: Variant | None = None,
    variants: Sequence[Variant] = (),
    classes: Sequence[str] = (),
) -> SourceTree:
    """Write a graph down as C.

    Args:
        graph: A verified graph.
        plan: Its memory plan.
        bounds: The kernel of each node that needs one, those that the plan was made for; the
            generic ones where it is None.
        variant: For which instruction set of several, whose sources lie beside these.
        variants: All of them.
        classes: Names of what the elements of the output's last axis stand for.

    Returns:
        ``NAME.h`` (the interface), ``NAME.c`` (the program), ``NAME_weights.h``,
        ``NAME_kernels.h``, the runtime headers, and ``tq_model_instance.c`` for the firmware.
        The text depends on the arguments alone.

    Raises:
        TinyqError: The name is no C identifier, or a node has no kernel.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", graph.name):
        raise ModelError(
            f"the graph's name {graph.name!r} cannot begin C names",
            where=graph.name,
            remedy="name the model with letters a to z, digits and underscores",
        )
    environment = make_environment()
    program = list_calls(graph, plan, select_kernels(graph) if bounds is None else bounds)
    stem = f"{graph.name}_{variant.isa}" if variant else graph.name
    values = {
        **_collect(graph, plan, program),
        "stem": stem,
        "variant": variant,
        "variants": variants,
        "classes": classes,
    }
    files = {
        PurePath(pattern.format(name=graph.name, stem=stem)): environment.get_template(
            template
        ).render(values)
        for pattern, template in _FILES.items()
    }
    for path in list_runtime():
        files[PurePath(path.name)] = path.read_text("utf-8")
    return SourceTree(MappingProxyType(files), graph.name, digest(graph))


def list_runtime() -> list[Path]:
    """The C headers that kernels may use; they go with the sources as they are."""
    return sorted((TEMPLATES / "runtime").glob("*.h"))


def _collect(graph: Graph, plan: MemoryPlan, program: Program) -> dict[str, Any]:
    calls = program.calls
    functions = {call.function: call.bound for call in calls if call.bound}
    epilogues = {it.finisher.name: it.finisher for it in functions.values() if it.finisher}
    structs = {record.type: record for call in calls for record in call.records}
    return {
        "name": graph.name,
        "macro": graph.name.upper(),
        "version": __version__,
        "digest": digest(graph),
        "needs": sorted({it.kernel.isa for it in functions.values() if not it.shared}),
        "runtime": [path.name for path in list_runtime()],
        "graph": graph,
        "plan": plan,
        "calls": calls,
        "steps": _list_steps(program),
        "loops": program.loops,
        "fills": any(name == "tq_pad" for name in _list_functions(program.loops)),
        "chooses": any("tq_least" in name for name in _list_functions(program.loops)),
        "marks": len({call.index for call in calls} - {None}),
        "macs": sum(graph.macs(node) for node in graph.nodes),
        "constant_bytes": sum(_count_constant_bytes(call) for call in calls),
        **_describe_ports(graph, plan),
        "fillings": list_fillings(graph, plan),
        "first_values": list_first_values(graph, plan),
        "copies": list_copies(graph, plan),
        "structs": [_declare(record) for _, record in sorted(structs.items())],
        "epilogues": [write_epilogue(entry) for _, entry in sorted(epilogues.items())],
        "functions": _write_all(functions),
    }


def _list_steps(program: Program) -> list[dict[str, Any]]:
    """Calls that stand alone, and loops with theirs by layer."""
    loops = {layer: loop for loop in program.loops for layer in loop.layers}
    steps: list[dict[str, Any]] = []
    for call in program.calls:
        loop = loops.get(call.node.name)
        if loop is None:
            steps.append({"call": call, "loop": None})
        elif steps and steps[-1]["loop"] is loop:
            steps[-1]["calls"][call.node.name] = call
        else:
            steps.append({"call": None, "loop": loop, "calls": {call.node.name: call}})
    return steps


def _list_functions(loops: Sequence[Loop]) -> list[str]:
    """What the statements of loops call, or their texts."""
    return [name for loop in loops for case in loop.cases for name, _ in case.statements]


def _write_all(functions: Mapping[str, Bound]) -> list[str]:
    once = make_once()
    return [write_kernel(bound, name, once) for name, bound in sorted(functions.items())]


def _count_constant_bytes(call: Call) -> int:
    tensors = sum(constant.tensor.type.packed_bytes for constant in call.constants)
    return tensors + sum(table.words.nbytes for table in call.tables)


def _describe_ports(graph: Graph, plan: MemoryPlan) -> dict[str, Any]:
    """Inputs and outputs, the parameters of the function, and what the firmware hands over at once.

    On the wire the inputs of a sample stand one behind the other, each from a multiple of 4 bytes
    on, and so do the outputs.
    """
    labels = label_ports(graph)
    sides = {}
    for side, names in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        start, described = 0, []
        for name in names:
            tensor_type = graph.tensors[name].type
            described.append(_describe_buffer(name, labels[name], tensor_type, start))
            described[-1]["offset"] = plan.offsets[name]
            start = described[-1]["end"]
        sides[side] = described
    inputs = [f"const {it['c_type']} {it['label']}[{it['words']}]" for it in sides["inputs"]]
    outputs = [f"{it['c_type']} {it['label']}[{it['words']}]" for it in sides["outputs"]]
    given = [f"(const void *)(from + {it['start']})" for it in sides["inputs"]]
    taken = [f"(void *)(to + {it['start']})" for it in sides["outputs"]]
    return {
        **sides,
        "parameters": [*inputs, *outputs],
        "labels": [it["label"] for it in (*sides["inputs"], *sides["outputs"])],
        "handed": [*given, *taken],
        "single": len(graph.inputs) == len(graph.outputs) == 1,
    }


def _describe_buffer(name: str, label: str, tensor_type: TensorType, start: int) -> dict[str, Any]:
    number_format = tensor_type.format
    return {
        "name": name,
        "label": label,
        "start": start,
        "end": start + -(-tensor_type.packed_bytes // WORD_BYTES) * WORD_BYTES,
        "type": tensor_type,
        "format": number_format,
        "c_type": number_format.c_type,
        "words": tensor_type.words,
        # Whether codes are elements of an array, so that C can handle one.
        "plain": number_format.bits >= _BYTE_BITS,
        "scale": None if tensor_type.scale is None else f"{float(tensor_type.scale)!r}f",
        "bytes": tensor_type.packed_bytes,
        "row_length": (tensor_type.shape or (1,))[-1],
        "row_words": number_format.row_bytes((tensor_type.shape or (1,))[-1])
        // number_format.word_bytes,
    }


def _declare(record: Record) -> dict[str, Any]:
    return {"name": record.type, "fields": [f"{kind}{name}" for kind, name, _ in record.fields]}
