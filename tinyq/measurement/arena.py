"""The arena as a drawing: what lies where and when, with labels that never touch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinyq.graph import Graph
from tinyq.memory.planner import MemoryPlan

# Of the drawing and of its text, in the units of its view box.
WIDTH, HEIGHT = 930, 285
_LINE, _CHARACTER, _MARGIN = 13.0, 7.0, 5.0
_FEWEST = 3  # characters of a name that is cut


@dataclass(frozen=True, slots=True)
class Block:
    """A tensor, rows of one, or a kernel's scratch memory, in the drawing of the arena.

    Attributes:
        name: Tensor, or the node whose kernel needs the scratch memory.
        kind: ``tensor`` or ``scratch``.
        size_bytes: Bytes.
        left: First node at which it lives, as a share of all, 0 .. 1.
        width: Nodes over which it lives, as a share.
        bottom: First byte, as a share of the arena.
        height: Bytes, as a share of the arena.
    """

    name: str
    kind: str
    size_bytes: int
    left: float
    width: float
    bottom: float
    height: float


def draw_arena(graph: Graph, plan: MemoryPlan) -> tuple[Block, ...]:
    """Where each tensor and each kernel's scratch memory lies in the arena, and when.

    A view is its tensor's bytes, so it makes the tensor live longer and is not drawn itself.
    """
    steps, arena = max(len(graph.nodes), 1), max(plan.arena_bytes, 1)

    def block(name: str, kind: str, place: tuple[int, int], life: tuple[int, int]) -> Block:
        offset, size = place
        first, last = life
        width = (last - first + 1) / steps
        return Block(name, kind, size, first / steps, width, offset / arena, size / arena)

    tensors = [
        block(name, "tensor", (offset, plan.sizes[name]), (first, _last_use(name, plan)))
        for name, offset in plan.offsets.items()
        if name not in plan.views
        for first in plan.lifetimes[name][:1]
    ]
    index = {node.name: place for place, node in enumerate(graph.nodes)}
    rings = [
        block(
            f"{ring.tensor} by rows",
            "scratch",
            (plan.rooms[chain.name] + ring.offset, ring.size_bytes),
            (index[chain.nodes[0].name], index[chain.nodes[-1].name]),
        )
        for chain in plan.chains
        for ring in chain.rings.values()
    ]
    scratch = [
        block(name, "scratch", place, (index[name], index[name]))
        for name, place in plan.scratch.items()
    ]
    return (*tensors, *rings, *scratch)


def _last_use(name: str, plan: MemoryPlan) -> int:
    """Last node that needs a tensor or a view of it."""
    views = (view for view in plan.views if plan.sharing.get(view) == name)
    return max([plan.lifetimes[name][1], *(_last_use(view, plan) for view in views)])


@dataclass(frozen=True, slots=True)
class Label:
    """Text in a block: a box that no other label touches, and that clips what it holds.

    Attributes:
        text: A name, cut where it is too long, with the size where there is room.
        x: Left edge, from the left of the drawing.
        y: Top edge, from the top of the drawing.
        width: Of the box.
        height: Of the box.
    """

    text: str
    x: float
    y: float
    width: float
    height: float

    def meets(self, other: Label) -> bool:
        """Whether two boxes have a point in common."""
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )


def place_labels(blocks: Sequence[Block]) -> tuple[Label, ...]:
    """Labels of the blocks that have room for one; the large blocks choose first."""
    placed: list[Label] = []
    for block in sorted(blocks, key=lambda it: (-it.width * it.height, it.name)):
        label = _fit_label(block)
        if label is not None and not any(label.meets(other) for other in placed):
            placed.append(label)
    return tuple(placed)


def _fit_label(block: Block) -> Label | None:
    width, height = WIDTH * block.width - 2 * _MARGIN, HEIGHT * block.height
    room = int(width / _CHARACTER)
    whole = f"{block.name} {block.size_bytes:,} B"
    if height < _LINE + 2 or room < min(_FEWEST, len(block.name)):
        return None
    cut = block.name if len(block.name) <= room else f"{block.name[: room - 1]}…"
    text = whole if len(whole) <= room else cut
    top = HEIGHT * (1 - block.bottom - block.height) + (height - _LINE) / 2
    length = min(width, _CHARACTER * len(text))
    return Label(text, WIDTH * block.left + _MARGIN, top, length, _LINE)
