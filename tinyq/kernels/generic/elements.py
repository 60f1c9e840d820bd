"""Operations on each element or each pair of elements, in C99."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tinyq.kernels.base import Bound
from tinyq.kernels.generic.products import ACTIVATIONS, bind_shared, read_code
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.registry import kernel

_ANY = (*ACTIVATIONS, "s4", "u8", "s16", "s32")
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


@kernel("add", ACTIVATIONS, ACTIVATIONS, text="generic/add", shared=True)
def bind_add(layer: LayerSpec) -> Bound:
    """Weighted sum of two tensors."""
    a, b = (entry.format for entry in layer.inputs[:2])
    return bind_shared(layer, a_code=read_code(a, "a", "k"), b_code=read_code(b, "b", "k"))


@kernel("rescale", _ANY, text="generic/rescale", shared=True)
@kernel("argmax", (*ACTIVATIONS, "s4", "u8", "s16", "s32"), text="generic/argmax", shared=True)
def bind_codes(layer: LayerSpec) -> Bound:
    """Operations that read a row code by code."""
    return bind_shared(layer, code=read_code(layer.inputs[0].format, "x", "k"))


@kernel("multiply", ("s8",), ("s8",), text="generic/multiply", shared=True)
@kernel("multiply", ("s16",), ("s16",), text="generic/multiply", shared=True)
@kernel("tfliteadd", "s8", "s8", text="generic/tfliteadd", shared=True)
@kernel("tfliteadd", "s16", "s16", text="generic/tfliteadd", shared=True)
@kernel("offsetadd", ("s8", "s32"), "s8", text="generic/offsetadd", shared=True)
@kernel("singleadd", "s8", "s8", text="generic/singleadd", shared=True)
@kernel("offsetadd", "s8", "s32", text="generic/offsetadd", shared=True)
@kernel("extremum", "s8", "s8", text="generic/extremum", shared=True)
@kernel("extremum", "s16", "s16", text="generic/extremum", shared=True)
@kernel("squareddifference", "s8", "s8", text="generic/squareddifference", shared=True)
@kernel("lookup", "s8", text="generic/lookup", shared=True)
@kernel("curve", "s16", text="generic/curve", shared=True)
@kernel("tflitel2norm", "s8", text="generic/tflitel2norm", shared=True)
@kernel("softmax", "s8", text="generic/softmax", shared=True)
@kernel("tflitesoftmax", "s8", text="generic/tflitesoftmax", shared=True)
@kernel("tflitelogsoftmax", "s8", text="generic/tflitelogsoftmax", shared=True)
@kernel("tflitewidesoftmax", "s16", text="generic/tflitewidesoftmax", shared=True)
@kernel("tflitesigmoid", "s16", text="generic/tflitesigmoid", shared=True)
def bind_plain(layer: LayerSpec) -> Bound:
    """Operations whose text knows their formats."""
    return bind_shared(layer)


@kernel("prelu", ("s8", "s16"), "s8", text="generic/prelu", shared=True)
@kernel("tfliteprelu", ("s8", "s16"), "s8", text="generic/prelu", shared=True)
def bind_prelu(layer: LayerSpec) -> Bound:
    """ReLU with a slope for each channel."""
    about, scale = _ROUNDINGS[layer.operation]
    positive = scale.format("difference", "g->positive_multiplier, g->positive_shift")
    negative = scale.format("product", "g->negative_multiplier, g->negative_shift")
    return bind_shared(layer, about=about, positive=positive, negative=negative)
