"""Pooling and softmax by CMSIS-NN."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from tinyq.errors import TinyqError
from tinyq.kernels.base import Bound, Constant, Refusal
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.registry import kernel
from tinyq.numerics.fixed_point import softmax_exponentials

_CALLS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "maxpool2d": ("arm_max_pool_s8", "-128, 127"),
        "tfliteaveragepool2d": ("arm_avgpool_s8", "g->lo, g->hi"),
    }
)


@kernel("maxpool2d", "s8", text="cmsisnn/pool2d", shared=True)
@kernel("tfliteaveragepool2d", "s8", text="cmsisnn/pool2d", shared=True)
def bind_pool2d(layer: LayerSpec) -> Bound | Refusal:
    """Pooling: scratch for sums of channels."""
    g = layer.geometry
    if g["dilation_height"] != 1 or g["dilation_width"] != 1:
        return Refusal("taps lie apart")
    call, limits = _CALLS[layer.operation]
    values = MappingProxyType({"call": call, "range": limits})
    scratch = 4 * g["in_channels"]
    return Bound(layer, None, scratch_bytes=scratch, scratch_parameter=True, values=values)


@kernel("tflitesoftmax", "s8", text="cmsisnn/tflitesoftmax", shared=True)
def bind_softmax(layer: LayerSpec) -> Bound | Refusal:
    """Softmax: differences are scaled instead of their exponentials being looked up.

    Raises:
        TinyqError: The table of exponentials is not the one of the input's scale.
    """
    scale, stored = layer.inputs[0].scale, layer.operands[1]
    if not scale:
        return Refusal("its inputs have no scale")
    assert stored is not None
    table, *numbers = softmax_exponentials(scale, 1.0)
    if not np.array_equal(table, stored):
        raise TinyqError(
            "the logits are scaled by a factor of their own, which CMSIS-NN's call does not take",
            where=layer.name,
            remedy="build with tinyq's own kernels",
        )
    constant = Constant("cmsisnn_softmax", "s32", np.array(numbers, np.int32))
    return Bound(layer, None, constants=MappingProxyType({"operand 1": constant}))
