"""Candidates: the kernels that can compute each node, each bound to it once, with what it costs.

What is bound here is what the memory plan, the calls and the text are made from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from tinyq.errors import TinyqError
from tinyq.graph import Graph, Node, Tensor, TensorType
from tinyq.graph.accumulating import Accumulating
from tinyq.kernels.base import Bound, Kernel, Refusal
from tinyq.kernels.epilogues import EpilogueFunction, find_epilogue
from tinyq.kernels.layer import describe_layer, name_formats
from tinyq.kernels.registry import list_kernels
from tinyq.kernels.text import UNPACKED
from tinyq.kernels.unpacking import UNPACKINGS, unpack_for
from tinyq.memory.layout import find_views
from tinyq.memory.planner import MemoryPlan, measure_needs, plan
from tinyq.memory.rows import Chain
from tinyq.numerics.formats import find_format
from tinyq.selection.sizes import Sizes

GENERIC = ("generic",)
# What else a core runs whose instruction set includes another. One that is not named has its own
# kernels and the generic ones.
_PREFERENCES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "generic": GENERIC,
        "armv8m": ("armv8m", "armv7em", *GENERIC),
        "mve": ("mve", "armv8m", "armv7em", *GENERIC),
    }
)

Bounds = Mapping[str, Bound]
"""The kernel of each node that needs one."""
Candidates = Mapping[str, tuple[Bound, ...]]
"""The kernels that fit each node that needs one; of instruction sets earlier first."""


def prefer_isas(isa: str) -> tuple[str, ...]:
    """Instruction sets whose kernels a core of ``isa`` runs, best first."""
    return _PREFERENCES.get(isa, (isa, *GENERIC))


def gather_candidates(graph: Graph, isas: Sequence[str]) -> Candidates:
    """What can compute each node, estimated; the kernels of instruction sets earlier first.

    A kernel of which no instructions are known cannot be compared: where one comes first in the
    order of the instruction sets, it is the only candidate.

    Raises:
        TinyqError: A node has no kernel.
    """
    sizes = Sizes({})
    return MappingProxyType(
        {
            node.name: tuple(
                replace(
                    bound,
                    code=MappingProxyType(sizes.split(bound)),
                    table_bytes=_measure_tables(graph, node, bound),
                )
                for bound in _compare(list_fitting(graph, node, isas))
            )
            for node in _list_nodes(graph)
        }
    )


def select_kernels(graph: Graph, isas: Sequence[str] = GENERIC) -> Bounds:
    """The first kernel of each node that fits, in the order of ``isas``, specialized ones by cost.

    Without a choice by an objective, see `tinyq.selection.choice`.

    Raises:
        TinyqError: A node has no kernel.
    """
    return MappingProxyType(
        {node.name: select_kernel(graph, node, isas) for node in _list_nodes(graph)}
    )


def select_kernel(graph: Graph, node: Node, isas: Sequence[str] = GENERIC) -> Bound:
    """The first kernel of a node that fits, in the order of ``isas``, specialized ones by cost.

    Raises:
        TinyqError: There is none.
    """
    fitting = list_fitting(graph, node, isas)
    first = fitting[0]
    if first.shared:
        return first
    rivals = (it for it in fitting if not it.shared and it.kernel.isa == first.kernel.isa)
    return min(rivals, key=lambda it: (it.instructions or 0, it.kernel.name))


def force_kernels(graph: Graph, isas: Sequence[str], names: Mapping[str, str]) -> Bounds:
    """`select_kernels` with the kernels of some nodes given by name.

    Args:
        graph: A verified graph.
        isas: Instruction sets whose kernels may be used, best first.
        names: Name of the kernel by node.

    Raises:
        TinyqError: A node has no kernel, or the one that is named does not exist or fit.
    """
    return MappingProxyType(
        {
            node.name: _resolve(graph, node, isas, names[node.name])
            if node.name in names
            else select_kernel(graph, node, isas)
            for node in _list_nodes(graph)
        }
    )


def list_bound(graph: Graph, node: Node, isas: Sequence[str]) -> tuple[Bound | Refusal, ...]:
    """All kernels of a node, in the order of ``isas``; those that do not fit with the reason.

    Raises:
        TinyqError: There is none for its operation and formats.
    """
    layer = describe_layer(graph, node, isas)
    return tuple(kernel.bind(layer) for kernel in list_rivals(graph, node, isas))


def list_rivals(graph: Graph, node: Node, isas: Sequence[str]) -> tuple[Kernel, ...]:
    """Kernels of a node's formats, then specialized ones behind an unpacking, for each of ``isas``.

    Those for one format come before those for a class of formats.

    Raises:
        TinyqError: There is none.
    """
    find_output(graph, node)
    formats = name_formats(graph, node)
    fitting = [it for it in list_kernels() if it.operation == node.op.kernel and it.takes(formats)]
    kernels = (*sorted(fitting, key=lambda it: it.formats != formats), *_list_unpacked(graph, node))
    found = tuple(kernel for isa in isas for kernel in kernels if kernel.isa == isa)
    if found:
        return found
    raise TinyqError(
        f"there is no kernel for {node.op.kernel} with {' and '.join(formats)}",
        where=node.name,
        remedy="choose formats that have a kernel, or write one in tinyq/kernels/"
        f"{isas[-1]} with its text in templates/kernels/{isas[-1]}",
    )


def find_output(graph: Graph, node: Node) -> EpilogueFunction | None:
    """The function of a node's epilogue, or None for an operation without one.

    Raises:
        TinyqError: The epilogue cannot store the output's format.
    """
    if not isinstance(node.op, Accumulating):
        return None
    epilogue = type(node.op.output).__name__.lower()
    output = graph.tensors[node.output].type.format.name
    found = find_epilogue(epilogue, output)
    if found:
        return found
    raise TinyqError(
        f"there is no epilogue {epilogue} for format {output}",
        where=node.name,
        remedy="choose another output format, or let tinyq/kernels/epilogues.py name this one "
        f"beside templates/kernels/epilogues/{epilogue}.c.j2",
    )


def plan_kernels(graph: Graph, bounds: Bounds, chains: Sequence[Chain] = ()) -> MemoryPlan:
    """The memory plan for `tinyq.codegen.emit`, with room for what the kernels need.

    Args:
        graph: A verified graph.
        bounds: The kernel of each node that needs one; of a chain's layers those of some rows.
        chains: Layers that are computed row by row.
    """
    needs = {name: bound.scratch_bytes for name, bound in bounds.items()}
    in_place = {name: bound.in_place for name, bound in bounds.items() if not bound.shared}
    leads = {name: bound.leads for name, bound in bounds.items() if bound.leads}
    return plan(graph, scratch=needs, in_place=in_place, leads=leads, chains=chains)


def measure_kernels(graph: Graph, bounds: Bounds, chains: Sequence[Chain] = ()) -> tuple[int, ...]:
    """Bytes of the arena that each node needs with these kernels, in execution order."""
    return measure_needs(
        graph,
        {name: bound.scratch_bytes for name, bound in bounds.items()},
        {name: bound.in_place for name, bound in bounds.items() if not bound.shared},
        {name: bound.leads for name, bound in bounds.items()},
        chains,
    )


def arrange_constants(graph: Graph, node: Node, bound: Bound) -> Mapping[str, Tensor]:
    """The constants that a shared kernel reads in the place of the graph's, by their names."""
    keys = [f"operand {index}" for index in range(len(bound.layer.inputs))]
    sources = dict(zip([*keys, *bound.layer.constants], node.inputs, strict=True))
    arranged = {}
    for key, constant in bound.constants.items():
        source = graph.tensors[sources[key]]
        arranged[source.name] = replace(
            source,
            name=f"{node.name} {constant.label} {key}",
            type=TensorType(constant.codes.shape, find_format(constant.format)),
            codes=constant.codes,
        )
    return arranged


def _list_nodes(graph: Graph) -> list[Node]:
    views = find_views(graph)
    return [node for node in graph.nodes if node.name not in views]


def list_fitting(graph: Graph, node: Node, isas: Sequence[str]) -> tuple[Bound, ...]:
    """All kernels that compute a node, in the order of ``isas``.

    Raises:
        TinyqError: There is none.
    """
    found = tuple(it for it in list_bound(graph, node, isas) if isinstance(it, Bound))
    if not found:
        raise TinyqError(
            f"no kernel for {node.op.kernel} takes this layer",
            where=node.name,
            remedy="allow the generic kernels",
        )
    return found


def _list_unpacked(graph: Graph, node: Node) -> list[Kernel]:
    """Specialized kernels for int8 activations that take a node's once these are unpacked."""
    narrow = tuple(
        index
        for index in node.op.keyed
        if graph.tensors[node.inputs[index]].type.format.name in UNPACKINGS
        and not graph.tensors[node.inputs[index]].is_constant
    )
    if not narrow:
        return []
    types = graph.types(node)
    formats = [UNPACKED if it in narrow else types[it].format.name for it in node.op.keyed]
    return [
        unpack_for(kernel, narrow)
        for kernel in list_kernels()
        if kernel.operation == node.op.kernel and not kernel.shared and kernel.takes(formats)
    ]


def _compare(found: tuple[Bound, ...]) -> tuple[Bound, ...]:
    if found[0].instructions is None:
        return found[:1]
    return tuple(bound for bound in found if bound.instructions is not None)


def _resolve(graph: Graph, node: Node, isas: Sequence[str], name: str) -> Bound:
    layer = describe_layer(graph, node, isas)
    for kernel in list_rivals(graph, node, isas):
        if kernel.name == name:
            found = kernel.bind(layer)
            if isinstance(found, Refusal):
                raise TinyqError(f"{name} does not fit: {found.reason}", where=node.name)
            return found
    raise TinyqError(
        f"there is no kernel {name} for this node",
        where=node.name,
        remedy="name a kernel of its operation, formats and core",
    )


def _measure_tables(graph: Graph, node: Node, bound: Bound) -> int:
    """Bytes of constants and settings as they lie in flash."""
    layer = bound.layer
    if bound.shared:
        arranged = arrange_constants(graph, node, bound)
        read = (arranged.get(it.name, it) for it in graph.constants(node))
        sizes = {tensor.name: tensor.type.packed_bytes for tensor in read}
        return sum(sizes.values()) + 4 * (len(layer.geometry) + len(layer.constants))
    tables = sum(table.words.nbytes for table in bound.tables)
    if bound.calls_epilogue:
        tables += sum(4 * codes.size + 4 for codes in layer.constants.values())
    return tables
