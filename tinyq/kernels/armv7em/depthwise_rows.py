"""Depthwise convolution 3 x 3 on Arm v7E-M: four channels at a time.

Codes of four channels are spread to lines of words (row r, row r + 1), so that one word is a column
of two rows: SMLAD with (w0, w1) or (w1, w2) does two taps. With stride 1 two words side by side, of
rows r - 1, r and r + 1, r + 2, serve two rows of outputs: 8 products for 9 taps of both. With
stride 2 one line of outputs is done at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from tinyq.kernels.armv7em.rowpairs import (
    Constants,
    fetch_constants,
    filter_rows,
    pack_constants,
    refuse_constants,
    spread_rows,
)
from tinyq.kernels.base import INT8, Bound, Part, Refusal
from tinyq.kernels.common.memory import fill_words
from tinyq.kernels.geometry import WindowGeometry, read_window, round_up
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.registry import kernel

MOST_LINE, MOST_WIDTH = 4092, 500
_CONSTANT_BYTES = 160  # of four channels in RAM
_COST, _UNPACK_COST = 15, 14  # instructions of an output, of unpacking a channel
_ALL_BYTES, _BOTH_HALVES = 0x01010101, 0x00010001


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the kernel's memory and loops come to, in words where nothing else is said.

    Attributes:
        g: The layer.
    """

    g: WindowGeometry

    @property
    def line(self) -> int:
        """Bytes of a line of x."""
        return self.g.in_width * self.g.in_channels

    @property
    def out_line(self) -> int:
        """Bytes of a line of y."""
        return self.g.out_width * self.g.in_channels

    @property
    def columns(self) -> int:
        """Columns of a padded line."""
        return self.g.in_width + 2

    @property
    def next(self) -> int:
        """Padded lines of four channels."""
        return self.columns * 8

    @property
    def channel(self) -> int:
        """From channel to channel of them."""
        return self.columns * 2

    @property
    def outside(self) -> int:
        """Bytes before a line of zero points in scratch."""
        return self.columns * 64

    @property
    def outside_words(self) -> int:
        """Words before it."""
        return self.columns * 16

    @property
    def outside_length(self) -> int:
        """Words of it."""
        return round_up(self.line, 4) // 4

    @property
    def constants(self) -> int:
        """Words before the constants in scratch."""
        return (self.outside + self.line + 3) // 4

    @property
    def scratch(self) -> int:
        """Bytes of scratch memory."""
        return self.outside + round_up(self.line, 4) + _CONSTANT_BYTES

    @property
    def zeros(self) -> int:
        """Four zero points."""
        return self.g.x_zero % 256 * _ALL_BYTES

    @property
    def wide_zeros(self) -> int:
        """Two zero points as int16."""
        return self.g.x_zero % 65536 * _BOTH_HALVES


@kernel("depthwise2d", "s8", INT8, variant="rowpairs")
def bind_rows(layer: LayerSpec) -> Bound | Refusal:
    """Stride 1, padding 1."""
    return _bind_single(layer, packed=False)


@kernel("depthwise2d", "s8", (INT8, "b1"), variant="packedrowpairs")
def bind_packed_rows(layer: LayerSpec) -> Bound | Refusal:
    """Stride 1, padding 1; a byte a weight in flash."""
    return _bind_single(layer, packed=True)


def _bind_single(layer: LayerSpec, *, packed: bool) -> Bound | Refusal:
    g = read_window(layer)
    if reason := _refuse_single(layer, g) or refuse_constants(layer):
        return Refusal(reason)
    constants = pack_constants(layer, packed=packed)
    parts = list_parts(g, constants)
    if g.in_height > 1:
        parts["rows"] = filter_rows(g.in_width, g.in_channels, 2, constants.epilogue)
    if g.in_height % 2:
        parts["row"] = filter_rows(g.in_width, g.in_channels, 1, constants.epilogue)
    # The last four channels overlap others where their number is no multiple of four.
    in_place = () if g.in_channels % 4 else (0,)
    return bind_sizes(layer, Sizes(g), constants, parts, (_COST, in_place))


def list_parts(g: WindowGeometry, constants: Constants) -> dict[str, Part]:
    """Functions that bring constants and codes of four channels to RAM."""
    return {
        "fetch": fetch_constants(constants),
        "fill": fill_words(),
        "spread": spread_rows(g.in_width, g.in_channels),
    }


def bind_sizes(
    layer: LayerSpec,
    sizes: Sizes,
    constants: Constants,
    parts: dict[str, Part],
    rest: tuple[int, tuple[int, ...]],
) -> Bound:
    """What all of them have in common; then instructions of an output and the operands in place."""
    g, (cost, in_place) = sizes.g, rest
    unpacking = g.out_channels * _UNPACK_COST if constants.packed else 0
    return Bound(
        layer,
        g.out_pixels * g.out_channels * cost + unpacking,
        tables=(constants.table,),
        scratch_bytes=sizes.scratch,
        in_place=in_place,
        parts=MappingProxyType(parts),
        values=MappingProxyType(
            {
                "s": sizes,
                "constants": constants,
                "partial": g.in_channels % 4 != 0,
                "both": g.in_height % 2 != 0 and g.in_height > 1,
                "single": g.in_height == 1,
            }
        ),
    )


def _refuse_single(layer: LayerSpec, g: WindowGeometry) -> str:
    steps = (g.stride_height, g.stride_width, g.pad_top, g.pad_left)
    if reason := refuse_window(layer, g):
        return reason
    if steps != (1, 1, 1, 1) or (g.out_height, g.out_width) != (g.in_height, g.in_width):
        return "the output is not as large as the input"
    if g.in_channels < 4:
        return "there are less than four channels"
    if g.in_width < 3 or g.in_width * g.in_channels > MOST_LINE or g.in_width > MOST_WIDTH:
        return "lines are too short or too long"
    return refuse_output(layer)


def refuse_window(layer: LayerSpec, g: WindowGeometry) -> str:
    """Why it is no window of 3 x 3 of single channels, empty where it is."""
    if layer.geometry["multiplicity"] != 1:
        return "a channel has several outputs"
    sizes = (g.kernel_height, g.kernel_width, g.dilation_height, g.dilation_width)
    return "" if sizes == (3, 3, 1, 1) else "the window is not 3 x 3"


def refuse_output(layer: LayerSpec) -> str:
    """Why outputs are no bytes, empty where they are."""
    return "outputs are no bytes" if layer.output.format.bits != 8 else ""
