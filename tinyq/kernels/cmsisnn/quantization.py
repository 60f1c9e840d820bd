"""What calls of CMSIS-NN share: epilogues that it knows, and constants as it reads them.

Exponents count to the left, 4-bit weights lie without gaps.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from tinyq.kernels.base import Bound, Constant
from tinyq.kernels.layer import LayerSpec
from tinyq.numerics.formats import Codes

# CMSIS-NN multiplies by multiplier * 2**(exponent - 31).
_FRACTION_BITS = 31
_LABEL = "cmsisnn"
_ONCE, _TWICE = "requantize", "requantizetwice"


def refuse_output(layer: LayerSpec) -> str:
    """Why CMSIS-NN has no epilogue of a layer, empty where it has one."""
    known = layer.epilogue in (_ONCE, _TWICE) and layer.output.format.name == "s8"
    return "" if known else "its outputs are no int8 codes"


def refuse_scales(layer: LayerSpec) -> str:
    """Why one multiplier does not serve all channels, empty where it does."""
    numbers = (layer.constants["multiplier"], layer.constants[name_exponents(layer)])
    return "its channels have several scales" if any(map(np.ptp, numbers)) else ""


def refuse_bias(layer: LayerSpec) -> str:
    """Why there is no place for a bias, empty where there is none."""
    return "it has a bias" if layer.constants["bias"].any() else ""


def name_exponents(layer: LayerSpec) -> str:
    """The constant with the powers of two."""
    return "shift" if layer.epilogue == _ONCE else "exponent"


def call(layer: LayerSpec, scratch_bytes: int | None = None, **values: object) -> Bound:
    """A call of CMSIS-NN that computes a layer with weights or a product.

    Args:
        layer: The layer.
        scratch_bytes: Bytes of arena; None for a call without scratch memory.
        values: Further values of the template.
    """
    known = {"exponents": name_exponents(layer), "bits": layer.inputs[-1].format.bits}
    return Bound(
        layer,
        None,
        scratch_bytes=scratch_bytes or 0,
        scratch_parameter=scratch_bytes is not None,
        constants=_arrange(layer),
        values=MappingProxyType({**known, **values}),
    )


def _arrange(layer: LayerSpec) -> Mapping[str, Constant]:
    """Weights of s4, two codes in a byte, the first in the low four bits; and 31 - shift."""
    arranged: dict[str, Constant] = {}
    weights = layer.operands[1]
    if weights is not None and layer.inputs[1].format.name == "s4":
        arranged["operand 1"] = Constant(_LABEL, "s8", _pack(weights))
    if "shift" in layer.constants:
        exponents = _FRACTION_BITS - layer.constants["shift"]
        arranged["shift"] = Constant(_LABEL, "s32", exponents.astype(np.int32))
    return MappingProxyType(arranged)


def _pack(codes: Codes) -> Codes:
    flat = codes.reshape(-1).astype(np.int32) & 0xF
    even = np.append(flat, np.zeros(flat.size % 2, np.int32)).reshape(-1, 2)
    pairs: Codes = (even[:, 0] | even[:, 1] << 4).astype(np.uint8).view(np.int8).astype(np.int32)
    return pairs
