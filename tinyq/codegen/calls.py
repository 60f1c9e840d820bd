"""Calls: what the generated program does, node by node, ready to be written down."""

from __future__ import annotations

from collections import ChainMap, Counter
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from tinyq.codegen.ctext import identify
from tinyq.codegen.layouts import Table
from tinyq.codegen.special import write_special
from tinyq.codegen.variants import Function, Variant, select_variant, split_inputs
from tinyq.errors import TinyqError
from tinyq.graph import Graph, Node, Tensor, TensorType
from tinyq.graph.epilogues import Accumulating, Output
from tinyq.memory.planner import MemoryPlan, find_views


@dataclass(frozen=True, slots=True)
class Record:
    """A constant C struct: its type's name, its own name, and fields (C type, name, value)."""

    type: str
    name: str
    fields: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant tensor under its C name.

    Attributes:
        name: Of the packed codes.
        tensor: Its type and codes.
        table: C name of the table of its format, empty for a format without.
        shared: Whether several calls read it.
    """

    name: str
    tensor: Tensor
    table: str = ""
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One line of the generated program.

    Attributes:
        node: What is computed.
        index: Number of the layer mark, or None where the output is the input's bytes.
        function: The kernel to call, None without an index.
        arguments: C expressions.
        comment: Formats, shapes, cost and place.
        constants: Constants that no earlier call has brought along.
        records: Structs that the call passes.
        tables: Constants arranged for the kernel, under their C names.
    """

    node: Node
    index: int | None
    function: Function | None
    arguments: tuple[str, ...]
    comment: str
    constants: tuple[Constant, ...] = ()
    records: tuple[Record, ...] = ()
    tables: tuple[Table, ...] = ()


def marked_nodes(graph: Graph) -> tuple[Node, ...]:
    """The nodes that cost anything, in the order of their layer marks.

    Mark ``i`` stands before the call of ``marked_nodes(graph)[i]``, and one more stands behind
    the last call. A reshape whose output is its input's bytes is no call and has no mark.
    """
    views = find_views(graph)
    return tuple(node for node in graph.nodes if node.name not in views)


def list_calls(
    graph: Graph,
    plan: MemoryPlan,
    isas: Sequence[str],
    overrides: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Call, ...]:
    """What the program does, in order.

    Raises:
        TinyqError: A node has no kernel or no output stage, or the plan has no room for one.
    """
    variants = number_functions(
        {
            node.name: select_variant(graph, node, isas, overrides.get(node.name))
            for node in marked_nodes(graph)
        }
    )
    names = _name_all(graph, variants)
    calls: list[Call] = []
    known: set[str] = set()
    marks = {node.name: index for index, node in enumerate(marked_nodes(graph))}
    readers = Counter(
        tensor.name
        for node in marked_nodes(graph)
        for tensor in _read_constants(graph, node, variants[node.name])
    )
    for node in graph.nodes:
        if node.name not in marks:
            calls.append(Call(node, None, None, (), _describe(graph, plan, node)))
            continue
        variant = variants[node.name]
        constants = tuple(
            Constant(
                names[tensor.name],
                tensor,
                _find_table(names, tensor),
                readers[tensor.name] > 1,
            )
            for tensor in _read_constants(graph, node, variant)
            if tensor.name not in known
        )
        known.update(constant.tensor.name for constant in constants)
        if variant.function.special:
            call = _call_special(graph, plan, node, marks[node.name], variant, names)
            calls.append(replace(call, constants=constants))
            continue
        arranged = {name: names[tensor.name] for name, tensor in variant.constants.items()}
        local = ChainMap(arranged, names)
        records = _make_records(graph, node, variant.function, local)
        calls.append(
            Call(
                node,
                marks[node.name],
                variant.function,
                (
                    *_list_arguments(graph, plan, node, local, records),
                    *_locate_scratch(plan, node, variant),
                ),
                _describe(graph, plan, node),
                constants,
                records,
            )
        )
    return tuple(calls)


def _read_constants(graph: Graph, node: Node, variant: Variant) -> tuple[Tensor, ...]:
    """The constants that a call reads, as they are arranged for it, each once."""
    special = variant.function.special
    read = node.inputs
    if special:
        operands, finishing = split_inputs(node)
        data = tuple(operands[index] for index in special.facts.data)
        read = (*data, *(finishing if special.arrangement.staged else ()))
    tensors = (
        variant.constants.get(it.name, it) for it in graph.constants(node) if it.name in read
    )
    return tuple({tensor.name: tensor for tensor in tensors}.values())


def number_functions(variants: Mapping[str, Variant]) -> dict[str, Variant]:
    """Names of special kernels, numbered by first use; nodes with the same text share one."""
    names: dict[str, str] = {}
    counts: Counter[str] = Counter()
    numbered = {}
    for key, variant in variants.items():
        function = variant.function
        if function.special:
            text = write_special(function.special, f"{function.name}_", lambda _: True)
            if text not in names:
                counts[function.name] += 1
                names[text] = f"{function.name}_{counts[function.name]}"
            variant = replace(variant, function=replace(function, name=names[text]))
        numbered[key] = variant
    return numbered


def _call_special(
    graph: Graph,
    plan: MemoryPlan,
    node: Node,
    index: int,
    variant: Variant,
    names: Mapping[str, str],
) -> Call:
    special = variant.function.special
    assert special is not None
    stem = identify(graph.name, [node.name])[node.name]
    tables = tuple(
        replace(table, name=f"{stem}_{table.name}") for table in special.arrangement.tables
    )
    operands, _ = split_inputs(node)
    staged = special.arrangement.staged
    records = _make_stage_records(graph, node, variant.function, names) if staged else ()
    arguments = (
        *(_find_operand(graph, plan, names, operands[index]) for index in special.facts.data),
        *(table.name for table in tables),
        *(f"&{record.name}" for record in records),
        _locate(plan, node.output),
        *_locate_scratch(plan, node, variant),
    )
    comment = _describe(graph, plan, node)
    return Call(node, index, variant.function, arguments, comment, records=records, tables=tables)


def _find_operand(graph: Graph, plan: MemoryPlan, names: Mapping[str, str], name: str) -> str:
    """C expression for the address of an operand: a constant's name, or an activation's place."""
    return names[name] if graph.tensors[name].is_constant else _locate(plan, name)


def _locate(plan: MemoryPlan, name: str) -> str:
    """C expression for the address of an activation."""
    return f"TQ_ARENA({plan.offsets[name]})" if name in plan.offsets else plan.buffers[name]


def _locate_scratch(plan: MemoryPlan, node: Node, variant: Variant) -> tuple[str, ...]:
    """The room that a kernel asks for, as an argument; a plan without that room is a fault."""
    if variant.scratch_bytes is None:
        return ()
    if variant.scratch_bytes == 0:
        return ("0",)
    offset, size = plan.scratch.get(node.name, (0, 0))
    if size < variant.scratch_bytes:
        raise TinyqError(
            f"the plan has {size} bytes of scratch, {variant.function.name} needs "
            f"{variant.scratch_bytes}",
            where=node.name,
            remedy="plan with measure_scratch of the same instruction sets",
        )
    return (f"TQ_ARENA({offset})",)


def _name_all(graph: Graph, variants: Mapping[str, Variant]) -> MutableMapping[str, str]:
    replaced = {name for variant in variants.values() for name in variant.constants}
    kept = {
        tensor.name
        for node in marked_nodes(graph)
        for tensor in graph.constants(node)
        if tensor.name not in variants[node.name].constants
    }
    constants = [
        name
        for name, tensor in graph.tensors.items()
        if tensor.is_constant and (name in kept or name not in replaced)
    ]
    constants += [
        tensor.name for variant in variants.values() for tensor in variant.constants.values()
    ]
    records = [f"{node.name} {part}" for node in graph.nodes for part in ("geometry", "output")]
    tables = [_name_table(graph.tensors[name]) for name in constants if name in kept]
    return identify(graph.name, [*constants, *records, *filter(None, tables)])


def _find_table(names: Mapping[str, str], tensor: Tensor) -> str:
    """C name of the table of a constant, empty for one without."""
    return names[_name_table(tensor)] if tensor.type.format.table else ""


def _name_table(tensor: Tensor) -> str:
    """Name of the table of a constant, empty for one without."""
    table = tensor.type.format.table
    return f"{tensor.name} {table}" if table else ""


def _make_records(
    graph: Graph, node: Node, function: Function, names: Mapping[str, str]
) -> tuple[Record, ...]:
    finishing = node.op.output.geometry() if isinstance(node.op, Accumulating) else {}
    geometry = {
        key: value
        for key, value in node.op.geometry(*graph.types(node)).items()
        if key not in finishing
    }
    record = Record(
        f"tq_{function.kernel.operation}_geometry",
        names[f"{node.name} geometry"],
        tuple(("int32_t ", key, str(value)) for key, value in geometry.items()),
    )
    return (record, *_make_stage_records(graph, node, function, names))


def _make_stage_records(
    graph: Graph, node: Node, function: Function, names: Mapping[str, str]
) -> tuple[Record, ...]:
    """The constants of the output stage, if there is one."""
    if not function.stage or not isinstance(node.op, Accumulating):
        return ()
    _, constants = split_inputs(node)
    tables = zip(node.op.output.names, constants, strict=True)
    fields = (
        *(("const int32_t *", key, names[tensor]) for key, tensor in tables),
        *(("int32_t ", key, str(value)) for key, value in node.op.output.geometry().items()),
        *_list_arrays(node.op.output),
    )
    return (Record(function.stage.type, names[f"{node.name} output"], fields),)


def _list_arrays(output: Output) -> Iterator[tuple[str, str, str]]:
    for key, values in output.arrays().items():
        yield "int8_t ", f"{key}[{len(values)}]", f"{{{', '.join(map(str, values))}}}"


def _list_arguments(
    graph: Graph,
    plan: MemoryPlan,
    node: Node,
    names: Mapping[str, str],
    records: tuple[Record, ...],
) -> tuple[str, ...]:
    operands, _ = split_inputs(node)
    tensors = [graph.tensors[name] for name in operands]
    return (
        *(argument for tensor in tensors for argument in _pass(plan, names, tensor)),
        *(f"&{record.name}" for record in records),
        _locate(plan, node.output),
    )


def _pass(plan: MemoryPlan, names: Mapping[str, str], tensor: Tensor) -> Iterator[str]:
    """Arguments for an operand: see `ctext.list_parameters`."""
    yield names.get(tensor.name) or _locate(plan, tensor.name)
    if tensor.type.format.table:
        yield _find_table(names, tensor)
    yield from map(str, tensor.type.format.coding.sizes)


def _describe(graph: Graph, plan: MemoryPlan, node: Node) -> str:
    operands, _ = split_inputs(node)
    inputs = ", ".join(str(graph.tensors[name].type) for name in operands)
    output = graph.tensors[node.output].type
    cost = graph.macs(node)
    macs = f", {cost:,} MACs" if cost else ""
    where = _describe_place(plan, node.output, output)
    return f"{node.name}: {node.op.kernel} {inputs} -> {output}{macs}, {where}"


def _describe_place(plan: MemoryPlan, name: str, output: TensorType) -> str:
    if name not in plan.offsets:
        return f"to {plan.buffers[name]}"
    first = plan.offsets[name]
    return f"to arena {first} .. {first + output.packed_bytes - 1}"
