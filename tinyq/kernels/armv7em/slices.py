"""Binary layers on Arm v7E-M and v7-M: counters of 32 channels, bit by bit in words.

Two full adders in a row take z + x1 + y1 + x2 + y2, with p = x xor y in place of y, in eight
instructions, and give the sum in z and the carries in the same form, for the slice above.

    u = (x1 ^ z) | p1;  s1 = z ^ p1;  v = (x2 ^ s1) & ~p2;  z' = s1 ^ p2
    carries a = u ^ s1 and b = ..., a ^ b = u ^ v

Four places are 16 instructions on the lowest slice, 8 on the next for every eight places, and so
on.
"""

from __future__ import annotations

from types import MappingProxyType

from tinyq.kernels.base import Bound, Part, Refusal
from tinyq.kernels.common.sliced_rows import bind_sliced_rows
from tinyq.kernels.common.sliced_windows import bind_sliced_windows
from tinyq.kernels.common.slices import Slices, list_carries
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.registry import kernel

_SOURCE = "armv7em/slices.j2"
_FIRST_CARRIED = 6  # slice from which a block adds carries alone


@kernel("conv2d", "b1", "b1", variant="slices", text="common/sliced_windows")
def bind_windows(layer: LayerSpec) -> Bound | Refusal:
    """Windows whose taps outside the image are left out."""
    return bind_sliced_windows(layer, WordSlices())


@kernel("dense", "b1", "b1", variant="slices", text="common/sliced_rows")
def bind_rows(layer: LayerSpec) -> Bound | Refusal:
    """Rows of signs."""
    return bind_sliced_rows(layer, WordSlices())


class WordSlices(Slices):
    """Blocks of 64 places or 32."""

    product_cost = 0.2
    places = 32

    def expand(self) -> Part:
        """``(x, masks, words)``: words of signs to masks, for two places (m1, m1 xor m2)."""
        values = MappingProxyType({"bits": range(0, 32, 2)})
        return Part(_SOURCE, "expand", "tq_expand", values, shared=True)

    def count(self, levels: int) -> Part:
        """``(w, masks, state, blocks)``: adds to the slices where masks and weights differ."""
        return _count(f"tq_count_{levels}", levels, 2)

    def count_word(self, levels: int) -> Part:
        """The same over blocks of 32 places."""
        return _count(f"tq_count_word_{levels}", levels, 1)


def _count(name: str, levels: int, words: int) -> Part:
    values = {
        "carries": list_carries(words),
        "several": words > 1,
        "carried": range(_FIRST_CARRIED, levels),
    }
    return Part(_SOURCE, "count", name, MappingProxyType(values), shared=True)
