"""Free room in the arena for copies of the caller's buffers, where these are not aligned."""

from __future__ import annotations

from collections.abc import Mapping

from tinyq.graph import Graph
from tinyq.memory.planner import ARENA, STATE, MemoryPlan
from tinyq.memory.states import ALIGNMENT


def find_rooms(graph: Graph, plan: MemoryPlan) -> Mapping[str, int | None]:
    """Where in the arena the caller's buffers could be copied to, without a byte more of it.

    The room of a buffer is free at every node that needs something in the buffer, and apart from
    the rooms of others at the same nodes.

    Args:
        graph: A verified graph.
        plan: Its memory plan.

    Returns:
        Byte offset, a multiple of 4, by the label of the buffer; None where there is no room.
    """
    taken = [
        (plan.offsets[name], plan.offsets[name] + plan.sizes[name], plan.lifetimes[name])
        for name in plan.offsets
    ]
    places = {node.name: place for place, node in enumerate(graph.nodes)}
    taken += [
        (offset, offset + size, (places[name], places[name]))
        for name, (offset, size) in plan.scratch.items()
    ]
    found: dict[str, int | None] = {}
    for label in dict.fromkeys(plan.buffers.values()):
        if label in (ARENA, STATE):
            continue
        names = [name for name, buffer in plan.buffers.items() if buffer == label]
        size = max(plan.sizes[name] for name in names)
        first = min(plan.lifetimes[name][0] for name in names)
        last = max(plan.lifetimes[name][1] for name in names)
        offset = _first_gap(taken, size, (first, last))
        found[label] = offset if offset + size <= plan.arena_bytes else None
        if found[label] is not None:
            taken.append((offset, offset + size, (first, last)))
    return found


def _first_gap(
    taken: list[tuple[int, int, tuple[int, int]]], size: int, life: tuple[int, int]
) -> int:
    candidate = 0
    for begin, end, (first, last) in sorted(taken):
        if last < life[0] or life[1] < first:
            continue
        if candidate + size <= begin:
            break
        candidate = max(candidate, -(-end // ALIGNMENT) * ALIGNMENT)
    return candidate
