"""C expressions for the places of activations."""

from __future__ import annotations

from tinyq.memory.planner import MemoryPlan


def locate(plan: MemoryPlan, name: str, moved: str = "") -> str:
    """C expression for the address of an activation, or of what is so many bytes behind it."""
    if name in plan.held:
        return _address("TQ_STATE", plan.held[name], moved)
    return locate_byte(plan.offsets[name], moved)


def locate_byte(offset: int, moved: str = "") -> str:
    """C expression for the address of a byte of the arena, or of one behind it."""
    return _address("TQ_ARENA", offset, moved)


def _address(macro: str, offset: int, moved: str) -> str:
    return f"{macro}({offset} + {moved})" if moved else f"{macro}({offset})"
