"""Chains: layers one behind the other, computed some rows at a time.

Between two layers of a chain lies a *ring*: the rows of a tensor that somebody still needs, one
behind the other, padding included. Where there is no room behind them, those that are needed move
to its beginning. So every layer reads and writes rows that lie as in a whole tensor, and any kernel
computes them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tinyq.errors import TinyqError
from tinyq.graph import Graph, Node, TensorType
from tinyq.memory.rows.reading import Reading, Readings, cut_rows, find_readings
from tinyq.memory.rows.schedule import Action, Order, Process, Read, Step, Store, order_actions
from tinyq.memory.states import ALIGNMENT

_MOST_LAYERS, _MOST_ACTIONS = 64, 256  # of a chain; a byte numbers the actions


@dataclass(frozen=True, slots=True)
class Member:
    """A layer of a chain.

    Attributes:
        node: As the graph has it.
        graph: The layer for some rows, as a graph of its own.
        rows: Of the output, computed at a time.
        calls: How often it is computed.
        reads: What it reads of activations, by the position of the operand.
    """

    node: Node
    graph: Graph
    rows: int
    calls: int
    reads: Mapping[int, Read]


@dataclass(frozen=True, slots=True)
class Ring:
    """Rows of a tensor between layers of a chain.

    Attributes:
        tensor: Its name.
        row_bytes: Of a row.
        rows: That it holds at most.
        top: Rows of padding above the first.
        fill: Word of 32 bits of which rows of padding consist.
        offset: In the memory of the chain.
        moved_bytes: That are moved to its beginning in one inference.
        copied: Whether the rows are those of a whole tensor, as many at a time; 0 where a layer of
            the chain computes them.
    """

    tensor: str
    row_bytes: int
    rows: int
    top: int
    fill: int
    offset: int
    moved_bytes: int
    copied: int

    @property
    def size_bytes(self) -> int:
        """Bytes of RAM, a multiple of 4."""
        return _aligned(self.rows * self.row_bytes)


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Layers that are computed some rows at a time, as one.

    Attributes:
        name: Of its first and its last layer.
        members: The layers, in execution order.
        inputs: Whole tensors that they read.
        output: The whole tensor that the last one writes.
        rings: Rows between them, by tensor.
        actions: What is done, each once.
        order: When: indexes of ``actions``.
        leads: By how many bytes an input must begin behind the output for that to lie over rows
            that were read, by its place among ``inputs``.
    """

    name: str
    members: tuple[Member, ...]
    inputs: tuple[str, ...]
    output: str
    rings: Mapping[str, Ring]
    actions: tuple[Action, ...]
    order: tuple[int, ...]
    leads: Mapping[int, int]

    @property
    def ring_bytes(self) -> int:
        """Bytes of all rings."""
        return sum(ring.size_bytes for ring in self.rings.values())

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The layers as the graph has them."""
        return tuple(member.node for member in self.members)


def make_chain(graph: Graph, names: Sequence[str], rows: Sequence[int]) -> Chain | None:
    """Layers as a chain; None where they are none.

    They are one where they stand one behind the other, each can be computed row by row, only the
    last one's output is read elsewhere, and all rows begin at multiples of 4 bytes.

    Args:
        graph: A verified graph.
        names: Of nodes, in execution order, two at least.
        rows: Of the output of each that are computed at a time; divisors of all of them.
    """
    nodes = _find_nodes(graph, names)
    if nodes is None or len(rows) != len(nodes) or not _stay_inside(graph, nodes):
        return None
    readings = [find_readings(graph, node) for node in nodes]
    known = [(node, it) for node, it in zip(nodes, readings, strict=True) if it is not None]
    if len(known) != len(nodes):
        return None
    process = _describe(graph, known, rows)
    members = _cut_members(graph, known, process) if process else None
    if process is None or members is None:
        return None
    order = order_actions(process)
    return _finish(graph, members, process, order) if len(order.actions) <= _MOST_ACTIONS else None


def check_chain(graph: Graph, names: Sequence[str], rows: Sequence[int]) -> Chain:
    """`make_chain` of layers that were a chain once.

    Raises:
        TinyqError: They are none.
    """
    chain = make_chain(graph, names, rows)
    if chain is None:
        raise TinyqError("its layers are no chain", where=" ".join(names[:1]))
    return chain


def list_granules(kind: TensorType) -> list[int]:
    """Rows that can be computed at a time: divisors of all, which take a multiple of 4 bytes."""
    row, height = measure_row(kind), kind.shape[0]
    return [n for n in range(1, height + 1) if height % n == 0 and n * row % ALIGNMENT == 0]


def measure_row(kind: TensorType) -> int:
    """Bytes of a row of a tensor."""
    return kind.format.tensor_bytes(kind.shape) // kind.shape[0]


def _find_nodes(graph: Graph, names: Sequence[str]) -> tuple[Node, ...] | None:
    """Nodes that stand one behind the other."""
    places = {node.name: place for place, node in enumerate(graph.nodes)}
    if not 1 < len(names) <= _MOST_LAYERS or names[0] not in places:
        return None
    first = places[names[0]]
    nodes = graph.nodes[first : first + len(names)]
    return nodes if [node.name for node in nodes] == list(names) else None


def _stay_inside(graph: Graph, nodes: Sequence[Node]) -> bool:
    """Whether only the last output is read elsewhere, and no state is read."""
    inner = {node.output for node in nodes[:-1]}
    own = {node.name for node in nodes}
    outside = (name for it in graph.nodes if it.name not in own for name in it.inputs)
    states = {state.name for state in graph.states}
    return (
        not any(node.op.aliases(*graph.types(node)) for node in nodes)
        and inner.isdisjoint(graph.results)
        and inner.isdisjoint(outside)
        and inner <= {name for node in nodes for name in node.inputs}
        and states.isdisjoint(name for node in nodes for name in node.inputs)
    )


def _describe(
    graph: Graph, known: Sequence[tuple[Node, Readings]], rows: Sequence[int]
) -> Process | None:
    """What the order of a chain depends on."""
    inner = {node.output for node, _ in known[:-1]}
    readers: dict[str, list[Reading]] = {}
    for node, readings in known:
        for name, reading in zip(node.inputs, readings, strict=True):
            if reading is not None:
                readers.setdefault(name, []).append(reading)
    stores = {}
    for name, found in readers.items():
        if name in inner or any(it.pads for it in found):
            store = _describe_store(graph, name, found, copied=name not in inner)
            if store is None:
                return None
            stores[name] = store
    steps = {}
    for (node, readings), count in zip(known, rows, strict=True):
        kind = graph.tensors[node.output].type
        if count not in list_granules(kind):
            return None
        reads = {
            place: _describe_read(graph, stores, name, reading, count)
            for place, (name, reading) in enumerate(zip(node.inputs, readings, strict=True))
            if reading is not None
        }
        if not all(map(_is_aligned, reads.values())):
            return None
        steps[node.name] = Step(
            node.output, count, kind.shape[0], measure_row(kind), MappingProxyType(reads)
        )
    return Process(MappingProxyType(stores), MappingProxyType(steps))


def _describe_store(
    graph: Graph, name: str, readings: Sequence[Reading], *, copied: bool
) -> Store | None:
    """Rows of a tensor with padding; None where it cannot be a ring."""
    kind = graph.tensors[name].type
    if any(it.scale > it.height for it in readings):
        return None  # rows that nobody reads would have to be passed over
    fills = {it.fill for it in readings if it.pads}
    top, row = max(it.before for it in readings), measure_row(kind)
    granules = list_granules(kind)
    word = _find_word(kind, next(iter(fills))) if fills else 0
    if len(fills) > 1 or word is None or not granules or top * row % ALIGNMENT:
        return None
    return Store(name, row, kind.shape[0], top, word, granules[0] if copied else 0)


def _describe_read(
    graph: Graph, stores: Mapping[str, Store], name: str, reading: Reading, rows: int
) -> Read:
    store = stores.get(name)
    row = store.row_bytes if store else measure_row(graph.tensors[name].type)
    first = store.top - reading.before if store else 0
    return Read(name, first, rows * reading.scale, reading.count(rows), row)


def _is_aligned(read: Read) -> bool:
    """Whether all rows at which it begins have addresses that are multiples of 4."""
    starts = read.first * read.row_bytes, read.step * read.row_bytes
    return all(start % ALIGNMENT == 0 for start in starts)


def _find_word(kind: TensorType, code: int) -> int | None:
    """The word of which a row of one code consists; None where there is none."""
    row = np.full((1, *kind.shape[1:]), code, np.int32)
    if not kind.format.contains(row):
        return None
    packed = np.asarray(kind.format.pack(row), np.uint8).reshape(-1)
    if len(packed) % ALIGNMENT:
        packed = np.resize(packed, math.lcm(len(packed), ALIGNMENT))
    words = packed.view("<u4")
    return int(words[0]) if (words == words[0]).all() else None


def _cut_members(
    graph: Graph, known: Sequence[tuple[Node, Readings]], process: Process
) -> tuple[Member, ...] | None:
    members = []
    for node, readings in known:
        step = process.steps[node.name]
        alone = cut_rows(graph, node, readings, step.rows)
        if alone is None:
            return None
        calls = step.height // step.rows
        members.append(Member(node, alone, step.rows, calls, step.reads))
    return tuple(members)


def _finish(graph: Graph, members: tuple[Member, ...], process: Process, order: Order) -> Chain:
    rings, offset = {}, 0
    for name, store in process.stores.items():
        rows, moved = order.capacity[name], order.moved[name] * store.row_bytes
        ring = Ring(name, store.row_bytes, rows, store.top, store.fill, offset, moved, store.copied)
        rings[name] = ring
        offset += ring.size_bytes
    inner = {member.node.output for member in members[:-1]}
    read = (name for it in members for name in it.node.inputs if name not in inner)
    inputs = tuple(dict.fromkeys(it for it in read if not graph.tensors[it].is_constant))
    leads = {place: order.leads[name] for place, name in enumerate(inputs)}
    return Chain(
        f"{members[0].node.name}..{members[-1].node.name}",
        members,
        inputs,
        members[-1].node.output,
        MappingProxyType(rings),
        order.actions,
        order.order,
        MappingProxyType(leads),
    )


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
