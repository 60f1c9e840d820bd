"""Sum of two tensors on cores with MVE: four codes at a time."""

from __future__ import annotations

from types import MappingProxyType

from tinyq.kernels.base import Bound, Refusal
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import Clip
from tinyq.kernels.packing.uniform import fold_uniform, refuse_uniform
from tinyq.kernels.registry import kernel


@kernel("add", "s8", "s8")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Channels share all constants."""
    if layer.output.format.bits != 8:
        return Refusal("outputs are no bytes")
    if reason := refuse_uniform(layer):
        return Refusal(reason)
    constants = fold_uniform(layer)
    return Bound(
        layer,
        constants.count * 3 + 30,
        values=MappingProxyType(
            {"constants": constants, "lifted": constants.epilogue.clip == Clip.RANGE}
        ),
    )
