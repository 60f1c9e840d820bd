"""Affine views of a tensor: every transpose and slice is one strided copy."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tinyq.graph import Shape
from tinyq.graph.ops.strided_copy import MAX_RANK, StridedCopy
from tinyq.importers.tflite.layer import Layer, graph_shape


@dataclass(frozen=True, slots=True)
class View:
    """Shape, strides in elements, and first element of a view."""

    shape: Shape
    strides: tuple[int, ...]
    start: int = 0

    @classmethod
    def of(cls, shape: Shape) -> View:
        """The whole of a row-major tensor."""
        strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
        return cls(shape, strides)

    def transposed(self, order: list[int]) -> View:
        """Axes in another order."""
        return View(
            tuple(self.shape[axis] for axis in order),
            tuple(self.strides[axis] for axis in order),
            self.start,
        )

    def sliced(self, axis: int, begin: int, step: int, count: int) -> View:
        """Every ``step``-th index of an axis from ``begin`` on, ``count`` of them."""
        shape, strides = list(self.shape), list(self.strides)
        start = self.start + begin * strides[axis]
        shape[axis], strides[axis] = count, strides[axis] * step
        return View(tuple(shape), tuple(strides), start)

    def without(self, axis: int) -> View:
        """Without an axis of one element."""
        keep = [place for place in range(len(self.shape)) if place != axis]
        return self.transposed(keep)


def copy_view(layer: Layer, name: str, view: View, suffix: str = "") -> str:
    """Add the node that makes a view a tensor; a mere reshape where the order is the same."""
    shape = graph_shape(view.shape)
    have = math.prod(layer.builder.type(name).shape)
    steps = [
        (size, stride) for size, stride in zip(view.shape, view.strides, strict=True) if size > 1
    ]
    plain = [stride for _, stride in steps] == [
        math.prod(size for size, _ in steps[place + 1 :]) for place in range(len(steps))
    ]
    if plain and view.start == 0 and math.prod(shape) == have:
        return layer.reshape(name, shape, suffix or "view")
    if len(view.shape) > MAX_RANK:
        shape, kept = _merged(steps)
    else:
        kept = view.strides if len(view.shape) == len(shape) else view.strides[1:]
    return layer.apply(StridedCopy(shape, kept or (1,), view.start), name, suffix=suffix)


def _merged(steps: list[tuple[int, int]]) -> tuple[Shape, tuple[int, ...]]:
    """Sizes and strides with neighbours joined where they are one axis in memory."""
    found: list[tuple[int, int]] = []
    for size, stride in steps:
        if found and found[-1][1] == size * stride:
            found[-1] = (found[-1][0] * size, stride)
        else:
            found.append((size, stride))
    return tuple(size for size, _ in found), tuple(stride for _, stride in found)
