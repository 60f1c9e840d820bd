"""Dense layer: four channels at a time, from a row of codes as words in RAM."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from tinyq.kernels.base import Bound, Part, Refusal
from tinyq.kernels.geometry import DenseGeometry, divide_up, read_dense, round_up
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import ONCE, RAW, Epilogue
from tinyq.kernels.packing.record import Table

_BLOCK, _GROUP = 4, 4  # channels, inputs
_MOST_INPUTS = 8000
_WIDEN_COST, _ROW_COST = 2.3, 40  # instructions of an input, of a row


class Row(ABC):
    """Micro-kernels of a core.

    Attributes:
        product_cost: Instructions of a product.
        finish_cost: Instructions of four channels' outputs.
    """

    product_cost: ClassVar[float]
    finish_cost: ClassVar[int]

    @abstractmethod
    def refuse(self, layer: LayerSpec) -> str:
        """Why the constants do not fit, empty where they do."""

    @abstractmethod
    def pack(self, layer: LayerSpec) -> tuple[Table, Epilogue]:
        """The constants of a layer that is not refused, and integers for the text."""

    @abstractmethod
    def widen(self, count: int) -> Part:
        """``(x, wide)``: words of codes, zeros up to a multiple of four."""

    @abstractmethod
    def product(self, places: int, blocks: int, epilogue: Epilogue) -> Part:
        """``(w, x, y)``: outputs of all blocks of four channels, from words of codes."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the kernel's memory and loops come to.

    Attributes:
        g: The layer.
        row: The micro-kernels.
        raw: Whether sums are the outputs.
    """

    g: DenseGeometry
    row: Row
    raw: bool

    @property
    def places(self) -> int:
        """Inputs in whole groups."""
        return round_up(self.g.in_channels, _GROUP)

    @property
    def blocks(self) -> int:
        """Of four channels."""
        return divide_up(self.g.out_channels, _BLOCK)

    @property
    def output_bytes(self) -> int:
        """Bytes of an output."""
        return 4 if self.raw else 1

    @property
    def partial(self) -> bool:
        """Whether the last block lacks channels, so that a row is written beside y first."""
        return self.g.out_channels % _BLOCK != 0

    @property
    def outputs_at(self) -> int:
        """Outputs' places before such a row in scratch."""
        return self.places * 4 // self.output_bytes

    @property
    def scratch(self) -> int:
        """Bytes of scratch memory."""
        last = self.blocks * _BLOCK * self.output_bytes
        return self.places * 4 + (last if self.partial else 0)

    @property
    def cost(self) -> int:
        """Instructions."""
        each = _WIDEN_COST + self.blocks * _BLOCK * self.row.product_cost
        finished = self.blocks * self.row.finish_cost
        return int(self.g.rows * (self.places * each + finished + _ROW_COST))


def bind_row(layer: LayerSpec, row: Row) -> Bound | Refusal:
    """A dense layer by the micro-kernels of a core."""
    g = read_dense(layer)
    if reason := _refuse(layer, g) or row.refuse(layer):
        return Refusal(reason)
    sizes = Sizes(g, row, layer.epilogue == RAW)
    table, epilogue = row.pack(layer)
    return Bound(
        layer,
        sizes.cost,
        tables=(table,),
        scratch_bytes=sizes.scratch,
        parts=MappingProxyType(
            {
                "widen": row.widen(g.in_channels),
                "product": row.product(sizes.places, sizes.blocks, epilogue),
            }
        ),
        values=MappingProxyType({"s": sizes}),
    )


def _refuse(layer: LayerSpec, g: DenseGeometry) -> str:
    if layer.epilogue == ONCE and layer.output.format.bits != 8:
        return "outputs are no bytes"
    if layer.epilogue not in (ONCE, RAW):
        return f"the epilogue is {layer.epilogue}"
    if g.in_channels > _MOST_INPUTS:
        return "rows are too long"
    return ""
