"""The windows of `taps` for cores without a saturation: codes are counted from the lowest one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinyq.codegen.layouts import Arrangement
from tinyq.codegen.layouts.order import taps_by_channel
from tinyq.codegen.layouts.scaling import fold_from_lowest, refuse_from_lowest, sum_reach
from tinyq.codegen.layouts.taps import arrange_taps

if TYPE_CHECKING:
    from tinyq.kernels.layer import LayerSpec


def refuse(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    weights = layer.operands[-1]
    if weights is None or "bias" not in layer.constants:
        return "the constants are no constants"
    return refuse_from_lowest(layer, sum_reach(layer, taps_by_channel(weights)))


def arrange(layer: LayerSpec) -> Arrangement:
    """One stream of words."""
    return arrange_taps(layer, fold_from_lowest)
