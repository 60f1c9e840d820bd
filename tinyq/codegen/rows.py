"""Chains of layers in C: one loop that goes through the order in which rows are computed.

Where layers read and where rings end are variables, in bytes; all else is known before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tinyq.codegen.places import locate, locate_byte
from tinyq.graph import Graph
from tinyq.memory.planner import MemoryPlan
from tinyq.memory.rows import COMPUTE, COPY, FILL, MOVE, Action, Chain, Member, Read, Ring

_MADE, _FIRST = "made", "first"


@dataclass(frozen=True, slots=True)
class PlacedMember:
    """A layer of a chain, and where it reads and writes.

    Attributes:
        graph: The layer for some rows.
        chain: Name of the chain.
        places: C expression for the address of each operand by its position, of the output by -1.
        where: Place of the output, for people.
    """

    graph: Graph
    chain: str
    places: Mapping[int, str]
    where: str


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a loop: bytes from the beginning of a tensor or a ring on.

    Attributes:
        name: In C.
        value: At first.
        comment: What it says.
    """

    name: str
    value: int
    comment: str


@dataclass(frozen=True, slots=True)
class Case:
    """What a loop does for an action.

    Attributes:
        layer: The layer whose kernel is called first, empty for none.
        comment: What is done where no kernel is called.
        statements: Of C: function and arguments of a call, or a statement without arguments.
    """

    layer: str
    comment: str
    statements: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """A chain in C.

    Attributes:
        name: C name of the order.
        index: Number of the layer mark.
        comment: What it computes.
        variables: Where readers and writers stand.
        cases: What is done, by its number in the order.
        order: Numbers of cases; those from ``first`` to ``last`` are gone through ``again`` times
            more before the rest.
        again: How often.
        first: Index in ``order``.
        last: Index in ``order``, included.
    """

    name: str
    index: int
    comment: str
    variables: tuple[Variable, ...]
    cases: tuple[Case, ...]
    order: tuple[int, ...]
    again: int
    first: int
    last: int

    @property
    def layers(self) -> frozenset[str]:
        """Layers whose kernels it calls."""
        return frozenset(case.layer for case in self.cases if case.layer)

    @property
    def moves(self) -> bool:
        """Whether rows are moved."""
        return any(name.startswith(_FIRST) for it in self.cases for name, _ in it.statements)


def place_members(plan: MemoryPlan) -> Mapping[str, PlacedMember]:
    """Where the layers of all chains read and write, by layer."""
    return MappingProxyType(
        {
            member.node.name: _place_member(plan, chain, member)
            for chain in plan.chains
            for member in chain.members
        }
    )


def make_loop(plan: MemoryPlan, chain: Chain, name: str, index: int) -> Loop:
    """A chain as a loop, with the C name of its order and the number of its mark."""
    first, last, again = find_repetition(chain.order)
    period = last - first + 1
    rows = ", ".join(f"{it.node.name} {it.rows} of {it.rows * it.calls}" for it in chain.members)
    start = plan.rooms[chain.name]
    rings = f", rings in arena {start} .. {start + chain.ring_bytes - 1}" if chain.rings else ""
    return Loop(
        name,
        index,
        f"by rows: {rows} at a time{rings}",
        tuple(_list_variables(chain)),
        tuple(_describe_action(plan, chain, action) for action in chain.actions),
        chain.order[: last + 1] + chain.order[last + 1 + again * period :],
        again,
        first,
        last,
    )


def find_repetition(order: Sequence[int]) -> tuple[int, int, int]:
    """The part whose repetitions behind itself are the most actions.

    Returns:
        Its first and its last index, and how often it comes again; (0, -1, 0) where nothing does.
    """
    codes, best, found = np.asarray(order), 0, (0, -1, 0)
    for period in range(1, len(codes) // 2 + 1):
        start, length = _find_longest(codes[period:] == codes[:-period])
        again = length // period
        if again * period > best:
            best, found = again * period, (start, start + period - 1, again)
    return found


def _find_longest(same: np.ndarray) -> tuple[int, int]:
    """Start and length of the longest run of true values."""
    ends = np.flatnonzero(np.concatenate(([True], ~same, [True])))
    lengths = np.diff(ends) - 1
    longest = int(lengths.argmax())
    return int(ends[longest]), int(lengths[longest])


def _place_member(plan: MemoryPlan, chain: Chain, member: Member) -> PlacedMember:
    places = {
        position: _locate_rows(plan, chain, read.tensor, _name_read(chain, member, position))
        for position, read in member.reads.items()
    }
    output = member.node.output
    places[-1] = _locate_rows(plan, chain, output, _name_end(chain, output))
    ring = chain.rings.get(output)
    where = f"to a ring of {ring.rows} rows" if ring else "to the next rows"
    start = plan.rooms[chain.name] + ring.offset if ring else plan.offsets.get(output)
    where += f" in arena from {start} on" if start is not None else " of a state"
    return PlacedMember(member.graph, chain.name, MappingProxyType(places), where)


def _locate_rows(plan: MemoryPlan, chain: Chain, tensor: str, moved: str) -> str:
    ring = chain.rings.get(tensor)
    if ring is None:
        return locate(plan, tensor, moved)
    return locate_byte(plan.rooms[chain.name] + ring.offset, moved)


def _name_read(chain: Chain, member: Member, position: int) -> str:
    """C name of where a layer reads an operand."""
    number = f"{chain.members.index(member)}"
    return f"read_{number}" if len(member.reads) == 1 else f"read_{number}_{position}"


def _name_end(chain: Chain, tensor: str) -> str:
    """C name of where rows of a tensor end."""
    names = list(chain.rings)
    return f"end_{names.index(tensor)}" if tensor in names else _MADE


def _name_copied(chain: Chain, ring: Ring) -> str:
    """C name of how far a whole tensor was copied to a ring."""
    return f"copied_{list(chain.rings).index(ring.tensor)}"


def _list_variables(chain: Chain) -> Iterator[Variable]:
    for member, position, read in _list_reads(chain):
        value = read.first * read.row_bytes
        comment = f"{member.node.name} reads {read.tensor} from here on"
        yield Variable(_name_read(chain, member, position), value, comment)
    for ring in chain.rings.values():
        yield Variable(_name_end(chain, ring.tensor), 0, f"the ring of {ring.tensor} ends here")
        if ring.copied:
            comment = f"rows of {ring.tensor} are copied up to here"
            yield Variable(_name_copied(chain, ring), 0, comment)
    yield Variable(_MADE, 0, f"{chain.output} is computed up to here")


def _list_reads(chain: Chain) -> Iterator[tuple[Member, int, Read]]:
    for member in chain.members:
        for position, read in member.reads.items():
            yield member, position, read


def _describe_action(plan: MemoryPlan, chain: Chain, action: Action) -> Case:
    return _ACTIONS[action.kind](plan, chain, action.name)


def _compute(plan: MemoryPlan, chain: Chain, name: str) -> Case:
    member = next(it for it in chain.members if it.node.name == name)
    statements = [
        _add(_name_read(chain, member, position), read.step * read.row_bytes)
        for position, read in member.reads.items()
    ]
    output = member.graph.tensors[member.node.output].type
    size = output.format.tensor_bytes(output.shape)
    statements.append(_add(_name_end(chain, member.node.output), size))
    return Case(name, "", tuple(statements))


def _fill(plan: MemoryPlan, chain: Chain, name: str) -> Case:
    ring, end = chain.rings[name], _name_end(chain, name)
    target = _locate_rows(plan, chain, name, end)
    call = ("tq_pad", (target, f"{ring.fill}u", str(ring.row_bytes)))
    return Case("", f"a row of padding of {name}", (call, _add(end, ring.row_bytes)))


def _copy(plan: MemoryPlan, chain: Chain, name: str) -> Case:
    ring, end = chain.rings[name], _name_end(chain, name)
    size, copied = ring.copied * ring.row_bytes, _name_copied(chain, ring)
    places = _locate_rows(plan, chain, name, end), locate(plan, name, copied)
    call = ("tq_copy", (*places, str(size)))
    return Case("", f"the next rows of {name}", (call, _add(copied, size), _add(end, size)))


def _move(plan: MemoryPlan, chain: Chain, name: str) -> Case:
    ring, end = chain.rings[name], _name_end(chain, name)
    reads = [
        _name_read(chain, it, place) for it, place, r in _list_reads(chain) if r.tensor == name
    ]
    least = reads[0]
    for other in reads[1:]:
        least = f"tq_least({least}, {other})"
    start = locate_byte(plan.rooms[chain.name] + ring.offset)
    places = start, _locate_rows(plan, chain, name, _FIRST)
    moved = ("tq_copy", (*places, f"{end} - {_FIRST}"))
    returned = (_say(f"{it} -= {_FIRST};") for it in (*reads, end))
    comment = f"rows of {name} that are still read go to the beginning"
    return Case("", comment, (_say(f"{_FIRST} = {least};"), moved, *returned))


def _add(variable: str, size: int) -> tuple[str, tuple[str, ...]]:
    return _say(f"{variable} += {size};")


def _say(statement: str) -> tuple[str, tuple[str, ...]]:
    return statement, ()


_ACTIONS: Mapping[str, Callable[[MemoryPlan, Chain, str], Case]] = MappingProxyType(
    {COMPUTE: _compute, FILL: _fill, COPY: _copy, MOVE: _move}
)
