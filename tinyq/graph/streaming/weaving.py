"""The graph of a step in the making: nodes for new columns, and rings of the columns before."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Graph, GraphBuilder, Span, TensorType
from tinyq.graph.ops.append import Append
from tinyq.graph.ops.strided_copy import StridedCopy
from tinyq.graph.streaming.timeline import Timeline

_COPIED = frozenset(name for (name,) in StridedCopy.formats)
Need = tuple[str, int]
"""A tensor of the window version, and the code of what is before its first column."""


@dataclass(slots=True)
class Weaving:
    """What is known while a step is made.

    Attributes:
        window: The window version.
        lines: Timelines of its tensors.
        frames: Frames of the window.
        step: Frames of a step.
        longest: Most columns that a node reads of each tensor.
        spans: Smallest and largest code of each tensor, where known.
        builder: The step so far.
    """

    window: Graph
    lines: Mapping[str, Timeline]
    frames: int
    step: int
    longest: Mapping[Need, int]
    spans: Mapping[str, Span]
    builder: GraphBuilder
    _rings: dict[tuple[Need, int], str] = field(default_factory=dict)
    _held: dict[tuple[Need, int], str] = field(default_factory=dict)

    def type_of(self, source: str) -> TensorType:
        """Type of a tensor in the window version."""
        return self.window.tensors[source].type

    def count_new(self, source: str) -> int:
        """Columns of a tensor that a step changes."""
        return self.lines[source].count_new(self.step)

    def name(self, wanted: str) -> str:
        """The name, or the nearest that no tensor has, in the step or the window version."""
        while self.builder.has(wanted) or wanted in self.window.tensors:
            wanted += "_"
        return wanted

    def take(self, source: str) -> str:
        """A tensor without time: a constant is added when it is first read."""
        tensor = self.window.tensors[source]
        if tensor.codes is not None and not self.builder.has(source):
            kind = tensor.type
            self.builder.constant(source, tensor.codes, kind.format, kind.scale, kind.zero_point)
        return source

    def hold(self, need: Need, columns: int) -> str:
        """The newest columns of a tensor: what a step brings, as it is or cut, or a ring."""
        source, _ = need
        new = self.count_new(source)
        if columns == new:
            return source
        if (need, columns) in self._held:
            return self._held[need, columns]
        if columns < new:
            found = self._cut(source, source, new, columns)
        elif self.length_of_ring(need, columns) == columns:
            found = self._append(need, columns)
        else:
            longest = self.length_of_ring(need, columns)
            found = self._cut(source, self.hold(need, longest), longest, columns)
        self._held[need, columns] = found
        return found

    def length_of_ring(self, need: Need, columns: int) -> int:
        """Columns of the ring that holds so many: readers share the longest, where it can be cut.

        Codes of less than a byte cannot be cut, so that each reader of them has its own.
        """
        return self.longest[need] if self.type_of(need[0]).format.name in _COPIED else columns

    def find_ring(self, need: Need, columns: int) -> str:
        """The state that holds columns of a tensor, with those of the step before in it."""
        if (need, columns) not in self._rings:
            source, fill = need
            kind = self.type_of(source)
            line = self.lines[source]
            if line.axis == len(kind.shape) - 1 and kind.format.bits % 8:
                raise ModelError(
                    f"time is the last axis of {kind}, whose codes have no address of their own",
                    where=source,
                    remedy="use codes of 8 bits here, or another axis for time",
                )
            shape = line.resize(kind.shape, columns)
            kept = TensorType(shape, kind.format, kind.scale, kind.zero_point)
            name = self.builder.add_state(self.name(f"{source}_ring"), kept, fill)
            self._rings[need, columns] = name
        return self._rings[need, columns]

    def _append(self, need: Need, columns: int) -> str:
        source, _ = need
        ring = self.find_ring(need, columns)
        operation = Append(self.lines[source].axis)
        held = self.builder.apply(self.name(f"{source}_held"), operation, ring, source)
        self.builder.keep(ring, held)
        return held

    def _cut(self, source: str, held: str, columns: int, wanted: int) -> str:
        """The newest of some columns."""
        kind = self.builder.type(held)
        if kind.format.name not in _COPIED:
            raise ModelError(
                f"the newest {wanted} of {columns} columns of {kind} have no address of their own",
                where=source,
                remedy="use a kernel at least as long as its stride along time, or codes of 8 bits",
            )
        axis = self.lines[source].axis
        shape = self.lines[source].resize(kind.shape, wanted)
        strides = tuple(math.prod(kind.shape[place + 1 :]) for place in range(len(shape)))
        copy = StridedCopy(shape, strides, (columns - wanted) * strides[axis])
        return self.builder.apply(self.name(f"{source}_newest_{wanted}"), copy, held)

    def crop(self, source: str, axis: int, columns: int) -> str:
        """Columns of a constant that has the same code in all of them."""
        tensor = self.window.tensors[source]
        assert tensor.codes is not None
        name = f"{source}_columns"
        if not self.builder.has(name):
            codes = np.take(tensor.codes, range(columns), axis=axis)
            kind = tensor.type
            self.builder.constant(name, codes, kind.format, kind.scale, kind.zero_point)
        return name
