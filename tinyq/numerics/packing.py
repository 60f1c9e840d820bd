"""What stored bits mean: a dataclass for each way from the bits of a code to the code.

*Codes* are the integers that a tensor holds, *fields* the bits that are stored for each. Where the
fields lie in memory is the affair of `tinyq.numerics.formats`.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from tinyq.errors import TinyqError

Int64s = npt.NDArray[np.int64]
Rows = tuple[tuple[int, ...], ...]

MOST = 127  # magnitude of a code that a table makes: every code is an int8
OUTSIDE = -1


@dataclass(frozen=True, slots=True)
class Coding(ABC):
    """A set of codes and the field of each.

    Attributes:
        table: What each tensor brings along, ``levels``, ``basis`` or ``scales``; empty where the
            field alone says the code.
        step: Distance of neighbouring codes; 2 for binary (-1, +1), else 1.
    """

    table: ClassVar[str] = ""
    step: ClassVar[int] = 1

    @property
    @abstractmethod
    def span(self) -> tuple[int, int]:
        """Smallest and largest code; -127 and 127 while a table is missing."""

    @property
    def values(self) -> tuple[int, ...]:
        """The table as integers in the order of the C array; empty without one."""
        return ()

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers that a kernel needs beside the table."""
        return ()

    @property
    def channel_axis(self) -> int | None:
        """Axis of the output channels that the table counts, 0 or -1; None where it counts none."""
        return None

    @abstractmethod
    def encode(self, codes: Int64s) -> Int64s:
        """Fields of codes within the span; -1 for a code that no field means."""

    @abstractmethod
    def decode(self, fields: Int64s) -> Int64s:
        """Codes of fields."""

    def take(self, kept: npt.NDArray[np.bool_]) -> Self:
        """The coding of a tensor that keeps the output channels for which ``kept`` is true."""
        del kept
        return self


@dataclass(frozen=True, slots=True)
class Range(Coding):
    """Integers in two's complement: codes = {lo, lo + 1, ..., hi}.

    Attributes:
        bits: Stored bits.
        lo: Smallest code; where it is negative, the highest bit is the sign.
        hi: Largest code.
    """

    bits: int
    lo: int
    hi: int

    @property
    def span(self) -> tuple[int, int]:
        """Smallest and largest code."""
        return self.lo, self.hi

    def encode(self, codes: Int64s) -> Int64s:
        """Fields of codes."""
        return codes & ((1 << self.bits) - 1)

    def decode(self, fields: Int64s) -> Int64s:
        """Codes of fields."""
        if self.lo >= 0:
            return fields
        return fields - ((fields >> (self.bits - 1)) << self.bits)


@dataclass(frozen=True, slots=True)
class Signs(Coding):
    """Field 0 is +1, field 1 is -1."""

    step: ClassVar[int] = 2

    @property
    def span(self) -> tuple[int, int]:
        """Smallest and largest code."""
        return -1, 1

    def encode(self, codes: Int64s) -> Int64s:
        """Fields of codes."""
        return np.where(codes == 0, OUTSIDE, (codes < 0).astype(np.int64))

    def decode(self, fields: Int64s) -> Int64s:
        """Codes of fields."""
        return 1 - 2 * fields


@dataclass(frozen=True, slots=True)
class Listed(Coding):
    """A list of codes, the same for all tensors: code = levels[field].

    Attributes:
        levels: Code of each field. One may come twice; it is stored as the first field that means
            it.
    """

    levels: tuple[int, ...] = ()

    @property
    def span(self) -> tuple[int, int]:
        """Smallest and largest code."""
        return min(self.levels, default=-MOST), max(self.levels, default=MOST)

    def encode(self, codes: Int64s) -> Int64s:
        """Fields of codes."""
        low, high = self.span
        found = np.full(high - low + 1, OUTSIDE, np.int64)
        for field, level in reversed(list(enumerate(self.levels))):
            found[level - low] = field
        return np.asarray(found[codes - low], np.int64)

    def decode(self, fields: Int64s) -> Int64s:
        """Codes of fields."""
        return np.asarray(self.levels, np.int64)[fields]


@dataclass(frozen=True, slots=True)
class Codebook(Listed):
    """A list of codes for each tensor."""

    table: ClassVar[str] = "levels"

    @property
    def values(self) -> tuple[int, ...]:
        """The table in the order of the C array."""
        return self.levels


@dataclass(frozen=True, slots=True)
class _Rows(Coding):
    """A table with a row for each output channel."""

    rows: Rows = ()

    @property
    def values(self) -> tuple[int, ...]:
        """The table in the order of the C array."""
        return tuple(chain(*self.rows))

    @property
    def channel_axis(self) -> int | None:
        """Axis of the output channels."""
        return 0 if self.rows else None

    def take(self, kept: npt.NDArray[np.bool_]) -> Self:
        """The coding of some of the output channels."""
        if not self.rows:
            return self
        rows = (row for row, keep in zip(self.rows, kept, strict=True) if keep)
        return replace(self, rows=tuple(rows))

    def require_channels(self, channels: int) -> None:
        """Raise a TinyqError unless there is a row for each channel."""
        if len(self.rows) != channels:
            raise TinyqError(
                f"there are {self.table} for {len(self.rows)} channels, the tensor has {channels}",
                remedy=f"give the {self.table} of the tensor",
            )


@dataclass(frozen=True, slots=True)
class Basis(_Rows):
    """Signs times numbers of the output channel: code = sum_i sign_i * rows[channel][i].

    Bit i of the field is 0 for a sign of +1.

    Attributes:
        rows: Numbers of each output channel.
        axis: Axis of the output channels, 0 or -1.
    """

    table: ClassVar[str] = "basis"

    axis: int = 0

    @property
    def span(self) -> tuple[int, int]:
        """Smallest and largest code."""
        most = max((sum(map(abs, row)) for row in self.rows), default=MOST)
        return -most, most

    @property
    def channel_axis(self) -> int | None:
        """Axis of the output channels."""
        return self.axis if self.rows else None

    def encode(self, codes: Int64s) -> Int64s:
        """Fields of codes."""
        choices = self._choices(codes.shape)
        moved = np.moveaxis(codes, self.axis, 0)
        equal = moved.reshape(len(moved), moved[0].size, 1) == choices[:, None, :]
        fields = np.where(equal.any(axis=-1), equal.argmax(axis=-1), OUTSIDE)
        return np.moveaxis(fields.reshape(moved.shape), 0, self.axis)

    def decode(self, fields: Int64s) -> Int64s:
        """Codes of fields."""
        moved = np.moveaxis(fields, self.axis, 0)
        flat = np.take_along_axis(
            self._choices(fields.shape), moved.reshape(len(moved), moved[0].size), axis=1
        )
        return np.moveaxis(flat.reshape(moved.shape), 0, self.axis)

    def _choices(self, shape: tuple[int, ...]) -> Int64s:
        """Code of every field of each channel, shape (channels, fields)."""
        self.require_channels(shape[self.axis])
        rows = np.array(self.rows, np.int64)
        bits = np.arange(rows.shape[1])
        signs = 1 - 2 * ((np.arange(1 << len(bits)) >> bits[:, None]) & 1)
        return np.asarray(rows @ signs, np.int64)


@dataclass(frozen=True, slots=True)
class Scales(_Rows):
    """Ternary times the scale of a group: code = t * scale, field 0, 1, 2 for t = 0, +1, -1.

    Attributes:
        rows: Scales of each output channel, the first axis, in the order of the weights.
        group: Codes that share a scale, counted from the start of each row of the innermost axis.
    """

    table: ClassVar[str] = "scales"

    group: int = 0

    @property
    def span(self) -> tuple[int, int]:
        """Smallest and largest code."""
        most = max(chain(*self.rows), default=MOST)
        return -most, most

    @property
    def sizes(self) -> tuple[int, ...]:
        """Codes that share a scale."""
        return (self.group,)

    def encode(self, codes: Int64s) -> Int64s:
        """Fields of codes."""
        fields = np.where(codes == 0, 0, np.where(codes > 0, 1, 2))
        meant = (codes == 0) | (np.abs(codes) == self._spread(codes.shape))
        return np.where(meant, fields, OUTSIDE)

    def decode(self, fields: Int64s) -> Int64s:
        """Codes of fields."""
        return ((fields & 1) - (fields >> 1)) * self._spread(fields.shape)

    def _spread(self, shape: tuple[int, ...]) -> Int64s:
        """Scale of each code."""
        self.require_channels(shape[0])
        groups = -(-shape[-1] // self.group)
        scales = np.array(self.rows, np.int64)
        if scales.size != int(np.prod(shape[:-1])) * groups:
            raise TinyqError(
                f"{scales.size} scales of groups of {self.group} do not fit weights {shape}",
                remedy="give one scale for each group of each row",
            )
        wide = np.repeat(scales.reshape(*shape[:-1], groups), self.group, axis=-1)
        return np.asarray(wide[..., : shape[-1]], np.int64)


def check_integers(numbers: Iterable[int], what: str) -> tuple[int, ...]:
    """Numbers of a table, which are integers and give codes of eight bits.

    Raises:
        TinyqError: One leaves -127 .. 127; the message begins with ``what``.
    """
    integers = tuple(operator.index(number) for number in numbers)
    if max(map(abs, integers), default=0) > MOST:
        raise TinyqError(f"{what} leave -{MOST} .. {MOST}")
    return integers
