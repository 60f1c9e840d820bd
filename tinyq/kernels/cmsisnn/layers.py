"""Layers with weights, sums and products by CMSIS-NN."""

from __future__ import annotations

from tinyq.kernels.base import Bound, Refusal
from tinyq.kernels.cmsisnn.quantization import call, refuse_bias, refuse_output, refuse_scales
from tinyq.kernels.geometry import round_up
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.registry import kernel

_ROWS_OF_PATCHES = 4  # of the largest of its variants
_ALIGNMENT = 16
_VECTOR_ROWS = 124  # patches that its depthwise convolution with MVE lays out at once
_MVE = "mve"


@kernel("conv2d", "s8", ("s4", "s8"), text="cmsisnn/conv2d", shared=True)
def bind_conv2d(layer: LayerSpec) -> Bound | Refusal:
    """``arm_convolve_wrapper``: scratch for rows of one patch."""
    reason = refuse_output(layer)
    if reason:
        return Refusal(reason)
    g = layer.geometry
    depth = g["kernel_height"] * g["kernel_width"] * g["in_channels"]
    return call(layer, _ROWS_OF_PATCHES * round_up(depth, _ALIGNMENT))


@kernel("depthwise2d", "s8", ("s4", "s8"), text="cmsisnn/depthwise2d", shared=True)
def bind_depthwise2d(layer: LayerSpec) -> Bound | Refusal:
    """``arm_depthwise_conv_wrapper``: scratch for patches, with MVE for a convolution's as well."""
    reason = refuse_output(layer)
    if reason:
        return Refusal(reason)
    g = layer.geometry
    taps = g["kernel_height"] * g["kernel_width"]
    if _MVE not in layer.isas:
        return call(layer, 2 * taps * g["in_channels"])
    joined = _ROWS_OF_PATCHES * round_up(taps, _ALIGNMENT) + taps * g["out_channels"]
    apart = 4 * _VECTOR_ROWS * taps
    return call(layer, max(apart, joined) if g["in_channels"] == 1 else apart)


@kernel("dense", "s8", "s8", text="cmsisnn/dense", shared=True)
def bind_dense(layer: LayerSpec) -> Bound | Refusal:
    """``arm_fully_connected_wrapper_s8``: scratch for sums of weights, with MVE alone."""
    reason = refuse_output(layer)
    if reason:
        return Refusal(reason)
    return call(layer, 4 * layer.geometry["out_channels"] if _MVE in layer.isas else 0)


@kernel("dense", "s8", "s4", text="cmsisnn/dense_s4", shared=True)
def bind_dense_s4(layer: LayerSpec) -> Bound | Refusal:
    """``arm_fully_connected_s4``: it has one multiplier for all channels."""
    reason = refuse_output(layer) or refuse_scales(layer)
    return Refusal(reason) if reason else call(layer)


@kernel("multiply", "s8", "s8", text="cmsisnn/multiply", shared=True)
def bind_multiply(layer: LayerSpec) -> Bound | Refusal:
    """``arm_elementwise_mul_s8``."""
    reason = refuse_output(layer) or refuse_scales(layer) or refuse_bias(layer)
    return Refusal(reason) if reason else call(layer)


@kernel("tfliteadd", "s8", "s8", text="cmsisnn/tfliteadd", shared=True)
def bind_tfliteadd(layer: LayerSpec) -> Bound | Refusal:
    """``arm_elementwise_add_s8``."""
    if layer.epilogue != "requantizetwice" or layer.output.format.name != "s8":
        return Refusal("its outputs are no int8 codes that round twice")
    if layer.geometry["y_sign"] != 1:
        return Refusal("it subtracts")
    reason = refuse_scales(layer) or refuse_bias(layer)
    return Refusal(reason) if reason else call(layer)
