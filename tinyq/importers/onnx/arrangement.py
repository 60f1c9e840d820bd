"""Where the elements of a tensor of a file lie in a tensor of the graph: a view with strides.

ONNX puts channels first, a graph last. A view keeps the order of the file while the graph has its
own, so a change of layout, a transpose or a flattening is a matter of numbers, and elements move
only where an operation needs another order than they have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.graph import Shape

Atom = tuple[int, int]  # size above 1, and distance in elements of the graph's tensor
Axis = tuple[Atom, ...]


@dataclass(frozen=True, slots=True)
class View:
    """Axes of a file's tensor, each of parts with a stride.

    Attributes:
        axes: Of each axis its parts, the outer first; none for an axis of one element.
        start: Place of the first element.
    """

    axes: tuple[Axis, ...]
    start: int = 0

    @classmethod
    def of(cls, shape: Sequence[int], order: Sequence[int] | None = None) -> View:
        """A tensor whose axes lie in memory in ``order``, the outer first; as they are if None."""
        axes: list[Axis] = [()] * len(shape)
        stride = 1
        for axis in reversed(order if order is not None else range(len(shape))):
            if shape[axis] > 1:
                axes[axis] = ((shape[axis], stride),)
            stride *= shape[axis]
        return cls(tuple(axes))

    @property
    def shape(self) -> Shape:
        """Shape in the file."""
        return tuple(math.prod(size for size, _ in axis) for axis in self.axes)

    @property
    def elements(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    def transposed(self, order: Sequence[int]) -> View:
        """Axes in another order."""
        return replace(self, axes=tuple(self.axes[axis] for axis in order))

    def reshaped(self, shape: Sequence[int]) -> View | None:
        """The same elements under another shape; None where strides cannot say it."""
        atoms = [atom for axis in self.axes for atom in axis][::-1]
        axes: list[Axis] = []
        for size in shape:
            parts: list[Atom] = []
            while size > 1:
                if not atoms:
                    return None
                length, stride = atoms.pop()
                if size % length == 0:
                    parts.append((length, stride))
                    size //= length
                elif length % size == 0:
                    inner = length // size
                    parts.append((size, stride * inner))
                    atoms.append((inner, stride))
                    size = 1
                else:
                    return None
            axes.append(tuple(parts))
        return None if atoms else replace(self, axes=tuple(axes))

    def sliced(self, axis: int, first: int, step: int, count: int) -> View | None:
        """``count`` elements of an axis from ``first`` on; None where strides cannot say it."""
        parts = self.axes[axis]
        if (first, step, count) == (0, 1, self.shape[axis]):
            return self
        if len(parts) > 1:
            return None
        stride = parts[0][1] if parts else 0
        chosen: Axis = ((count, stride * step),) if count > 1 else ()
        axes = (*self.axes[:axis], chosen, *self.axes[axis + 1 :])
        return View(axes, self.start + first * stride)

    def broadcast(self, shape: Sequence[int]) -> View | None:
        """Repeated along axes of one element, as NumPy does; None where shapes do not fit."""
        missing = len(shape) - len(self.axes)
        if missing < 0:
            return None
        axes: list[Axis] = []
        for size, axis in zip(shape, ((),) * missing + self.axes, strict=True):
            if math.prod(length for length, _ in axis) == size:
                axes.append(axis)
            elif not axis:
                axes.append(((size, 0),))
            else:
                return None
        return replace(self, axes=tuple(axes))

    def atoms(self, order: Sequence[int]) -> list[Atom]:
        """Parts of the axes in an order, neighbours that lie side by side joined."""
        found: list[Atom] = []
        for axis in order:
            for size, stride in self.axes[axis]:
                if found and found[-1][1] == stride * size:
                    found[-1] = (found[-1][0] * size, stride)
                else:
                    found.append((size, stride))
        return found

    def is_dense(self, order: Sequence[int], elements: int) -> bool:
        """Whether a tensor of so many elements is this one with its axes in ``order``."""
        wanted = [] if elements == 1 else [(elements, 1)]
        return self.start == 0 and self.atoms(order) == wanted

    def indices(self) -> npt.NDArray[np.int64]:
        """Place of every element in the graph's tensor, under the shape of the file."""
        found: npt.NDArray[Any] = np.full((), self.start, np.int64)
        for axis in self.axes:
            for size, stride in axis:
                found = found[..., None] + np.arange(size, dtype=np.int64) * stride
        return found.reshape(self.shape)

    def dense(self, axes: Sequence[int]) -> tuple[int, ...]:
        """Order in which the given axes lie in memory, the outer first."""
        strides = {axis: max((step for _, step in self.axes[axis]), default=0) for axis in axes}
        return tuple(sorted(axes, key=lambda axis: -strides[axis]))


def channel_last(rank: int) -> tuple[int, ...]:
    """Order of the axes of (batch, channels, ...) that puts channels last."""
    return tuple(range(rank)) if rank < 3 else (0, *range(2, rank), 1)
