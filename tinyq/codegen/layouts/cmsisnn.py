"""Constants as CMSIS-NN reads them: exponents count to the left, 4-bit weights lie without gaps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinyq.kernels.layer import LayerSpec
from tinyq.numerics.formats import Codes

# CMSIS-NN multiplies by multiplier * 2**(exponent - 31).
_FRACTION_BITS = 31


def lay_out(layer: LayerSpec) -> Mapping[str, tuple[str, Codes]]:
    """Arrange the weights and the shifts of a layer.

    Returns:
        ``operand 1``: bytes of s4 weights, two codes in each, the first in the low four bits;
        ``shift``: 31 - shift, as s32, where the stage has shifts.
    """
    arranged: dict[str, tuple[str, Codes]] = {}
    weights = layer.operands[1]
    if weights is not None and layer.inputs[1].format.name == "s4":
        arranged["operand 1"] = ("s8", _pack(weights))
    if "shift" in layer.constants:
        exponents = _FRACTION_BITS - layer.constants["shift"]
        arranged["shift"] = ("s32", exponents.astype(np.int32))
    return arranged


def _pack(codes: Codes) -> Codes:
    flat = codes.reshape(-1).astype(np.int32) & 0xF
    even = np.append(flat, np.zeros(flat.size % 2, np.int32)).reshape(-1, 2)
    pairs: Codes = (even[:, 0] | even[:, 1] << 4).astype(np.uint8).view(np.int8).astype(np.int32)
    return pairs
