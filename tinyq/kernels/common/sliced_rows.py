"""Binary dense layer with a threshold: counters of 32 channels in slices."""

from __future__ import annotations

from types import MappingProxyType

from tinyq.kernels.base import Bound, Refusal
from tinyq.kernels.common.slices import (
    THRESHOLD,
    Slices,
    find_block,
    list_parts,
    pack_counters,
    refuse_counters,
    refuse_inputs,
)
from tinyq.kernels.geometry import read_dense
from tinyq.kernels.layer import LayerSpec

_EXPAND_COST, _STEP_COST = 2, 0.02  # instructions of an input; of it for a channel


def bind_sliced_rows(layer: LayerSpec, slices: Slices) -> Bound | Refusal:
    """A dense layer by the micro-kernels of a core."""
    g = read_dense(layer)
    if layer.epilogue != THRESHOLD:
        return Refusal(f"the epilogue is {layer.epilogue}")
    if reason := refuse_inputs(slices, g.in_channels) or refuse_counters(layer):
        return Refusal(reason)
    counters = pack_counters(layer)
    each = _EXPAND_COST + g.out_channels * (slices.product_cost + _STEP_COST)
    return Bound(
        layer,
        int(g.rows * g.in_channels * each),
        tables=counters.tables,
        scratch_bytes=g.in_channels * 4,
        parts=MappingProxyType(list_parts(slices, g.in_channels, counters.levels)),
        values=MappingProxyType(
            {
                "levels": counters.levels,
                "groups": g.out_channels // 32,
                "words": g.in_channels // 32,
                "blocks": g.in_channels // find_block(g.in_channels),
            }
        ),
    )
