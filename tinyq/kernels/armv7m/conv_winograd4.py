"""Convolution by Winograd's tiles on Arm v7-M: four channels, 13 instructions for 8 products."""

from __future__ import annotations

from types import MappingProxyType

from tinyq.kernels.base import INT8, Bound, Part, Refusal
from tinyq.kernels.common.winograd_tiles import Tiles, bind_tiles
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import SHIFTING, Epilogue
from tinyq.kernels.packing.winograd import POSITIONS
from tinyq.kernels.registry import kernel
from tinyq.kernels.thumb import largest_divisor

_SOURCE = "armv7m/conv_winograd4.j2"
_INPUT_BYTES = 8  # of the panel


@kernel("conv2d", "s8", INT8, variant="winograd4", text="common/winograd_tiles")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Two tiles of 4 x 4 outputs at a time."""
    return bind_tiles(layer, FourChannels())


class FourChannels(Tiles):
    """Blocks of four channels."""

    channels = 4
    folding = SHIFTING
    product_cost = 1.7
    finish_cost = 450
    across_cost = 210
    down_cost = 30

    def product(self, count: int) -> Part:
        """``(w, panel, m)``: m[position][channel][tile] of four channels, from so many inputs."""
        unroll = largest_divisor(count, 16)
        values = {
            "panel": count * _INPUT_BYTES * POSITIONS,
            "position": count * _INPUT_BYTES,
            "looped": count != unroll,
            "unroll": unroll,
            # Sums of both tiles, for each channel.
            "sums": [(f"r{2 + 2 * c}", f"r{3 + 2 * c}") for c in range(self.channels)],
        }
        name = f"tq_tiles_{count}"
        return Part(_SOURCE, "product", name, MappingProxyType(values), shared=True)

    def code(self, epilogue: Epilogue) -> Part:
        """``(acc, constants)``: the code of an accumulator, in C."""
        factor = 1 << epilogue.power
        scaled = f"(acc * {factor})" if epilogue.power else "acc"
        values = MappingProxyType({"epilogue": epilogue, "scaled": scaled})
        return Part(_SOURCE, "code", "_code", values)
