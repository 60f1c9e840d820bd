"""Dense layer on cores with MVE: six channels share each load of sixteen inputs."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tinyq.kernels.base import INT8, Bound, Part, Refusal
from tinyq.kernels.geometry import DenseGeometry, divide_up, read_dense, round_up
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.mve import vectors
from tinyq.kernels.mve.packing import (
    BLOCK,
    LANES,
    VectorFold,
    fold_vectors,
    pack_groups,
    pack_scales,
    refuse_finish,
    refuse_weights,
)
from tinyq.kernels.packing.epilogue import ONCE, RAW, TWICE
from tinyq.kernels.packing.order import by_channel
from tinyq.kernels.packing.record import Table
from tinyq.kernels.registry import kernel

_GROUP = 6  # channels
VECTOR_COST = 14  # instructions of a vector by a group, and of a group around its vectors
_SUMS = ("r0", "r2", "r4", "r6", "r8", "r10")
_WEIGHTS = ("q1", "q2", "q1", "q2", "q1", "q2")


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the kernel's memory comes to, in bytes.

    Attributes:
        g: The layer.
        raw: Whether sums are the results.
    """

    g: DenseGeometry
    raw: bool

    @property
    def padded(self) -> int:
        """A row of inputs in whole vectors."""
        return round_up(self.g.in_channels, BLOCK)

    @property
    def copied(self) -> bool:
        """Whether rows are copied to where zeros are behind them."""
        return self.padded != self.g.in_channels

    @property
    def sums(self) -> int:
        """Sums of a row, which lie before the copied row."""
        return 0 if self.raw else self.g.out_channels * 4

    @property
    def scratch(self) -> int:
        """Scratch memory."""
        return self.sums + (self.padded if self.copied else 0)


@kernel("dense", "s8", INT8, variant="sextets")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Six channels at a time."""
    g = read_dense(layer)
    if reason := _refuse(layer):
        return Refusal(reason)
    sizes, weights = Sizes(g, layer.epilogue == RAW), layer.weights
    assert weights is not None
    rows = by_channel(weights)
    fold = fold_vectors(layer, rows.sum(1))
    sixes, rest = divmod(g.out_channels, _GROUP)
    groups = (_GROUP,) * sixes + ((rest,) if rest else ())
    stream = pack_groups(rows[:, None] << fold.power, fold.bias, groups)
    table = Table("weights", stream, "groups of channels: biases, weights as bytes", "w")
    return Bound(
        layer,
        _count(sizes),
        tables=(table,) if sizes.raw else (table, pack_scales(fold)),
        scratch_bytes=sizes.scratch,
        parts=MappingProxyType(_list_parts(sizes, fold, sixes, rest)),
        values=MappingProxyType({"sizes": sizes}),
    )


def _refuse(layer: LayerSpec) -> str:
    if layer.epilogue not in (ONCE, TWICE, RAW):
        return f"the epilogue is {layer.epilogue}"
    reason = refuse_weights(layer)
    if reason or layer.epilogue == RAW:
        return reason
    assert layer.weights is not None
    return refuse_finish(layer, layer.weights.astype(np.int64))


def _list_parts(sizes: Sizes, fold: VectorFold, sixes: int, rest: int) -> dict[str, Part]:
    parts: dict[str, Part] = {}
    if sizes.copied:
        parts |= {"copy": vectors.copy_bytes(), "fill": vectors.fill_bytes()}
    parts["sum"] = sum_row(sixes, rest, sizes.padded // BLOCK)
    if fold.epilogue:
        parts["finish"] = vectors.finish_sums(fold.epilogue, sizes.g.out_channels)
    return parts


def sum_row(sixes: int, rest: int, blocks: int) -> Part:
    """``(w, x, sums)``: sums of a row of inputs by all channels, int32.

    Args:
        sixes: Groups of six channels.
        rest: Channels of one more group, 0 for none.
        blocks: Vectors of the row.
    """
    groups = [
        {"label": label, "count": count, "sums": _SUMS[:size], "weights": _WEIGHTS[:size]}
        for label, count, size in ((2, sixes, _GROUP), (3, 1, rest))
        if count and size
    ]
    values = {"groups": groups, "blocks": blocks}
    return Part("mve/dense_rows.j2", "sum_row", "_sum", MappingProxyType(values))


def _count(sizes: Sizes) -> int:
    g = sizes.g
    group = sizes.padded // BLOCK * VECTOR_COST + VECTOR_COST
    return g.rows * (
        divide_up(g.out_channels, _GROUP) * group + divide_up(g.out_channels, LANES) * 9 + 80
    )
