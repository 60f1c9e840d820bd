"""Nearest-neighbour resizing: whole pixels by tables of rows and columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tinyq.errors import ModelError
from tinyq.graph import Op, Operand, Span, TensorType
from tinyq.graph.proofs import require_constant, require_values
from tinyq.numerics.formats import Codes


@dataclass(frozen=True, slots=True)
class PickPixels(Op):
    """Pixels of the input chosen by row and column.

        y[r, c, k] = x[rows[r], columns[c], k]

    Operands: x (height, width, channels), rows u16 (out_height), columns u16 (out_width).

    Twin: tq_pickpixels in templates/kernels/generic/pickpixels.c.j2.
    """

    kernel: ClassVar[str] = "pickpixels"
    formats: ClassVar[tuple[tuple[str, ...], ...]] = (("s8",), ("s16",))

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        x, rows, columns = types
        tables = len(rows.shape) == len(columns.shape) == 1
        if len(x.shape) != 3 or not tables or {rows.format.name, columns.format.name} != {"u16"}:
            raise ModelError(f"cannot pick pixels of {x} by {rows} and {columns}")
        shape = (rows.shape[0], columns.shape[0], x.shape[2])
        return TensorType(shape, x.format, x.scale, x.zero_point)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        x, rows, columns = codes
        return x[:, rows][:, :, columns]

    def prove(self, *operands: Operand) -> Span:
        """Check that all pixels lie inside the image."""
        x, *tables = operands
        for table, length in zip(tables, x.type.shape[:2], strict=True):
            require_values(require_constant(table, "a table of pixels"), "a pixel", (0, length - 1))
        return x.lo, x.hi

    def geometry(self, *types: TensorType) -> Mapping[str, int]:
        """Integers that the kernel's call needs."""
        x, rows, columns = types
        return {
            "in_width": x.shape[1],
            "channels": x.shape[2],
            "out_height": rows.shape[0],
            "out_width": columns.shape[0],
        }
