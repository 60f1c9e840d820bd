"""Convolution by Winograd's tiles on Arm v6-M: two channels, 25 instructions for 8 products.

Codes are counted from the lowest one until they are clipped.
"""

from __future__ import annotations

from types import MappingProxyType

from tinyq.kernels.base import INT8, Bound, Part, Refusal
from tinyq.kernels.common.winograd_tiles import Tiles, bind_tiles
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import FROM_LOWEST, Epilogue
from tinyq.kernels.packing.winograd import POSITIONS
from tinyq.kernels.registry import kernel
from tinyq.kernels.thumb import largest_divisor

_SOURCE = "armv6m/conv_winograd4.j2"
_INPUT_BYTES = 8  # of the panel


@kernel("conv2d", "s8", INT8, variant="winograd4", text="common/winograd_tiles")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Two tiles of 4 x 4 outputs at a time."""
    return bind_tiles(layer, TwoChannels())


class TwoChannels(Tiles):
    """Blocks of two channels."""

    channels = 2
    folding = FROM_LOWEST
    product_cost = 3.3
    finish_cost = 1330
    across_cost = 350
    down_cost = 50

    def product(self, count: int) -> Part:
        """``(w, panel, m)``: m[position][channel][tile] of two channels, from so many inputs."""
        unroll = largest_divisor(count // 2, 8)
        values = {
            "panel": count * _INPUT_BYTES * POSITIONS,
            "position": count * _INPUT_BYTES,
            "looped": unroll * 2 != count,
            "unroll": unroll,
        }
        name = f"tq_tiles_{count}"
        return Part(_SOURCE, "product", name, MappingProxyType(values), shared=True)

    def code(self, epilogue: Epilogue) -> Part:
        """``(acc, constants)``: the code of an accumulator, in C; its product from halves."""
        power = 1 if epilogue.twice else epilogue.power
        lo = epilogue.lo
        values = {
            "epilogue": epilogue,
            "multiplier": 2 if epilogue.twice else 1,
            "scaled": f"acc * {1 << power}" if power else "acc",
            "result": f"code {'-' if lo < 0 else '+'} {abs(lo)}" if lo else "code",
        }
        return Part(_SOURCE, "code", "_code", MappingProxyType(values))
