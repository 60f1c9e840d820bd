"""Convolution of any window and epilogue on Arm v7E-M, weights packed in as few bits as hold them.

Some times four columns share the weights of a pair of channels that were unpacked for them. Their
sums are left to the epilogue's own function. Fewer columns at a time take less RAM and unpack
weights more often.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from tinyq.kernels.armv7em.columns import estimate_column, list_column_parts
from tinyq.kernels.armv7em.packed_blocks import (
    collect_four,
    count_unpacked,
    estimate_unpacking,
    limit_panels,
    list_unpacking,
    unpack_weights,
)
from tinyq.kernels.armv7em.packed_weights import (
    PAIR,
    Form,
    GainedFold,
    find_form,
    pack_packed,
)
from tinyq.kernels.armv7em.quads import QuadSums
from tinyq.kernels.base import INT8, Bound, Refusal
from tinyq.kernels.common.blocks import Outputs, Stream
from tinyq.kernels.common.epilogue import estimate_epilogue
from tinyq.kernels.epilogues import find_accumulator
from tinyq.kernels.geometry import WindowGeometry, divide_up, read_window, round_up
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.leads import lead_lines
from tinyq.kernels.packing.epilogue import Epilogue
from tinyq.kernels.packing.order import by_channel
from tinyq.kernels.packing.words import Int64s
from tinyq.kernels.registry import kernel

_MOST_PANELS, _FEW_PANELS = 4, 2
_PLACE_COST, _PAIR_COST, _COLLECT_COST, _BLOCK_COST = 11.2, 34, 14, 70


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the kernel's memory and loops come to; words where nothing else is said.

    Attributes:
        g: The layer.
        form: How weights lie in flash.
        most: Panels at a time, at most.
    """

    g: WindowGeometry
    form: Form
    most: int

    @property
    def column(self) -> int:
        """Bytes of a column."""
        return round_up(self.g.kernel_height * self.g.line_taps, 4)

    @property
    def column_words(self) -> int:
        """Words of a column."""
        return self.column // 4

    @property
    def places(self) -> int:
        """Pairs of places."""
        return self.column // 2

    @property
    def panel(self) -> int:
        """Bytes of a panel."""
        return self.places * 16

    @property
    def panel_words(self) -> int:
        """Words of a panel."""
        return self.panel // 4

    @property
    def panels(self) -> int:
        """Panels at a time."""
        most = min(limit_panels(self.panel), self.most)
        return min(most, divide_up(self.g.out_pixels, 4))

    @property
    def pairs(self) -> int:
        """Pairs of channels."""
        return divide_up(self.g.out_channels, 2)

    @property
    def record(self) -> int:
        """Words of a pair of channels in flash."""
        return PAIR.locate("weights", tail=0) + divide_up(self.places * self.form.width, 8)

    @property
    def codes(self) -> int:
        """Codes that the fields of a listed form mean."""
        return 1 << self.form.width

    @property
    def levels(self) -> int:
        """The table of pair indices, before all else in scratch."""
        return self.form.listed

    @property
    def unpacked(self) -> int:
        """Biases and unpacked weights of a pair of channels."""
        return 2 + count_unpacked(self.places) // 4

    @property
    def panels_at(self) -> int:
        """Words before the panels in scratch."""
        return self.levels + self.unpacked

    @property
    def columns_at(self) -> int:
        """Words before four columns in scratch."""
        return self.panels_at + self.panels * self.panel_words

    @property
    def sums_at(self) -> int:
        """Words before the sums in scratch."""
        return self.columns_at + self.column

    @property
    def scratch(self) -> int:
        """Bytes of scratch memory."""
        return 4 * (self.sums_at + self.panels * 4 * self.g.out_channels)

    @property
    def odd(self) -> bool:
        """Whether the last pair has the channel before it once more."""
        return self.g.out_channels % 2 == 1

    @property
    def last_pair(self) -> int:
        """Which pair is the last."""
        return self.pairs - 1

    @property
    def last_channel(self) -> int:
        """The first channel of the last pair."""
        return self.g.out_channels - 2


@kernel("conv2d", "s8", (INT8, "b1"), variant="packedcolumns")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Up to four panels at a time."""
    return _bind(layer, _MOST_PANELS)


@kernel("conv2d", "s8", (INT8, "b1"), variant="slimcolumns")
def bind_slim(layer: LayerSpec) -> Bound | Refusal:
    """Up to two panels at a time."""
    return _bind(layer, _FEW_PANELS)


def _bind(layer: LayerSpec, most: int) -> Bound | Refusal:
    if reason := _refuse(layer):
        return Refusal(reason)
    g, flat = read_window(layer), _flatten(layer)
    form = find_form(flat)
    reach = _reach(layer)
    if int(reach.max()) << form.gain >= 2**31:
        return Refusal("sums leave int32")
    sizes = Sizes(g, form, most)
    if most < _MOST_PANELS and sizes.panels == Sizes(g, form, _MOST_PANELS).panels:
        return Refusal("there are no more panels at a time anyway")
    assert flat.weights is not None
    bias = -g.x_zero * flat.weights.astype(np.int64).sum(1) << form.gain
    fold = GainedFold(bias, np.zeros((len(bias), 0), np.int64), Epilogue(), 0)
    table = pack_packed(flat, form, fold)
    stream = Stream(table, sizes.record, Epilogue())
    parts = {
        **list_column_parts(g, 8),
        "collect": collect_four(),
        **list_unpacking(form),
        "product": QuadSums().product(stream, sizes.column_words, Outputs(0, False, False)),
    }
    return Bound(
        layer,
        round(_estimate(layer, sizes)),
        tables=(table,),
        scratch_bytes=sizes.scratch,
        leads=lead_lines(layer),
        parts=MappingProxyType(parts),
        values=MappingProxyType(
            {
                "s": sizes,
                "g": g,
                "unpack": unpack_weights(form).name,
                "codes": form.codes,
                "factor": 1 << form.gain,
                "stride": layer.output.words // g.out_pixels,
                "y_format": layer.output.format.name,
            }
        ),
        calls_epilogue=True,
    )


def _refuse(layer: LayerSpec) -> str:
    weights = layer.weights
    if weights is None or not layer.epilogue:
        return "the constants are no constants"
    if find_accumulator(layer.epilogue) != "int32_t":
        return f"the epilogue {layer.epilogue} takes no int32"
    return "there is one channel" if len(weights) < 2 else ""


def _reach(layer: LayerSpec) -> Int64s:
    assert layer.weights is not None
    entry, zero = layer.inputs[0].format, layer.geometry["x_zero"]
    farthest = max(entry.hi - zero, zero - entry.lo, -entry.lo)
    reach: Int64s = np.abs(by_channel(layer.weights)).sum(1) * farthest
    return reach


def _flatten(layer: LayerSpec) -> LayerSpec:
    """The layer with the taps of a window in one line."""
    assert layer.weights is not None
    flat = layer.weights.reshape(len(layer.weights), -1)
    return replace(layer, operands=(*layer.operands[:-1], flat))


def _estimate(layer: LayerSpec, s: Sizes) -> float:
    g = s.g
    panels = divide_up(g.out_pixels, 4)
    products = panels * s.pairs * (s.places * _PLACE_COST + _PAIR_COST)
    unpacking = divide_up(panels, s.panels) * s.pairs * estimate_unpacking(layer, s.places)
    columns = panels * 4 * (estimate_column(g, 8) + 12 + s.column / 16 * _COLLECT_COST)
    finish = g.out_pixels * g.out_channels * (estimate_epilogue(layer) + 5)
    return products + unpacking + columns + finish + panels * _BLOCK_COST
