"""Depthwise convolution 3 x 3 on Arm v6-M: up to four outputs side by side in upper registers.

A word of the plane has a code of one channel. Codes of outputs are counted from the lowest one
until they are clipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from tinyq.kernels.armv6m.assembly import lay_frame
from tinyq.kernels.base import INT8, Bound, Part, Refusal
from tinyq.kernels.common.planes import Plane, Strips, bind_planes
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import FROM_LOWEST, Epilogue
from tinyq.kernels.registry import kernel
from tinyq.kernels.thumb import largest_divisor

_SOURCE = "armv6m/planes.j2"
_FRAME = lay_frame("bias", "multiplier", "addend", "shift", "room", "rows", "strips")
_MOST_OUTPUTS = 4
_SUMS, _WEIGHTS = 8, 2  # numbers of the first registers
_CODES = ("r5", "r6")


@dataclass(frozen=True, slots=True)
class Column:
    """A code of a line of windows, and what it is multiplied by.

    Attributes:
        loads: Registers of this code and the next one; empty where it is loaded already.
        code: Its register.
        products: Accumulator, weight, and whether the code is needed again.
    """

    loads: str
    code: str
    products: list[tuple[str, str, bool]]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of windows.

    Attributes:
        columns: Its codes.
        step: Bytes from its end to what is read next.
    """

    columns: list[Column]
    step: int


@kernel("depthwise2d", "s8", INT8, variant="planes", text="common/planes")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Outputs of bytes."""
    return bind_planes(layer, SingleChannels())


class SingleChannels(Plane):
    """Words of one channel."""

    channels = 1
    folding = FROM_LOWEST
    output_cost = 62

    def pick(self, columns: int, channels: int) -> Part:
        """``(x, plane)``: the codes at every pixel of a line, of so many channels, as words."""
        unroll = largest_divisor(columns, 8)
        values = {"repeats": columns // unroll, "unroll": unroll, "channels": channels}
        name = f"tq_pick_{columns}_{channels}"
        return Part(_SOURCE, "pick", name, MappingProxyType(values), shared=True)

    def channel(self, strips: Strips, epilogue: Epilogue) -> Part:
        """``(plane, y, w)``: the outputs of one channel."""
        whole, rest = divmod(strips.out_width, _MOST_OUTPUTS)
        left = strips.stride_height * strips.across - strips.out_width * strips.stride_width
        values = {
            "frame": _FRAME,
            "height": strips.out_height,
            "strips": whole,
            "strip": _list_lines(strips, _MOST_OUTPUTS),
            "strip_sums": _list_sums(_MOST_OUTPUTS),
            "rest": _list_lines(strips, rest) if rest else [],
            "rest_sums": _list_sums(rest),
            "back": left * 4,
            "apart": strips.apart,
            "epilogue": epilogue,
        }
        return Part(_SOURCE, "channel", "_channel", MappingProxyType(values))


def _list_sums(count: int) -> list[str]:
    return [f"r{_SUMS + index}" for index in range(count)]


def _list_lines(strips: Strips, count: int) -> list[Line]:
    """The three lines of windows side by side."""
    width = (count - 1) * strips.stride_width + 3
    columns = [_describe_column(strips, count, column, width) for column in range(width)]
    down = (strips.across - width) * 4
    back = (count * strips.stride_width - width - 2 * strips.across) * 4
    return [Line(columns, step) for step in (down, down, back)]


def _describe_column(strips: Strips, count: int, column: int, width: int) -> Column:
    odd = column % 2
    loads = "" if odd else ", ".join(_CODES[: width - column])
    taps = [(index, column - index * strips.stride_width) for index in range(count)]
    used = [(f"r{_SUMS + index}", f"r{_WEIGHTS + tap}") for index, tap in taps if 0 <= tap < 3]
    products = [(*it, place < len(used) - 1) for place, it in enumerate(used)]
    return Column(loads, _CODES[odd], products)
