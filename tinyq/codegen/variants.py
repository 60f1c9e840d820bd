"""Variants: which kernel computes a node, what room it needs and how its constants lie.

A kernel template may define macros of one argument, the node's `Facts`:

    refusal         why the kernel does not fit the node, nothing where it does
    cost            instructions, about; without it `tinyq.codegen.estimates` knows them or nobody
    scratch_bytes   bytes of arena that it needs while it runs, passed last, as `void *scratch`
    layout          module of tinyq.codegen.layouts that arranges the constants for it

Without them a kernel computes every node of its operation and formats, without room of its own and
with the constants as the graph has them. A kernel that is written anew for each node has more of
them: `tinyq.codegen.special`.
"""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, cast

import jinja2

from tinyq.codegen.estimates import Work, estimate_instructions
from tinyq.codegen.kernels import (
    Kernel,
    Stage,
    list_candidates,
    list_fitting,
    list_widened,
    name_formats,
    select_stage,
)
from tinyq.codegen.rendering import list_values, make_environment
from tinyq.codegen.special import Refusal, Special, is_special, specialize
from tinyq.errors import TinyqError
from tinyq.graph import Graph, Node, Tensor, TensorType
from tinyq.graph.epilogues import Accumulating
from tinyq.memory.planner import MemoryPlan, find_views, plan
from tinyq.numerics.formats import Codes, Format, find_format
from tinyq.support.resources import TEMPLATES

GENERIC = ("generic",)
_USUAL_CONSTANTS = 3  # of an output stage for each channel
# What else a core runs whose instruction set includes another. One that is not named has its own
# kernels and the generic ones.
_PREFERENCES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "generic": GENERIC,
        "armv8m": ("armv8m", "armv7em", *GENERIC),
        "mve": ("mve", "armv8m", "armv7em", *GENERIC),
    }
)


@dataclass(frozen=True, slots=True)
class Function:
    """A kernel rendered for one combination of formats and output stage.

    Attributes:
        name: ``tq_<operation>_<formats>[_<output format>]_<isa>``.
        kernel: The template.
        stage: Output stage, if the operation has one.
        inputs: Formats of all operands.
        output: Format of the output.
        special: The kernel written for one node, None for a kernel for all.
    """

    name: str
    kernel: Kernel
    stage: Stage | None
    inputs: tuple[Format, ...]
    output: Format
    special: Special | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """What a kernel may ask about a node.

    Attributes:
        name: The node.
        inputs: Types of the operands.
        output: Type of the output.
        operands: Codes of the operands that are constants, None for the others.
        data: Indexes of the operands that a kernel reads through pointers, be they constants or
            not: those with a value for each sample (``Op.batched``). The others are weights.
        stage: Class of the output stage in lower case, empty without one.
        tables: Codes of the stage's constants by their names.
        geometry: Integers of the operation and of the stage.
        isas: Instruction sets whose kernels may be used, best first.
    """

    name: str
    inputs: tuple[TensorType, ...]
    output: TensorType
    operands: tuple[Codes | None, ...]
    data: tuple[int, ...]
    stage: str
    tables: Mapping[str, Codes]
    geometry: Mapping[str, int]
    isas: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Variant:
    """How a node is computed.

    Attributes:
        function: The kernel.
        scratch_bytes: Room in the arena while it runs; None for a kernel that asks for none.
        constants: Constants that take the place of the graph's, by the names of these.
        instructions: Estimate for one inference; None where nothing is known.
    """

    function: Function
    scratch_bytes: int | None
    constants: Mapping[str, Tensor]
    instructions: int | None = None


Layout = Callable[[Facts], Mapping[str, tuple[str, Codes]]]
"""Arranged constants: format and codes by ``operand <index>`` or the name of a stage's constant."""


def select_variant(
    graph: Graph, node: Node, isas: Sequence[str], override: str | None = None
) -> Variant:
    """The first variant that fits, in the order of ``isas``; of special kernels the cheapest.

    Args:
        graph: A verified graph.
        node: One of its nodes.
        isas: Instruction sets whose kernels may be used, best first.
        override: File name of the kernel that must be used, see `tinyq.codegen.choice`.

    Raises:
        TinyqError: There is none.
    """
    if override:
        return _obey(graph, node, isas, override)
    fitting = tuple(v for v in list_variants(graph, node, isas) if isinstance(v, Variant))
    first = next((variant.function for variant in fitting), None)
    if first is None:
        raise TinyqError(
            f"no kernel for {node.op.kernel} takes this layer",
            where=node.name,
            remedy="allow the generic kernels",
        )
    rivals = (
        v for v in fitting if v.function.special and v.function.kernel.isa == first.kernel.isa
    )
    return min(rivals, key=_rank, default=fitting[0]) if first.special else fitting[0]


def list_variants(graph: Graph, node: Node, isas: Sequence[str]) -> tuple[Variant | Refusal, ...]:
    """All ways to compute a node, in the order of ``isas``; what does not fit with the reason."""
    facts = gather_facts(graph, node, isas)
    kernels = _list_kernels(graph, node, isas)
    return tuple(_make_variant(graph, node, facts, kernel) for kernel in kernels)


def list_special(graph: Graph, node: Node, isas: Sequence[str]) -> tuple[Special | Refusal, ...]:
    """All special kernels of a node; those that do not fit with the reason."""
    facts = gather_facts(graph, node, isas)
    kernels = (kernel for kernel in _list_kernels(graph, node, isas) if is_special(kernel))
    return tuple(specialize(kernel, facts) for kernel in kernels)


def _list_kernels(graph: Graph, node: Node, isas: Sequence[str]) -> tuple[Kernel, ...]:
    """Kernels of a node's formats, then special ones behind an unpacking, for each of ``isas``."""
    widened = (kernel for kernel in list_widened(graph, node) if is_special(kernel))
    kernels = (*list_fitting(graph, node), *widened)
    found = tuple(kernel for isa in isas for kernel in kernels if kernel.isa == isa)
    return found or list_candidates(graph, node, isas)


def _rank(variant: Variant) -> tuple[int, str]:
    return variant.instructions or 0, variant.function.kernel.path.name


def _obey(graph: Graph, node: Node, isas: Sequence[str], override: str) -> Variant:
    for kernel in _list_kernels(graph, node, isas):
        if kernel.path.name == override:
            found = _make_variant(graph, node, gather_facts(graph, node, isas), kernel)
            if isinstance(found, Refusal):
                raise TinyqError(f"{override} does not fit: {found.reason}", where=node.name)
            return found
    raise TinyqError(
        f"there is no kernel {override} for this node",
        where=node.name,
        remedy="name a file of templates/kernels for its operation, formats and core",
    )


def _make_variant(graph: Graph, node: Node, facts: Facts, kernel: Kernel) -> Variant | Refusal:
    function = _make_function(graph, node, kernel)
    if is_special(kernel):
        special = specialize(kernel, facts)
        if isinstance(special, Refusal):
            return special
        function = replace(function, special=special)
        return Variant(function, special.scratch_bytes or None, {}, special.cost)
    hooks = _read_hooks(function)
    reason = " ".join(_ask(hooks, "refusal", facts).split())
    if reason:
        return Refusal(kernel, reason)
    scratch = int(_ask(hooks, "scratch_bytes", facts)) if "scratch_bytes" in hooks else None
    arranged = _arrange(graph, node, facts, _ask(hooks, "layout", facts))
    cost = _ask(hooks, "cost", facts)
    work = measure_work(graph, node)
    instructions = int(float(cost)) if cost else estimate_instructions(kernel, work)
    return Variant(function, scratch, arranged, instructions)


def measure_scratch(
    graph: Graph, isas: Sequence[str], overrides: Mapping[str, str] = MappingProxyType({})
) -> dict[str, int]:
    """Bytes of room that the nodes' kernels need, by the names of the nodes that need any."""
    variants = _select_all(graph, isas, overrides)
    needs = {name: variant.scratch_bytes for name, variant in variants.items()}
    return {name: count for name, count in needs.items() if count}


def plan_kernels(
    graph: Graph, isas: Sequence[str], overrides: Mapping[str, str] = MappingProxyType({})
) -> MemoryPlan:
    """The memory plan for `emit` with the same arguments: with room for what kernels need."""
    variants = _select_all(graph, isas, overrides)
    needs = {name: variant.scratch_bytes or 0 for name, variant in variants.items()}
    in_place = {
        name: variant.function.special.in_place
        for name, variant in variants.items()
        if variant.function.special
    }
    return plan(graph, scratch=needs, in_place=in_place)


def prefer_isas(isa: str) -> tuple[str, ...]:
    """Instruction sets whose kernels a core of ``isa`` runs, best first."""
    return _PREFERENCES.get(isa, (isa, *GENERIC))


def _select_all(
    graph: Graph, isas: Sequence[str], overrides: Mapping[str, str]
) -> dict[str, Variant]:
    views = find_views(graph)
    return {
        node.name: select_variant(graph, node, isas, overrides.get(node.name))
        for node in graph.nodes
        if node.name not in views
    }


def split_inputs(node: Node) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of a node's operands, and of the constants of its output stage."""
    count = node.op.operands if isinstance(node.op, Accumulating) else len(node.inputs)
    return node.inputs[:count], node.inputs[count:]


def measure_work(graph: Graph, node: Node) -> Work:
    """What a node has to do in one inference; taps of windows in the padding are no work."""
    types, stage = graph.types(node), select_stage(graph, node)
    output = graph.tensors[node.output].type
    elements = math.prod(output.shape)
    geometry = node.op.geometry(*types)
    rows, out_rows, height = _count_taps(geometry, "height")
    columns, out_columns, width = _count_taps(geometry, "width")
    taps = elements * rows * columns // (out_rows * out_columns)
    shapes = (graph.tensors[name].type.shape for name in split_inputs(node)[1])
    each = sum(math.prod(shape[:-1]) for shape in shapes)
    return Work(
        macs=graph.macs(node) * taps // (elements * height * width),
        elements=elements,
        lines=elements * rows // out_rows,
        constants=elements * max(each - _USUAL_CONSTANTS, 0),
        taps=taps,
        rows=output.rows,
        inputs=math.prod(types[0].shape),
        units=output.units * taps // elements,
        stage=f"{stage.stage}_{stage.format}" if stage else "",
        shared=any(other is not node and _is_alike(graph, node, other) for other in graph.nodes),
    )


def _is_alike(graph: Graph, node: Node, other: Node) -> bool:
    """Whether two nodes have the same operation and formats, and so the same generic kernel."""
    return node.op.kernel == other.op.kernel and (
        name_formats(graph, node) == name_formats(graph, other)
    )


def _count_taps(geometry: Mapping[str, int], side: str) -> tuple[int, int, int]:
    """Along one side: taps inside the image over all windows, windows, taps of a window.

    The windows of a transposed convolution lie on its output: all their taps are looked at.
    """
    size, windows = geometry.get(f"kernel_{side}", 1), geometry.get(f"out_{side}", 1)
    dilation = geometry.get(f"dilation_{side}", 0)
    if not dilation:
        return size * windows, windows, size
    pad = geometry["pad_top" if side == "height" else "pad_left"]
    starts = (window * geometry[f"stride_{side}"] - pad for window in range(windows))
    inside = sum(
        0 <= start + tap * dilation < geometry[f"in_{side}"]
        for start in starts
        for tap in range(size)
    )
    return inside, windows, size


def gather_facts(graph: Graph, node: Node, isas: Sequence[str]) -> Facts:
    """What kernels may ask about a node."""
    operands, finishing = split_inputs(node)
    types = graph.types(node)
    output = node.op.output if isinstance(node.op, Accumulating) else None
    tables = zip(output.names, finishing, strict=True) if output else ()
    return Facts(
        name=node.name,
        inputs=types[: len(operands)],
        output=graph.tensors[node.output].type,
        operands=tuple(graph.tensors[name].codes for name in operands),
        data=tuple(index for index in node.op.batched if index < len(operands)),
        stage=type(output).__name__.lower() if output else "",
        tables=MappingProxyType(
            {key: cast(Codes, graph.tensors[name].codes) for key, name in tables}
        ),
        geometry=MappingProxyType(dict(node.op.geometry(*types))),
        isas=tuple(isas),
    )


def _make_function(graph: Graph, node: Node, kernel: Kernel) -> Function:
    stage = select_stage(graph, node)
    finished = stage.tag if stage else ()
    variant = (kernel.variant,) if kernel.variant else ()
    widened = ("widened",) if kernel.widened else ()
    formats = name_formats(graph, node)
    name = "_".join(("tq", kernel.operation, *formats, *finished, kernel.isa, *variant, *widened))
    # A kernel serves every table of its formats.
    operands = (graph.tensors[name].type.format.name for name in split_inputs(node)[0])
    inputs = tuple(find_format(name) for name in operands)
    return Function(name, kernel, stage, inputs, graph.tensors[node.output].type.format)


@functools.cache
def _environment() -> jinja2.Environment:
    return make_environment()


@functools.cache
def _read_hooks(function: Function) -> Mapping[str, Any]:
    """The macros of a kernel's template."""
    path = function.kernel.path.relative_to(TEMPLATES).as_posix()
    template = _environment().get_template(path)
    return vars(template.make_module(list_values(function)))


def _ask(hooks: Mapping[str, Any], name: str, facts: Facts) -> str:
    return str(hooks[name](facts)).strip() if name in hooks else ""


def _arrange(graph: Graph, node: Node, facts: Facts, layout: str) -> Mapping[str, Tensor]:
    if not layout:
        return {}
    lay_out: Layout = importlib.import_module(f"tinyq.codegen.layouts.{layout}").lay_out
    count = len(facts.inputs)
    keys = [f"operand {index}" for index in range(count)] + list(facts.tables)
    sources = dict(zip(keys, node.inputs, strict=True))
    arranged = {}
    for key, (format_name, codes) in lay_out(facts).items():
        source = graph.tensors[sources[key]]
        arranged[source.name] = replace(
            source,
            name=f"{node.name} {layout} {key}",
            type=TensorType(codes.shape, find_format(format_name)),
            codes=codes,
        )
    return arranged
