"""The weights of `winograd4fours` in blocks of two, with codes that are counted from the lowest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinyq.codegen.layouts import Arrangement
from tinyq.codegen.layouts.scaling import fold_from_lowest, refuse_from_lowest
from tinyq.codegen.layouts.winograd4fours import arrange_blocks, reach_of, refuse_blocks

if TYPE_CHECKING:
    from tinyq.kernels.layer import LayerSpec


def refuse(layer: LayerSpec) -> str:
    """Why these constants do not fit, empty where they do."""
    return refuse_blocks(layer, 2) or refuse_from_lowest(layer, reach_of(layer))


def arrange(layer: LayerSpec) -> Arrangement:
    """Tables of weights and constants."""
    return arrange_blocks(layer, fold_from_lowest, 2)
