"""Recurrent layers, in C99."""

from __future__ import annotations

from dataclasses import replace

from tinyq.graph import TensorType
from tinyq.kernels.base import Bound
from tinyq.kernels.ctext import list_parameters
from tinyq.kernels.generic.products import (
    GROUPED,
    WEIGHTS,
    bind_shared,
    count_groups,
    describe_rows,
    multiply_rows,
)
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.registry import kernel
from tinyq.numerics.formats import find_format


@kernel("recurrence", "s16", (*WEIGHTS, GROUPED), shared=True)
def bind_recurrence(layer: LayerSpec) -> Bound:
    """All steps, from a state of zeros."""
    weights = layer.inputs[1]
    hidden = TensorType(weights.shape[1:], find_format("s8"))
    inner = replace(layer, inputs=(hidden, weights))
    product = multiply_rows(inner, "h", "w_row", "in_channels", "o").replace("g->x_zero", "0")
    names = [one.rpartition(" ")[2].lstrip("*") for one in list_parameters(weights.format, "w")]
    return bind_shared(
        layer,
        about=describe_rows(inner),
        locals=count_groups(inner),
        sum=f"    const int32_t acc = {product};",
        passed=[*names, "bias", "multiplier", "g"],
    )
