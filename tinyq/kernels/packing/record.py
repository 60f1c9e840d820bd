"""Records: what one entry of a packed table holds, declared once.

    PAIR = Record("bias:2", "weights:places*2", "multiplier:2")

packs the table, says how long an entry is, and draws the diagram in the docstring of the module
that declares it. Lengths are in words of 32 bits: a product of numbers and of names of sizes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinyq.kernels.packing.words import Words


@dataclass(frozen=True, slots=True)
class Field:
    """A part of a record.

    Attributes:
        name: What it holds.
        factors: Numbers and names of sizes; their product is its length in words.
    """

    name: str
    factors: tuple[str, ...]

    def count(self, sizes: Mapping[str, int]) -> int:
        """Its words."""
        return math.prod(int(it) if it.isdigit() else sizes[it] for it in self.factors)


@dataclass(frozen=True, slots=True)
class Table:
    """Words that a kernel reads.

    Attributes:
        name: Last part of the table's C name.
        words: uint32, one axis.
        comment: What they are.
        parameter: Name of the kernel's parameter; the table's own where it is empty.
    """

    name: str
    words: Words
    comment: str
    parameter: str = ""


class Record:
    """One entry of a table.

    Args:
        fields: ``name:length``, in order.
    """

    def __init__(self, *fields: str) -> None:
        parts = (field.partition(":") for field in fields)
        self.fields = tuple(Field(name, tuple(length.split("*"))) for name, _, length in parts)

    def count_words(self, **sizes: int) -> int:
        """Words of a record."""
        return sum(field.count(sizes) for field in self.fields)

    def locate(self, name: str, **sizes: int) -> int:
        """Words before a field."""
        names = [field.name for field in self.fields]
        return sum(field.count(sizes) for field in self.fields[: names.index(name)])

    def pack(self, sizes: Mapping[str, int], **fields: npt.NDArray[np.uint32]) -> Words:
        """Records one after the other.

        Args:
            sizes: The names of sizes and their values.
            fields: Words of each field, one row per record or flat.

        Raises:
            ValueError: A field has another length than was declared, or is missing.
        """
        if set(fields) != {field.name for field in self.fields}:
            raise ValueError(f"fields are {self}, not {sorted(fields)}")
        counts = [field.count(sizes) for field in self.fields]
        rows = max(
            fields[field.name].size // count
            for field, count in zip(self.fields, counts, strict=True)
            if count
        )
        columns = []
        for field, count in zip(self.fields, counts, strict=True):
            words = fields[field.name]
            if words.dtype != np.uint32 or words.size != rows * count:
                raise ValueError(
                    f"{field.name} has {words.size} {words.dtype}, not {rows} * {count} words"
                )
            columns.append(words.reshape(rows, count))
        return np.concatenate(columns, axis=1).reshape(-1)

    def draw(self) -> str:
        """The diagram of a record: lengths in words.

        +------+---------------+
        | bias | weights       |
        | 2    | places*2      |
        +------+---------------+
        """
        names = [field.name for field in self.fields]
        lengths = ["*".join(field.factors) for field in self.fields]
        widths = [max(map(len, pair)) for pair in zip(names, lengths, strict=True)]
        line = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
        rows = (
            "| " + " | ".join(map(str.ljust, texts, widths)) + " |" for texts in (names, lengths)
        )
        return "\n".join((line, *rows, line))

    def __str__(self) -> str:
        """Return the declaration."""
        return ", ".join(f"{it.name}:{'*'.join(it.factors)}" for it in self.fields)
