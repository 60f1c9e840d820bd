"""Tensors: their types, what is known of them before a run, and what is kept between runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tinyq.numerics.formats import Codes, Format

Shape = tuple[int, ...]
Span = tuple[int, int]
MAX_ELEMENTS = 2**28
"""Of a tensor, so that its bytes and its addresses are 32-bit integers."""


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape without the batch axis, number format, and what the codes mean.

    Attributes:
        shape: Without batch; images are (height, width, channels).
        format: Number format of the codes.
        scale: Real value of one code step, or None where codes are plain integers.
        zero_point: Code that stands for the real number 0.
    """

    shape: Shape
    format: Format
    scale: float | None = None
    zero_point: int = 0

    @property
    def packed_bytes(self) -> int:
        """Bytes of one packed tensor, with the table of its format."""
        return self.format.tensor_bytes(self.shape) + self.format.table_bytes

    @property
    def words(self) -> int:
        """Elements of the C array that holds one packed tensor."""
        return self.format.tensor_bytes(self.shape) // self.format.word_bytes

    @property
    def rows(self) -> int:
        """Rows along the innermost axis."""
        return math.prod(self.shape[:-1])

    def __str__(self) -> str:
        return f"{self.format.name}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A named tensor; ``codes`` holds the value of a constant and is None for an activation."""

    name: str
    type: TensorType
    codes: Codes | None = None

    @property
    def is_constant(self) -> bool:
        """Whether the value is part of the model."""
        return self.codes is not None


@dataclass(frozen=True, slots=True, eq=False)
class Operand:
    """What is known of a node's input before it runs.

    Attributes:
        type: Its type.
        lo: Smallest code that it can have.
        hi: Largest code that it can have.
        codes: Its value where it is a constant, else None.
    """

    type: TensorType
    lo: int
    hi: int
    codes: Codes | None = None


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What a graph keeps from one step to the next.

    Attributes:
        name: A tensor that nodes read and none computes: its value of the step before.
        next: The tensor, computed by a node or an input, whose value it takes when a step ends.
        first: Its codes after a reset, int32: of its shape, or one code of shape () for all of it.
    """

    name: str
    next: str
    first: Codes

    @property
    def fill(self) -> int | None:
        """The one code that all of it has after a reset; None where there are several."""
        lowest = int(self.first.min())
        return lowest if lowest == int(self.first.max()) else None
