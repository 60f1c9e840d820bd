"""Where states live: in memory of their own, which keeps its bytes from one step to the next.

The next value of a state is written in the place of the old one where nobody reads that afterwards;
elsewhere it is copied when the step has ended.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from tinyq.graph import Graph
from tinyq.memory.placement import Block, Pair

ALIGNMENT = 4


def align(size: int) -> int:
    """The next multiple of `ALIGNMENT` from a number of bytes on, which may be negative."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def measure_states(graph: Graph) -> int:
    """Bytes of a graph's states, each from a multiple of 4 on."""
    return sum(align(graph.tensors[it.name].type.packed_bytes) for it in graph.states)


def place_states(
    graph: Graph,
    block_of: Mapping[str, int],
    blocks: Sequence[Block],
    given: Container[int],
    takeovers: Container[Pair],
) -> dict[int, int]:
    """Byte offsets in the state's memory of the blocks that live there.

    Args:
        graph: A verified graph.
        block_of: Block of each activation.
        blocks: All blocks.
        given: Those that hold an input or an output, whose place is the arena.
        takeovers: Pairs of blocks the second of which a node may write over the first.
    """
    held: dict[int, int] = {}
    start = 0
    for state in graph.states:
        held[block_of[state.name]] = start
        start += align(graph.tensors[state.name].type.packed_bytes)
    for state in graph.states:
        old, new = block_of[state.name], block_of[state.next]
        over = blocks[old].last < blocks[new].first or (old, new) in takeovers
        if over and new not in given and new not in held and blocks[new].size <= blocks[old].size:
            held[new] = held[old]
    return held
