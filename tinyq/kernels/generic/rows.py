"""Operations on rows of channels, in C99."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tinyq.kernels.base import Bound
from tinyq.kernels.generic.products import ACTIVATIONS, bind_shared, read_code
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.registry import kernel

_ANY = (*ACTIVATIONS, "u8", "s16", "s32")
# How the scaled difference and the scaled product of a ReLU with slopes are rounded.
_ROUNDINGS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "prelu": ("Both are scaled with one rounding, half up.", "tq_requantize({}, 0, {})"),
        "tfliteprelu": (
            "Both are scaled with TFLite's two roundings; a shift is an exponent.",
            "tq_scale_twice({}, {})",
        ),
    }
)

# What is written of each of the largest codes of a row.
_FOUND: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"topvalues": ("Codes", "best"), "topindices": ("Indices", "winner")}
)


@kernel("argmax", _ANY, text="generic/argmax", shared=True)
def bind_codes(layer: LayerSpec) -> Bound:
    """Operations that read a row code by code."""
    return bind_shared(layer, code=read_code(layer.inputs[0].format, "x", "k"))


@kernel("topvalues", ("s8", "s16"), text="generic/topk", shared=True)
@kernel("topindices", ("s8", "s16"), text="generic/topk", shared=True)
def bind_top(layer: LayerSpec) -> Bound:
    """The largest codes, or their indices."""
    about, found = _FOUND[layer.operation]
    return bind_shared(layer, about=about, found=found)


@kernel("prelu", ("s8", "s16"), "s8", text="generic/prelu", shared=True)
@kernel("tfliteprelu", ("s8", "s16"), "s8", text="generic/prelu", shared=True)
def bind_prelu(layer: LayerSpec) -> Bound:
    """ReLU with a slope for each channel."""
    about, scale = _ROUNDINGS[layer.operation]
    positive = scale.format("difference", "g->positive_multiplier, g->positive_shift")
    negative = scale.format("product", "g->negative_multiplier, g->negative_shift")
    return bind_shared(layer, about=about, positive=positive, negative=negative)
