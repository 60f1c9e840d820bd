"""How a tensor lies in time: which of its axes is time, and what its columns stand for."""

from __future__ import annotations

from dataclasses import dataclass

from tinyq.graph.tensors import Shape


@dataclass(frozen=True, slots=True)
class Timeline:
    """The columns of a tensor along time.

    A column is what the tensor has at one place of the axis. Column j + 1 is what column j was
    ``stride`` frames later; the last one is the newest.

    Attributes:
        axis: Of the shape without batch.
        stride: Frames of the input from one column to the next.
        length: Columns of the window version.
        fill: Code of columns before the first one.
        padded: How many of the first columns depend on where the window begins.
    """

    axis: int
    stride: int
    length: int
    fill: int
    padded: int = 0

    def count_new(self, step: int) -> int:
        """Columns that a step of so many frames changes."""
        return min(self.length, step // self.stride)

    def resize(self, shape: Shape, columns: int) -> Shape:
        """A shape with another number of columns."""
        return (*shape[: self.axis], columns, *shape[self.axis + 1 :])


@dataclass(frozen=True, slots=True)
class Reach:
    """Columns of an input that an output reads.

    Output column j reads the columns from ``scale * j + first`` on, ``extent`` of them. Where the
    output has no time any more, it reads ``extent`` columns from ``first`` on.

    Attributes:
        scale: Columns of the input from one column of the output to the next.
        first: Of column 0; negative where padding stands for columns before the first.
        extent: How many, up to the newest that the window version has, whether read or not.
    """

    scale: int
    first: int
    extent: int

    def first_of(self, column: int) -> int:
        """First column of the input that some column of the output reads."""
        return self.scale * column + self.first


@dataclass(frozen=True, slots=True)
class Trace:
    """How an operation hands on time.

    Attributes:
        line: Of the output; None where time ends, so that all of it is computed in each step.
        reaches: For each input what is read of it; None for one that has no time.
        pads: Whether columns before the first of an input are read, which padding stands for.
        carries: Whether a column depends on all columns before it, from the first one on.
    """

    line: Timeline | None
    reaches: tuple[Reach | None, ...]
    pads: bool = False
    carries: bool = False
