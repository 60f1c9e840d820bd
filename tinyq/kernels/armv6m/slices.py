"""Binary layers on Arm v6-M: counters of 32 channels, bit by bit in words.

The lowest slice is in a low register, the next two in upper registers, the others on the stack; see
`tinyq.kernels.armv7em.slices` for the adders.
"""

from __future__ import annotations

from types import MappingProxyType

from tinyq.kernels.base import Bound, Part, Refusal
from tinyq.kernels.common.sliced_rows import bind_sliced_rows
from tinyq.kernels.common.sliced_windows import bind_sliced_windows
from tinyq.kernels.common.slices import Slices, list_carries
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.registry import kernel

_SOURCE = "armv6m/slices.j2"
_FIRST_KEPT = 3  # slice that is on the stack
_FIRST_CARRIED = 6  # slice from which a block adds carries alone
_CARRIES = 24  # bytes of pairs of carries before the slices


@kernel("conv2d", "b1", "b1", variant="slices", text="common/sliced_windows")
def bind_windows(layer: LayerSpec) -> Bound | Refusal:
    """Windows whose taps outside the image are left out."""
    return bind_sliced_windows(layer, StackSlices())


@kernel("dense", "b1", "b1", variant="slices", text="common/sliced_rows")
def bind_rows(layer: LayerSpec) -> Bound | Refusal:
    """Rows of signs."""
    return bind_sliced_rows(layer, StackSlices())


class StackSlices(Slices):
    """Blocks of 64 places."""

    product_cost = 0.27
    places = 64

    def expand(self) -> Part:
        """``(x, masks, words)``: words of signs to masks, for two places (m1, m1 xor m2)."""
        values = MappingProxyType({"shifts": range(31, -1, -2)})
        return Part(_SOURCE, "expand", "tq_expand", values, shared=True)

    def count(self, levels: int) -> Part:
        """``(w, masks, state, blocks)``: adds to the slices where masks and weights differ."""
        state = _CARRIES + 4 * (levels - _FIRST_KEPT)
        kept = [(4 * slice_, _place(slice_)) for slice_ in range(_FIRST_KEPT, levels)]
        values = {
            "frame": {"state": state, "blocks": state + 4, "size": state + 8},
            "kept": kept,
            "carries": list_carries(2),
            "carried": [_place(slice_) for slice_ in range(_FIRST_CARRIED, levels)],
        }
        name = f"tq_count_{levels}"
        return Part(_SOURCE, "count", name, MappingProxyType(values), shared=True)


def _place(slice_: int) -> int:
    """Where a slice is on the stack."""
    return _CARRIES + 4 * (slice_ - _FIRST_KEPT)
