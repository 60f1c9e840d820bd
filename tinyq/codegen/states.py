"""States in C: what a reset writes, and what is copied when a step has ended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyq.codegen.places import locate
from tinyq.graph import Graph, State, Tensor
from tinyq.memory.planner import MemoryPlan
from tinyq.memory.states import ALIGNMENT


@dataclass(frozen=True, slots=True)
class Filling:
    """Words of the state's memory that a reset sets to one value.

    Attributes:
        start: Index of the first one.
        count: How many.
        value: An unsigned 32-bit integer.
        names: Of the states.
    """

    start: int
    count: int
    value: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FirstValue:
    """A state whose first codes are no words of one value.

    Attributes:
        name: C name of the table.
        tensor: The codes.
        offset: Of the state, in bytes.
    """

    name: str
    tensor: Tensor
    offset: int


@dataclass(frozen=True, slots=True)
class Copy:
    """What becomes the value of a state when the step has ended.

    Attributes:
        state: Name of the state.
        value: Name of the tensor.
        source: C expression of its address.
        offset: Of the state, in bytes.
        count: Bytes.
    """

    state: str
    value: str
    source: str
    offset: int
    count: int


def list_fillings(graph: Graph, plan: MemoryPlan) -> tuple[Filling, ...]:
    """States that a reset fills with one word, those side by side with the same word together."""
    found: list[Filling] = []
    for state in graph.states:
        value = _find_word(graph, state)
        if value is None:
            continue
        start = plan.held[state.name] // ALIGNMENT
        count = -(-plan.sizes[state.name] // ALIGNMENT)
        last = found[-1] if found else None
        if last and (last.start + last.count, last.value) == (start, value):
            found[-1] = Filling(last.start, last.count + count, value, (*last.names, state.name))
        else:
            found.append(Filling(start, count, value, (state.name,)))
    return tuple(found)


def list_first_values(graph: Graph, plan: MemoryPlan) -> tuple[FirstValue, ...]:
    """States that a reset copies from tables."""
    return tuple(
        FirstValue(
            f"first_{index}",
            Tensor(state.name, graph.tensors[state.name].type, _first_codes(graph, state)),
            plan.held[state.name],
        )
        for index, state in enumerate(graph.states)
        if _find_word(graph, state) is None
    )


def list_copies(graph: Graph, plan: MemoryPlan) -> tuple[Copy, ...]:
    """Next values of states that do not lie in the place of the old ones."""
    copies = []
    for state, value in plan.copies:
        size = graph.tensors[state].type.packed_bytes
        copies.append(Copy(state, value, locate(plan, value), plan.held[state], size))
    return tuple(copies)


def _first_codes(graph: Graph, state: State) -> np.ndarray:
    return np.ascontiguousarray(np.broadcast_to(state.first, graph.tensors[state.name].type.shape))


def _find_word(graph: Graph, state: State) -> int | None:
    """A word of C elements that are all elements of the first codes; None where some differ."""
    kind = graph.tensors[state.name].type
    packed = np.asarray(kind.format.pack(_first_codes(graph, state)), np.uint8).reshape(-1)
    unit = packed[: kind.format.word_bytes]
    if not np.array_equal(np.resize(unit, len(packed)), packed):
        return None
    return int(np.resize(unit, ALIGNMENT).view("<u4")[0])
