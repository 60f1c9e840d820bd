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


@kernel("conv2d", "s8", ("s4", "s8"), text="cmsisnn/windows", shared=True)
def bind_conv2d(layer: LayerSpec) -> Bound | Refusal:
    """``arm_convolve_wrapper``: scratch for rows of one patch."""
    reason = refuse_output(layer)
    if reason:
        return Refusal(reason)
    g = layer.geometry
    depth = g["kernel_height"] * g["kernel_width"] * g["in_channels"]
    return call(
        layer,
        _ROWS_OF_PATCHES * round_up(depth, _ALIGNMENT),
        about="Convolution",
        function_called=f"arm_convolve_wrapper_s{layer.inputs[-1].format.bits}",
        parameters_type="cmsis_nn_conv_params",
        weights="[out_channels][kernel_height][kernel_width][in_channels]",
        multiplicity=False,
        filters="g->out_channels",
        channels="g->in_channels",
    )


@kernel("depthwise2d", "s8", ("s4", "s8"), text="cmsisnn/windows", shared=True)
def bind_depthwise2d(layer: LayerSpec) -> Bound | Refusal:
    """``arm_depthwise_conv_wrapper``: scratch for patches, with MVE for a convolution's as well."""
    reason = refuse_output(layer)
    if reason:
        return Refusal(reason)
    return call(
        layer,
        _count_patches(layer),
        about="Depthwise convolution",
        function_called=f"arm_depthwise_conv_wrapper_s{layer.inputs[-1].format.bits}",
        parameters_type="cmsis_nn_dw_conv_params",
        weights="[kernel_height][kernel_width][out_channels]",
        multiplicity=True,
        filters="1",
        channels="g->out_channels",
    )


def _count_patches(layer: LayerSpec) -> int:
    """Bytes of scratch memory of a depthwise convolution."""
    g = layer.geometry
    taps = g["kernel_height"] * g["kernel_width"]
    if _MVE not in layer.isas:
        return 2 * taps * g["in_channels"]
    joined = _ROWS_OF_PATCHES * round_up(taps, _ALIGNMENT) + taps * g["out_channels"]
    apart = 4 * _VECTOR_ROWS * taps
    return max(apart, joined) if g["in_channels"] == 1 else apart


@kernel("dense", "s8", "s8", text="cmsisnn/dense", shared=True)
def bind_dense(layer: LayerSpec) -> Bound | Refusal:
    """``arm_fully_connected_wrapper_s8``: scratch for sums of weights, with MVE alone."""
    reason = refuse_output(layer)
    if reason:
        return Refusal(reason)
    scratch = 4 * layer.geometry["out_channels"] if _MVE in layer.isas else 0
    return call(layer, scratch, sums=True, function_called="arm_fully_connected_wrapper_s8")


@kernel("dense", "s8", "s4", text="cmsisnn/dense", shared=True)
def bind_dense_s4(layer: LayerSpec) -> Bound | Refusal:
    """``arm_fully_connected_s4``: it has one multiplier for all channels."""
    if reason := refuse_output(layer) or refuse_scales(layer):
        return Refusal(reason)
    return call(layer, sums=False, function_called="arm_fully_connected_s4")


@kernel("multiply", "s8", "s8", text="cmsisnn/elementwise", shared=True)
def bind_multiply(layer: LayerSpec) -> Bound | Refusal:
    """``arm_elementwise_mul_s8``."""
    reason = refuse_output(layer) or refuse_scales(layer) or refuse_bias(layer)
    if reason:
        return Refusal(reason)
    return call(
        layer,
        about="Product",
        function_called="arm_elementwise_mul_s8",
        arguments=["-g->x_zero", "-g->y_zero"],
    )


@kernel("tfliteadd", "s8", "s8", text="cmsisnn/elementwise", shared=True)
def bind_tfliteadd(layer: LayerSpec) -> Bound | Refusal:
    """``arm_elementwise_add_s8``."""
    if layer.epilogue != "requantizetwice" or layer.output.format.name != "s8":
        return Refusal("its outputs are no int8 codes that round twice")
    if layer.geometry["y_sign"] != 1:
        return Refusal("it subtracts")
    if reason := refuse_scales(layer) or refuse_bias(layer):
        return Refusal(reason)
    terms = [
        text.format(operand)
        for operand in "xy"
        for text in ("-g->{}_zero", "g->{}_multiplier", "g->{}_exponent")
    ]
    return call(
        layer,
        about="Sum",
        function_called="arm_elementwise_add_s8",
        arguments=[*terms, "g->left_shift"],
    )
