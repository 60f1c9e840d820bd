"""Calls: what the generated program does, node by node, ready to be written down."""

from __future__ import annotations

from collections import ChainMap, Counter
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace

from tinyq.codegen.places import locate
from tinyq.codegen.records import Record, make_epilogue_records, make_records
from tinyq.codegen.rows import Loop, PlacedMember, make_loop, place_members
from tinyq.errors import TinyqError
from tinyq.graph import Graph, Node, Tensor, TensorType
from tinyq.graph.interface import label_ports
from tinyq.kernels.base import Bound
from tinyq.kernels.ctext import identify
from tinyq.kernels.layer import split_inputs
from tinyq.kernels.packing.record import Table
from tinyq.kernels.text import write_kernel
from tinyq.memory.layout import find_views
from tinyq.memory.planner import MemoryPlan
from tinyq.memory.rows import Chain
from tinyq.selection.candidates import Bounds, arrange_constants


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
        members: For each layer of a chain: it, and where its operands and its output lie.
    """

    graph: Graph
    plan: MemoryPlan
    bounds: Bounds
    functions: Mapping[str, str]
    arranged: Mapping[str, Mapping[str, Tensor]]
    names: Mapping[str, str]
    members: Mapping[str, PlacedMember]

    def find_alone(self, node: Node) -> tuple[Graph, Node]:
        """What a node's kernel is bound to: some rows of it for a layer of a chain."""
        member = self.members.get(node.name)
        return (member.graph, member.graph.nodes[0]) if member else (self.graph, node)

    def find_operand(self, node: Node, position: int) -> str:
        """C expression for the address of an operand: a constant's name, or an activation's."""
        name = node.inputs[position]
        if self.graph.tensors[name].is_constant:
            return self.names[name]
        member = self.members.get(node.name)
        return member.places[position] if member else locate(self.plan, name)

    def find_output(self, node: Node) -> str:
        """C expression for the address of a node's output."""
        member = self.members.get(node.name)
        return member.places[-1] if member else locate(self.plan, node.output)


@dataclass(frozen=True, slots=True)
class Program:
    """What the program does.

    Attributes:
        calls: Of kernels, in execution order; those of a chain have the mark of the chain.
        loops: The loop in which the calls of each chain stand.
    """

    calls: tuple[Call, ...]
    loops: tuple[Loop, ...]


def list_calls(graph: Graph, plan: MemoryPlan, bounds: Bounds) -> Program:
    """What the program does.

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
        _name_all(graph, plan, arranged),
        place_members(plan),
    )
    read = {node.name: _read_constants(scope, node) for node in marked}
    readers = Counter(tensor.name for tensors in read.values() for tensor in tensors)
    marks = {
        node.name: index for index, layer in enumerate(mark_layers(graph, plan)) for node in layer
    }
    calls: list[Call] = []
    known: set[str] = set()
    for node in graph.nodes:
        if node.name not in marks:
            calls.append(Call(node, None, None, "", (), _describe(scope, node)))
            continue
        constants = tuple(
            _name_constant(scope, tensor, shared=readers[tensor.name] > 1)
            for tensor in read[node.name]
            if tensor.name not in known
        )
        known.update(constant.tensor.name for constant in constants)
        call = _call_shared if bounds[node.name].shared else _call_own
        calls.append(replace(call(scope, node, marks[node.name]), constants=constants))
    return Program(tuple(calls), tuple(_list_loops(scope, marks)))


def _list_loops(scope: _Scope, marks: Mapping[str, int]) -> Iterator[Loop]:
    for chain in scope.plan.chains:
        index = marks[chain.members[0].node.name]
        yield make_loop(scope.plan, chain, scope.names[_name_order(chain)], index)


def mark_layers(graph: Graph, plan: MemoryPlan) -> tuple[tuple[Node, ...], ...]:
    """`marked_nodes`, those of a chain together: they have one mark."""
    chained = {node.name: chain.name for chain in plan.chains for node in chain.nodes}
    layers: dict[tuple[str, bool], list[Node]] = {}
    for node in marked_nodes(graph):
        name = node.name
        layers.setdefault((chained.get(name, name), name in chained), []).append(node)
    return tuple(map(tuple, layers.values()))


def list_functions(graph: Graph) -> frozenset[str]:
    """Names of the functions that a program's header declares, some for each input and output."""
    ports = label_ports(graph).values()
    each = ("{}", "{}_input", "{}_output", "quantize_{}", "dequantize_{}", "argmax_{}")
    words = ["run", "invoke", "class", *(form.format(port) for form in each for port in ports)]
    return frozenset(f"{graph.name}_{word}" for word in words)


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
    records = make_records(*scope.find_alone(node), bound, local)
    arguments = (
        *_list_operands(scope, node, local),
        *(f"&{record.name}" for record in records),
        scope.find_output(node),
        *_locate_scratch(scope.plan, node, bound),
    )
    function = scope.functions[node.name]
    return Call(node, index, bound, function, arguments, _describe(scope, node), records=records)


def _call_own(scope: _Scope, node: Node, index: int) -> Call:
    """A kernel that was written for the layer."""
    bound = scope.bounds[node.name]
    stem = identify(scope.graph.name, [node.name])[node.name]
    tables = tuple(replace(table, name=f"{stem}_{table.name}") for table in bound.tables)
    records = make_epilogue_records(node, bound.finisher, scope.names)
    arguments = (
        *(scope.find_operand(node, position) for position in bound.layer.data),
        *(table.name for table in tables),
        *(f"&{record.name}" for record in records),
        scope.find_output(node),
        *_locate_scratch(scope.plan, node, bound),
    )
    comment, function = _describe(scope, node), scope.functions[node.name]
    return Call(node, index, bound, function, arguments, comment, records=records, tables=tables)


def _list_operands(scope: _Scope, node: Node, names: Mapping[str, str]) -> Iterator[str]:
    """Arguments for the operands: see `ctext.list_parameters`."""
    operands, _ = split_inputs(node)
    for position, name in enumerate(operands):
        kind = scope.graph.tensors[name].type
        yield names.get(name) or scope.find_operand(node, position)
        if kind.format.table:
            yield _find_table(scope.names, scope.graph.tensors[name])
        yield from map(str, kind.format.coding.sizes)


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
    graph: Graph, plan: MemoryPlan, arranged: Mapping[str, Mapping[str, Tensor]]
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
    orders = map(_name_order, plan.chains)
    names = [*constants, *records, *filter(None, tables), *orders]
    return identify(graph.name, names, list_functions(graph))


def _name_order(chain: Chain) -> str:
    """Name of the order of a chain."""
    return f"{chain.name} order"


def _find_table(names: Mapping[str, str], tensor: Tensor) -> str:
    """C name of the table of a constant, empty for one without."""
    return names[_name_table(tensor)] if tensor.type.format.table else ""


def _name_table(tensor: Tensor) -> str:
    """Name of the table of a constant, empty for one without."""
    table = tensor.type.format.table
    return f"{tensor.name} {table}" if table else ""


def _describe(scope: _Scope, node: Node) -> str:
    member, (graph, alone) = scope.members.get(node.name), scope.find_alone(node)
    operands, _ = split_inputs(node)
    inputs = ", ".join(str(graph.tensors[name].type) for name in operands)
    output = graph.tensors[node.output].type
    cost = graph.macs(alone)
    macs = f", {cost:,} MACs" if cost else ""
    where = member.where if member else _describe_place(scope.plan, node.output, output)
    return f"{node.name}: {node.op.kernel} {inputs} -> {output}{macs}, {where}"


def _describe_place(plan: MemoryPlan, name: str, output: TensorType) -> str:
    where, places = ("state", plan.held) if name in plan.held else ("arena", plan.offsets)
    first = places[name]
    return f"to {where} {first} .. {first + output.packed_bytes - 1}"
