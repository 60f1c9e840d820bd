"""The integer graph: tensors, operations and nodes in execution order.

All arithmetic of a graph is on integer codes. ``scale`` and ``zero_point`` of a tensor say what
the codes mean (``real = scale * (code - zero_point)``) and are never used to compute.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from tinyq.errors import ModelError
from tinyq.graph.tensors import MAX_ELEMENTS, Operand, Span, State, Tensor, TensorType
from tinyq.numerics.formats import Codes
from tinyq.support.tables import Part, Shown, Table

_INT32_MIN, _INT32_MAX = -(2**31), 2**31 - 1
_PATIENCE = 4  # steps through which ranges of states may grow before they are taken for all codes


class Op:
    """An operation: shape rule, integer meaning, cost. ``run`` is the definition.

    Subclasses are frozen dataclasses whose fields are plain integers, strings, tuples of them,
    or an epilogue, so that a graph can be saved.

    Class attributes:
        kernel: First part of the kernel's name, such as ``conv2d``.
        keyed: Indexes of the inputs whose formats are the next parts of the kernel's name.
        formats: Formats of the ``keyed`` inputs, each combination, for which the generic C text of
            that name is complete as it stands. Empty where a module of ``tinyq/kernels/generic``
            fills in what differs between formats.
        in_place: Indexes of the inputs whose buffer the output may take over when both have
            the same size and format.
        batched: Indexes of the inputs that are data, one value per sample, not parameters.
    """

    kernel: ClassVar[str]
    keyed: ClassVar[tuple[int, ...]] = (0,)
    formats: ClassVar[tuple[tuple[str, ...], ...]] = ()
    batched: ClassVar[tuple[int, ...]] = (0,)
    in_place: ClassVar[tuple[int, ...]] = ()

    __slots__ = ()

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output.

        Raises:
            ModelError: The inputs do not fit the operation.
        """
        raise NotImplementedError

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output; only the ``batched`` inputs carry a leading batch axis."""
        raise NotImplementedError

    def prove(self, *operands: Operand) -> Span | None:
        """Check that no input at all makes an integer leave the range that the C code gives it.

        Returns:
            Smallest and largest code that can come out; None for all codes of the format.

        Raises:
            ModelError: A constant or an attribute lies outside of its documented range, or a sum
                can leave its integers.
        """
        del operands
        return None

    def macs(self, *types: TensorType) -> int:
        """Multiply-accumulates (or their binary counterpart) of one inference."""
        del types
        return 0

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs, by the names that its template uses."""
        del types
        return {}

    def aliases(self, *types: TensorType) -> bool:
        """Whether the output is the first input's bytes under another shape, so costs nothing."""
        del types
        return False


@dataclass(frozen=True, slots=True)
class Node:
    """One application of an operation."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Graph(Shown):
    """A network of integer operations, nodes in execution order.

    Attributes:
        name: A C identifier; prefix of all generated names.
        inputs: Names of the input tensors, in the order of the model; one at least, all different.
        outputs: Names of the output tensors, in the order of the model; one at least, all
            different, each computed by a node: `tinyq.graph.interface.own_outputs`.
        tensors: All tensors by name, constants included.
        nodes: In execution order.
        states: What is kept from one step to the next. All are read with their values of the step
            before, and all take their next ones when the step has ended.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    tensors: Mapping[str, Tensor]
    nodes: tuple[Node, ...]
    states: tuple[State, ...] = ()

    @property
    def input(self) -> Tensor:
        """The input tensor of a graph with one input.

        Raises:
            ModelError: It has several.
        """
        return self._only(self.inputs, "input")

    @property
    def output(self) -> Tensor:
        """The output tensor of a graph with one output.

        Raises:
            ModelError: It has several.
        """
        return self._only(self.outputs, "output")

    @property
    def results(self) -> tuple[str, ...]:
        """Tensors that are read when the last node has run: outputs, and next values of states."""
        return (*self.outputs, *(state.next for state in self.states))

    @property
    def sources(self) -> tuple[str, ...]:
        """Tensors that are there before the first node runs: inputs, and states."""
        return (*self.inputs, *(state.name for state in self.states))

    def _only(self, names: tuple[str, ...], side: str) -> Tensor:
        if len(names) != 1:
            raise ModelError(
                f"the graph has {len(names)} {side}s ({', '.join(names)}), one is needed here",
                where=self.name,
                remedy=f"give a model with one {side}, or cut it at one",
            )
        return self.tensors[names[0]]

    def types(self, node: Node) -> tuple[TensorType, ...]:
        """Types of a node's inputs."""
        return tuple(self.tensors[name].type for name in node.inputs)

    def macs(self, node: Node) -> int:
        """Multiply-accumulates of a node."""
        return node.op.macs(*self.types(node))

    def constants(self, node: Node) -> Iterator[Tensor]:
        """Constant inputs of a node."""
        return (self.tensors[name] for name in node.inputs if self.tensors[name].is_constant)

    def constant_bytes(self, node: Node) -> int:
        """Packed bytes of a node's constants."""
        return sum(tensor.type.packed_bytes for tensor in self.constants(node))

    def parts(self) -> list[Part]:
        """What is shown of it: its nodes."""
        types = {name: str(tensor.type) for name, tensor in self.tensors.items()}
        ends = [
            " ".join(types.get(name, name) for name in it) for it in (self.inputs, self.outputs)
        ]
        rows = [
            (node.name, node.op.kernel, " ".join(node.inputs), types.get(node.output, "?"))
            for node in self.nodes
        ]
        title = f"{self.name}: {' -> '.join(ends)}"
        tables: list[Part] = [Table(title, ("node", "operation", "inputs", "output"), rows)]
        if self.states:
            kept = [
                (
                    it.name,
                    types.get(it.name, "?"),
                    it.next,
                    "several" if it.fill is None else str(it.fill),
                )
                for it in self.states
            ]
            tables.append(Table("kept", ("state", "type", "next", "after a reset"), kept))
        return tables

    def verify(self) -> None:
        """Check that the graph is well formed.

        Raises:
            ModelError: A name is unknown or defined twice, a node reads a tensor before it is
                computed, a constant lies outside its format, an inferred type differs, a size or
                an attribute is no int32, a state is no tensor of its own or its next value has
                another type, or ``Op.prove`` of a node finds a way out of its integers.
        """
        _verify_interface(self)
        _verify_tensors(self)
        ready = {name for name, tensor in self.tensors.items() if tensor.is_constant}
        ready.update(self.sources)
        for node in self.nodes:
            _verify_node(self, node, ready)
            ready.add(node.output)
        computed = {node.output for node in self.nodes}
        missing = [name for name in self.outputs if name not in computed]
        if missing:
            raise ModelError(f"output {missing[0]!r} is never computed", where=self.name)
        for state in self.states:
            _verify_state(self, state, {*self.inputs, *computed})
        self.find_spans()

    def find_spans(self) -> Mapping[str, Span]:
        """Smallest and largest code that tensors can have in any step; no entry: all of the format.

        A state has the codes of its first value and of every next one: ranges are widened until
        they hold from one step to the next, in the end to all codes of the format.

        Raises:
            ModelError: ``Op.prove`` of a node finds a way out of its integers.
        """
        held = {it.name: (int(it.first.min()), int(it.first.max())) for it in self.states}
        for attempt in itertools.count():
            spans = dict(held)
            for node in self.nodes:
                _prove_node(self, node, spans)
            wider = {it.name: _widen(self, it, spans, attempt) for it in self.states}
            if wider == held:
                break
            held = wider
        return spans


def _verify_interface(graph: Graph) -> None:
    if not graph.name.isidentifier():
        raise ModelError(f"graph name {graph.name!r} is not a C identifier", where=graph.name)
    for side, names in (("input", graph.inputs), ("output", graph.outputs)):
        if not names:
            raise ModelError(
                f"the graph has no {side}",
                where=graph.name,
                remedy="give the model one input and one output at least",
            )
        for index, name in enumerate(names):
            if name not in graph.tensors:
                raise ModelError(f"tensor {name!r} does not exist", where=graph.name)
            if name in names[:index]:
                raise ModelError(f"tensor {name!r} is an {side} twice", where=graph.name)
    for name in graph.inputs:
        if graph.tensors[name].is_constant:
            raise ModelError(f"input {name!r} is a constant", where=graph.name)
    _verify_state_names(graph)


def _verify_state(graph: Graph, state: State, values: set[str]) -> None:
    """Check a state; ``values`` are the tensors that can be the next one."""
    kept = graph.tensors[state.name].type
    if state.next not in values:
        raise ModelError(
            f"its next value {state.next!r} is neither an input nor computed by a node",
            where=state.name,
            remedy="copy it with a reshape to the same shape",
        )
    if graph.tensors[state.next].type != kept:
        raise ModelError(
            f"is {kept}, and its next value {graph.tensors[state.next].type}", where=state.name
        )
    if state.first.shape not in ((), kept.shape):
        raise ModelError(
            f"first value has shape {state.first.shape}, its type says {kept.shape}",
            where=state.name,
        )
    if not kept.format.contains(state.first):
        raise ModelError(f"first value leaves format {kept.format.name}", where=state.name)


def _verify_state_names(graph: Graph) -> None:
    taken = {*graph.inputs}
    for state in graph.states:
        if state.name not in graph.tensors:
            raise ModelError(f"tensor {state.name!r} does not exist", where=graph.name)
        if state.name in taken:
            raise ModelError(f"state {state.name!r} is an input or a state twice", where=graph.name)
        if graph.tensors[state.name].is_constant:
            raise ModelError(f"state {state.name!r} is a constant", where=graph.name)
        if graph.tensors[state.name].type.format.table:
            raise ModelError("a state has no format with a table", where=state.name)
        taken.add(state.name)


def _widen(graph: Graph, state: State, spans: Mapping[str, Span], attempt: int) -> Span:
    """Codes of a state after one more step; all of its format where that goes on too long."""
    low, high = spans[state.name]
    coming = graph.tensors[state.next]
    after_low, after_high = spans.get(state.next, _span(coming))
    wider = min(low, after_low), max(high, after_high)
    if wider == (low, high) or attempt < _PATIENCE:
        return wider
    return coming.type.format.lo, coming.type.format.hi


def _verify_tensors(graph: Graph) -> None:
    for name, tensor in graph.tensors.items():
        if tensor.name != name:
            raise ModelError(f"tensor {tensor.name!r} is filed under {name!r}", where=graph.name)
        if min(tensor.type.shape, default=0) < 1:
            raise ModelError(f"shape {tensor.type.shape} holds nothing", where=name)
        scale = tensor.type.scale
        if scale is not None and not (math.isfinite(scale) and scale > 0):
            raise ModelError(f"scale {scale} is no positive number", where=name)
        if not _INT32_MIN <= tensor.type.zero_point <= _INT32_MAX:
            raise ModelError(f"zero point {tensor.type.zero_point:,} is no int32", where=name)
        size = math.prod(tensor.type.shape)
        if size > MAX_ELEMENTS:
            raise ModelError(
                f"shape {tensor.type.shape} holds {size:,} elements, at most {MAX_ELEMENTS:,} fit",
                where=name,
            )
        if tensor.codes is None:
            continue
        if tensor.codes.shape != tensor.type.shape:
            raise ModelError(
                f"constant has shape {tensor.codes.shape}, its type says {tensor.type.shape}",
                where=name,
            )
        if not tensor.type.format.contains(tensor.codes):
            raise ModelError(f"constant leaves format {tensor.type.format.name}", where=name)


def _verify_node(graph: Graph, node: Node, ready: set[str]) -> None:
    for name in node.inputs:
        if name not in graph.tensors:
            raise ModelError(f"input tensor {name!r} does not exist", where=node.name)
        if name not in ready:
            raise ModelError(f"reads tensor {name!r} before it is computed", where=node.name)
    if node.output not in graph.tensors:
        raise ModelError(f"output tensor {node.output!r} does not exist", where=node.name)
    if node.output in ready:
        raise ModelError(f"tensor {node.output!r} is computed twice", where=node.name)
    inferred = node.op.infer(*graph.types(node))
    stated = graph.tensors[node.output].type
    if inferred != stated:
        raise ModelError(f"computes {inferred}, its output says {stated}", where=node.name)


def _prove_node(graph: Graph, node: Node, spans: dict[str, Span]) -> None:
    """Check the integers of a node; ``spans`` are the codes that tensors before it can have."""
    types = graph.types(node)
    named = node.op.geometry(*types)
    for name, value in named.items():
        if not _INT32_MIN <= value <= _INT32_MAX:
            raise ModelError(f"{name} is {value:,}, no 32-bit integer", where=node.name)
    tensors = [graph.tensors[name] for name in node.inputs]
    operands = [
        Operand(tensor.type, *spans.get(tensor.name, _span(tensor)), tensor.codes)
        for tensor in tensors
    ]
    try:
        span = node.op.prove(*operands)
    except ModelError as error:
        raise ModelError(error.message, where=node.name, remedy=error.remedy) from None
    if span is not None:
        spans[node.output] = span


def _span(tensor: Tensor) -> Span:
    if tensor.codes is None or not tensor.codes.size:
        return tensor.type.format.lo, tensor.type.format.hi
    return int(tensor.codes.min()), int(tensor.codes.max())
