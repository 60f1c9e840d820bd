"""Softmax as CMSIS-NN wants it: how differences are scaled instead of their exponentials."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinyq.errors import TinyqError
from tinyq.kernels.layer import LayerSpec
from tinyq.numerics.fixed_point import softmax_exponentials
from tinyq.numerics.formats import Codes


def lay_out(layer: LayerSpec) -> Mapping[str, tuple[str, Codes]]:
    """Replace the table of exponentials.

    Returns:
        ``operand 1``: multiplier, exponent and least difference, as s32.

    Raises:
        TinyqError: The table is not the one of the input's scale.
    """
    scale, stored = layer.inputs[0].scale, layer.operands[1]
    assert scale is not None and stored is not None
    table, *numbers = softmax_exponentials(scale, 1.0)
    if not np.array_equal(table, stored):
        raise TinyqError(
            "the logits are scaled by a factor of their own, which CMSIS-NN's call does not take",
            where=layer.name,
            remedy="build with tinyq's own kernels",
        )
    return {"operand 1": ("s32", np.array(numbers, np.int32))}
