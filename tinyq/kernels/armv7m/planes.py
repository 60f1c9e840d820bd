"""Depthwise convolution 3 x 3 on Arm v7-M: two outputs side by side, nine weights in registers.

A word of the plane has the codes of four channels, so that four channels share each copy.
"""

from __future__ import annotations

from types import MappingProxyType

from tinyq.kernels.base import INT8, Bound, Part, Refusal
from tinyq.kernels.common.planes import Plane, Strips, bind_planes
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import SHIFTING, Epilogue
from tinyq.kernels.registry import kernel
from tinyq.kernels.thumb import largest_divisor

_SOURCE = "armv7m/planes.j2"
_MOST_STEP = 255  # of a load or store that moves its base
_MOST_FLAT = 3  # pairs of outputs that are written out
_FIRST, _SECOND = "r11", "r12"  # accumulators
_WEIGHTS = 2  # number of the first weight's register


@kernel("depthwise2d", "s8", INT8, variant="planes", text="common/planes")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Outputs of bytes."""
    return bind_planes(layer, FourChannels())


class FourChannels(Plane):
    """Words of four channels."""

    channels = 4
    folding = SHIFTING
    output_cost = 22

    def pick(self, columns: int, channels: int) -> Part:
        """``(x, plane)``: the words at every pixel of a line, of so many channels each."""
        unroll = largest_divisor(columns, 8)
        values = {
            "repeats": columns // unroll,
            "unroll": unroll,
            "channels": channels,
            "narrow": channels <= _MOST_STEP,
        }
        name = f"tq_pick_{columns}_{channels}"
        return Part(_SOURCE, "pick", name, MappingProxyType(values), shared=True)

    def channel(self, strips: Strips, epilogue: Epilogue) -> Part:
        """``(plane, y, w)``: the outputs of one channel; plane at its bytes."""
        pairs, odd = divmod(strips.out_width, 2)
        unroll = pairs if pairs <= _MOST_FLAT else largest_divisor(pairs, _MOST_FLAT)
        step = strips.stride_width * 4
        values = {
            "height": strips.out_height,
            "repeats": pairs // unroll if pairs else 0,
            "unrolled": range(unroll),
            "pair": _list_products(strips, 2),
            "pair_step": 2 * step,
            "last": _list_products(strips, 1) if odd else [],
            "last_step": step,
            "back": (strips.stride_height * strips.across - strips.out_width * strips.stride_width)
            * 4,
            "apart": strips.apart,
            "narrow": strips.apart <= _MOST_STEP,
            "epilogue": epilogue,
        }
        return Part(_SOURCE, "channel", "_channel", MappingProxyType(values))


def _list_products(strips: Strips, count: int) -> list[tuple[int, list[tuple[str, str]]]]:
    """Offsets of codes, and of each its products: accumulators and registers of weights."""
    found = []
    for column in range(3 + (count - 1) * strips.stride_width):
        for row in range(3):
            places = [(_FIRST, column)]
            if count == 2:
                places.append((_SECOND, column - strips.stride_width))
            products = [
                (accumulator, f"r{_WEIGHTS + 3 * row + place}")
                for accumulator, place in places
                if 0 <= place < 3
            ]
            if products:
                found.append(((row * strips.across + column) * 4, products))
    return found
