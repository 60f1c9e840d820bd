"""Depthwise convolution on cores with MVE: two neighbouring pixels by eight channels.

Pixels lie in padded lines in RAM; a line is copied before the output may take its place.
VMULLB multiplies the even lanes of sixteen bits, VMULLT the odd ones, so that each half of a
record has the even channels before the odd ones; exponents only where the epilogue rounds twice.

    +------+---------+-----------------+---------------+----------------+--------------+
    | bias | weights | even_multiplier | even_exponent | odd_multiplier | odd_exponent |
    | 8    | taps*2  | 4               | twice*4       | 4              | twice*4      |
    +------+---------+-----------------+---------------+----------------+--------------+
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.kernels.base import INT8, Bound, Part, Refusal
from tinyq.kernels.geometry import WindowGeometry, divide_up, read_window, round_up
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.mve import vectors
from tinyq.kernels.mve.packing import (
    VectorEpilogue,
    VectorFold,
    fold_vectors,
    refuse_finish,
    refuse_weights,
)
from tinyq.kernels.packing.order import taps_by_channel
from tinyq.kernels.packing.record import Record, Table
from tinyq.kernels.packing.words import Int64s, Words, byte_words, to_words
from tinyq.kernels.registry import kernel

OCTET = Record(
    "bias:8",
    "weights:taps*2",
    "even_multiplier:4",
    "even_exponent:twice*4",
    "odd_multiplier:4",
    "odd_exponent:twice*4",
)
TAP_COST = 10.5  # instructions of eight channels of two pixels
_FINISH_COST, _CLIP_COST, _TWICE_COST = 30, 4, 14
_CHANNELS = 8
_MOST_TAPS = 49
_MOST_STEP = 60_000  # bytes from line to line of a window
_FAR = 128  # bytes from which on a vector load has no immediate offset


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the kernel's memory comes to, in bytes.

    Attributes:
        g: The layer.
    """

    g: WindowGeometry

    @property
    def bytes(self) -> int:
        """A line of x."""
        return self.g.in_width * self.g.in_channels

    @property
    def row(self) -> int:
        """A padded line."""
        g = self.g
        windows = ((g.out_width - 1) * g.stride_width + g.kernel_width) * g.in_channels
        return round_up(max(windows, (g.pad_left + g.in_width) * g.in_channels), 4)

    @property
    def scratch(self) -> int:
        """The padded lines, and what the last vector reads behind them."""
        return self.row * self.g.window_height + 16

    @property
    def held(self) -> int:
        """Lines that the next line of outputs needs again."""
        return max(self.g.window_height - self.g.stride_height, 0)

    @property
    def pixel(self) -> int:
        """From window to window."""
        return self.g.stride_width * self.g.in_channels


@kernel("depthwise2d", "s8", INT8, variant="octets")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Two pixels by eight channels at a time."""
    g = read_window(layer)
    sizes = Sizes(g)
    if reason := _refuse(layer, sizes):
        return Refusal(reason)
    weights = layer.weights
    assert weights is not None
    taps = taps_by_channel(weights)
    fold = fold_vectors(layer, taps.sum(1))
    comment = "eight channels: biases, weights as bytes, constants of the epilogue"
    assert fold.epilogue is not None
    same = g.stride_height == 1 and g.out_height == g.in_height and g.out_width <= g.in_width
    return Bound(
        layer,
        round(_count(sizes, fold.epilogue)),
        tables=(Table("weights", _pack(taps << fold.power, fold), comment, "w"),),
        scratch_bytes=sizes.scratch,
        in_place=(0,) if same and g.pad_top < g.window_height else (),
        parts=MappingProxyType(
            {
                "copy": vectors.copy_bytes(),
                "fill": vectors.fill_bytes(),
                "product": multiply_octets(g, fold.epilogue, sizes.row * g.dilation_height),
            }
        ),
        values=MappingProxyType({"sizes": sizes}),
    )


def _refuse(layer: LayerSpec, sizes: Sizes) -> str:
    g = sizes.g
    if layer.geometry["multiplicity"] != 1:
        return "channels have several outputs"
    if g.dilation_width != 1:
        return "taps lie apart"
    if g.out_width < 2:
        return "a line of outputs is one pixel"
    if g.kernel_height * g.kernel_width > _MOST_TAPS or sizes.row * g.dilation_height > _MOST_STEP:
        return "the window is too large"
    if reason := refuse_weights(layer):
        return reason
    assert layer.weights is not None
    return refuse_finish(layer, taps_by_channel(layer.weights))


def _pack(taps: Int64s, fold: VectorFold) -> Words:
    more = -len(taps) % _CHANNELS
    padded = np.pad(taps, ((0, more), (0, 0))).reshape(-1, _CHANNELS, taps.shape[1])
    twice = len(fold.tables) - 1
    halves = [_split(table) for table in fold.tables] + [np.zeros((0, 8), np.uint32)]
    return OCTET.pack(
        {"taps": taps.shape[1], "twice": twice},
        bias=_split(fold.bias),
        weights=byte_words(padded.swapaxes(1, 2)),
        even_multiplier=halves[0][:, :4],
        even_exponent=halves[1][:, :4],
        odd_multiplier=halves[0][:, 4:],
        odd_exponent=halves[1][:, 4:],
    )


def _split(values: npt.NDArray[Any]) -> Words:
    """Words of eight channels in a row each, even channels first."""
    words = np.pad(to_words(values), (0, -len(values) % _CHANNELS)).reshape(-1, _CHANNELS)
    return np.concatenate([words[:, 0::2], words[:, 1::2]], axis=1)


def multiply_octets(g: WindowGeometry, epilogue: VectorEpilogue, line: int) -> Part:
    """``(w, x, y)``: all channels of two neighbouring pixels.

    Args:
        g: The layer.
        epilogue: Its integers.
        line: Bytes from line to line of a window.
    """
    values = {
        "taps": [_list_taps(g)] * g.kernel_height,
        "first": g.stride_width == 1,
        "channels": g.in_channels,
        "octets": divide_up(g.in_channels, _CHANNELS),
        "tail": g.in_channels % _CHANNELS > 0,
        "line": line,
        "epilogue": epilogue,
    }
    return Part("mve/depthwise_octets.j2", "multiply", "_product", MappingProxyType(values))


def _list_taps(g: WindowGeometry) -> list[dict[str, Any]]:
    """Vectors of both pixels for each tap of a line, and which of them are loaded from where.

    With a stride of 1 the second pixel's codes are the first one's at the next tap.
    """
    taps = []
    for j in range(g.kernel_width):
        first, second = ("q4", "q5") if g.stride_width != 1 or j % 2 == 0 else ("q5", "q4")
        places = [(second, (j + g.stride_width) * g.in_channels)]
        if g.stride_width != 1:
            places.insert(0, (first, j * g.in_channels))
        loads = [{"to": to, "offset": at, "far": at >= _FAR} for to, at in places]
        taps.append({"first": first, "second": second, "loads": loads})
    return taps


def estimate_octet(taps: int, epilogue: VectorEpilogue) -> float:
    """Instructions of eight channels of two pixels."""
    clip = 0 if epilogue.whole else _CLIP_COST
    return taps * TAP_COST + _FINISH_COST + clip + (_TWICE_COST if epilogue.twice else 0)


def _count(sizes: Sizes, epilogue: VectorEpilogue) -> float:
    g = sizes.g
    copied = g.out_height * g.window_height * (sizes.bytes // 16 * 3 + 20)
    octet = estimate_octet(g.kernel_height * g.kernel_width, epilogue)
    pair = divide_up(g.in_channels, _CHANNELS) * octet + 40
    return g.out_height * divide_up(g.out_width, 2) * pair + copied
