"""Calls: what the generated program does, node by node, ready to be written down."""

from __future__ import annotations

from collections import ChainMap, Counter
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace

from tinyq.errors import TinyqError
from tinyq.graph import Graph, Node, Tensor, TensorType
from tinyq.graph.accumulating import Accumulating
from tinyq.graph.epilogues import Epilogue
from tinyq.kernels.base import Bound
from tinyq.kernels.ctext import identify
from tinyq.kernels.epilogues import EpilogueFunction
from tinyq.kernels.layer import split_inputs
from tinyq.kernels.packing.record import Table
from tinyq.kernels.text import write_kernel
from tinyq.memory.layout import find_views
from tinyq.memory.planner import MemoryPlan
from tinyq.selection.candidates import Bounds, arrange_constants


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
        bound: The kernel to call, None without an index.
        function: Its C name.
        arguments: C expressions.
        comment: Formats, shapes, cost and place.
        constants: Constants that no earlier call has brought along.
        records: Structs that the call passes.
        tables: Constants arranged for the kernel, under their C names.
    """

    node: Node
    index: int | None
    bound: Bound | None
    function: str
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


@dataclass(frozen=True, slots=True)
class _Scope:
    """What the calls of a program refer to.

    Attributes:
        graph: The graph.
        plan: Its memory plan.
        bounds: The kernel of each node.
        functions: C name of each node's kernel.
        arranged: Constants of each node that take the place of the graph's.
        names: C names of constants and records.
    """

    graph: Graph
    plan: MemoryPlan
    bounds: Bounds
    functions: Mapping[str, str]
    arranged: Mapping[str, Mapping[str, Tensor]]
    names: Mapping[str, str]


def list_calls(graph: Graph, plan: MemoryPlan, bounds: Bounds) -> tuple[Call, ...]:
    """What the program does, in order.

    Args:
        graph: A verified graph.
        plan: Its memory plan, with room for what the kernels need.
        bounds: The kernel of each node that needs one.

    Raises:
        TinyqError: A node has no kernel, or the plan has no room for one.
    """
    marked = marked_nodes(graph)
    _check_all(marked, bounds)
    arranged = {node.name: arrange_constants(graph, node, bounds[node.name]) for node in marked}
    scope = _Scope(
        graph,
        plan,
        bounds,
        number_functions({node.name: bounds[node.name] for node in marked}),
        arranged,
        _name_all(graph, arranged),
    )
    read = {node.name: _read_constants(scope, node) for node in marked}
    readers = Counter(tensor.name for tensors in read.values() for tensor in tensors)
    marks = {node.name: index for index, node in enumerate(marked)}
    calls: list[Call] = []
    known: set[str] = set()
    for node in graph.nodes:
        if node.name not in marks:
            calls.append(Call(node, None, None, "", (), _describe(graph, plan, node)))
            continue
        constants = tuple(
            _name_constant(scope, tensor, shared=readers[tensor.name] > 1)
            for tensor in read[node.name]
            if tensor.name not in known
        )
        known.update(constant.tensor.name for constant in constants)
        call = _call_shared if bounds[node.name].shared else _call_own
        calls.append(replace(call(scope, node, marks[node.name]), constants=constants))
    return tuple(calls)


def number_functions(bounds: Bounds) -> dict[str, str]:
    """C names of kernels; those of one layer are numbered, and the same text has one name."""
    names: dict[str, str] = {}
    counts: Counter[str] = Counter()
    numbered = {}
    for key, bound in bounds.items():
        function = bound.function
        if bound.shared:
            numbered[key] = function
            continue
        text = write_kernel(bound, f"{function}_", lambda _: True)
        if text not in names:
            counts[function] += 1
            names[text] = f"{function}_{counts[function]}"
        numbered[key] = names[text]
    return numbered


def _check_all(nodes: Sequence[Node], bounds: Bounds) -> None:
    missing = [node.name for node in nodes if node.name not in bounds]
    if missing:
        raise TinyqError(
            "no kernel was selected",
            where=missing[0],
            remedy="select kernels for this graph, after its last pass",
        )


def _name_constant(scope: _Scope, tensor: Tensor, *, shared: bool) -> Constant:
    return Constant(scope.names[tensor.name], tensor, _find_table(scope.names, tensor), shared)


def _read_constants(scope: _Scope, node: Node) -> tuple[Tensor, ...]:
    """The constants that a call reads, as they are arranged for it, each once."""
    bound, read = scope.bounds[node.name], node.inputs
    if not bound.shared:
        operands, finishing = split_inputs(node)
        data = tuple(operands[index] for index in bound.layer.data)
        read = (*data, *(finishing if bound.calls_epilogue else ()))
    arranged = scope.arranged[node.name]
    tensors = (arranged.get(it.name, it) for it in scope.graph.constants(node) if it.name in read)
    return tuple({tensor.name: tensor for tensor in tensors}.values())


def _call_shared(scope: _Scope, node: Node, index: int) -> Call:
    """A kernel that takes sizes at run time."""
    bound = scope.bounds[node.name]
    arranged = {key: scope.names[it.name] for key, it in scope.arranged[node.name].items()}
    local = ChainMap(arranged, dict(scope.names))
    records = _make_records(scope.graph, node, bound, local)
    arguments = (
        *_list_arguments(scope.graph, scope.plan, node, local, records),
        *_locate_scratch(scope.plan, node, bound),
    )
    comment = _describe(scope.graph, scope.plan, node)
    function = scope.functions[node.name]
    return Call(node, index, bound, function, arguments, comment, records=records)


def _call_own(scope: _Scope, node: Node, index: int) -> Call:
    """A kernel that was written for the layer."""
    graph, plan, bound = scope.graph, scope.plan, scope.bounds[node.name]
    stem = identify(graph.name, [node.name])[node.name]
    tables = tuple(replace(table, name=f"{stem}_{table.name}") for table in bound.tables)
    operands, _ = split_inputs(node)
    records = _make_epilogue_records(node, bound.finisher, scope.names)
    arguments = (
        *(_find_operand(graph, plan, scope.names, operands[it]) for it in bound.layer.data),
        *(table.name for table in tables),
        *(f"&{record.name}" for record in records),
        locate(plan, node.output),
        *_locate_scratch(plan, node, bound),
    )
    comment, function = _describe(graph, plan, node), scope.functions[node.name]
    return Call(node, index, bound, function, arguments, comment, records=records, tables=tables)


def _find_operand(graph: Graph, plan: MemoryPlan, names: Mapping[str, str], name: str) -> str:
    """C expression for the address of an operand: a constant's name, or an activation's place."""
    return names[name] if graph.tensors[name].is_constant else locate(plan, name)


def locate(plan: MemoryPlan, name: str) -> str:
    """C expression for the address of an activation."""
    if name in plan.held:
        return f"TQ_STATE({plan.held[name]})"
    return f"TQ_ARENA({plan.offsets[name]})" if name in plan.offsets else plan.buffers[name]


def _locate_scratch(plan: MemoryPlan, node: Node, bound: Bound) -> tuple[str, ...]:
    """The room that a kernel asks for, as an argument; a plan without that room is a fault."""
    if bound.scratch_bytes == 0:
        return ("0",) if bound.scratch_parameter else ()
    offset, size = plan.scratch.get(node.name, (0, 0))
    if size < bound.scratch_bytes:
        raise TinyqError(
            f"the plan has {size} bytes of scratch, {bound.function} needs {bound.scratch_bytes}",
            where=node.name,
            remedy="plan with plan_kernels and the same kernels",
        )
    return (f"TQ_ARENA({offset})",)


def _name_all(
    graph: Graph, arranged: Mapping[str, Mapping[str, Tensor]]
) -> MutableMapping[str, str]:
    replaced = {name for found in arranged.values() for name in found}
    kept = {
        tensor.name
        for node in marked_nodes(graph)
        for tensor in graph.constants(node)
        if tensor.name not in arranged[node.name]
    }
    constants = [
        name
        for name, tensor in graph.tensors.items()
        if tensor.is_constant and (name in kept or name not in replaced)
    ]
    constants += [tensor.name for found in arranged.values() for tensor in found.values()]
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
    graph: Graph, node: Node, bound: Bound, names: Mapping[str, str]
) -> tuple[Record, ...]:
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
    return (record, *_make_epilogue_records(node, bound.finisher, names))


def _make_epilogue_records(
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
        locate(plan, node.output),
    )


def _pass(plan: MemoryPlan, names: Mapping[str, str], tensor: Tensor) -> Iterator[str]:
    """Arguments for an operand: see `ctext.list_parameters`."""
    yield names.get(tensor.name) or locate(plan, tensor.name)
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
    if name not in plan.offsets and name not in plan.held:
        return f"to {plan.buffers[name]}"
    where, first = "arena", plan.offsets.get(name, 0)
    if name in plan.held:
        where, first = "state", plan.held[name]
    return f"to {where} {first} .. {first + output.packed_bytes - 1}"
