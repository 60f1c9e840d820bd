"""Sums over windows, resizing and moving codes, in C99."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tinyq.kernels.base import Bound
from tinyq.kernels.generic.products import ACTIVATIONS, bind_shared, read_code
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.leads import lead_lines
from tinyq.kernels.registry import kernel

_MOVED = (*ACTIVATIONS, "u8", "s16")

# Where halves go, and the quotient of a sum.
_HALVES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "interpolate": ("away from 0", "tq_divide_away(total, (int32_t)1 << 20)"),
        "interpolatehalfup": ("up", "((total + ((int32_t)1 << 19)) >> 20)"),
    }
)


@kernel("sumpool2d", _MOVED, text="generic/sumpool2d", shared=True)
def bind_sumpool2d(layer: LayerSpec) -> Bound:
    """Sums over windows."""
    code = read_code(layer.inputs[0].format, "x", "k", "x_at")
    return bind_shared(layer, lead_lines(layer), code=code)


@kernel("pad2d", _MOVED, text="generic/pad2d", shared=True)
def bind_pad2d(layer: LayerSpec) -> Bound:
    """A border around an image."""
    return bind_shared(layer, code=read_code(layer.inputs[0].format, "x", "k"))


@kernel("reshape", (*_MOVED, "s32"), text="generic/reshape", shared=True)
def bind_reshape(layer: LayerSpec) -> Bound:
    """Rows of another length."""
    return bind_shared(layer, code=read_code(layer.inputs[0].format, "x", "in_k"))


@kernel("concatenate", (*_MOVED, "s32"), text="generic/concatenate", shared=True)
def bind_concatenate(layer: LayerSpec) -> Bound:
    """Channels of two tensors side by side."""
    a, b = (read_code(layer.inputs[0].format, row, "k") for row in "ab")
    return bind_shared(layer, a_code=a, b_code=b)


@kernel("append", (*_MOVED, "s32"), text="generic/append", shared=True)
def bind_append(layer: LayerSpec) -> Bound:
    """Columns behind those of a sequence."""
    return bind_shared(layer)


@kernel("interpolate", "s8", text="generic/interpolate", shared=True)
@kernel("interpolatehalfup", "s8", text="generic/interpolate", shared=True)
def bind_interpolate(layer: LayerSpec) -> Bound:
    """Bilinear resizing of bytes: all sums are within int32."""
    direction, quotient = _HALVES[layer.operation]
    return bind_shared(
        layer,
        direction=direction,
        about="|weight| <= 2^11 and four products of 2^7 * 2^10.. keep the sum below 2^30.",
        mean=(
            "const int32_t total = left * (1024 - across) + right * across;",
            f"y[k] = (int8_t){quotient};",
        ),
    )


@kernel("interpolate", "s16", text="generic/interpolate", shared=True)
def bind_wide_interpolate(layer: LayerSpec) -> Bound:
    """Bilinear resizing of 16-bit codes."""
    return bind_shared(
        layer,
        direction="away from 0",
        about="Columns are summed in int32, rows in int64: |weight| <= 2^11.",
        mean=(
            "const int64_t total = (int64_t)left * (1024 - across) + (int64_t)right * across;",
            "const int32_t one = (int32_t)1 << 20;",
            "y[k] = (int16_t)((total + (total > 0 ? one / 2 : -one / 2)) / one);",
        ),
    )
