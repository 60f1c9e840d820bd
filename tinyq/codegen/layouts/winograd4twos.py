"""The weights of `winograd4fours` in blocks of two, with codes that are counted from the lowest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinyq.codegen.layouts import Arrangement
from tinyq.codegen.layouts.scaling import fold_from_lowest, refuse_from_lowest
from tinyq.codegen.layouts.winograd4fours import arrange_blocks, reach_of, refuse_blocks

if TYPE_CHECKING:
    from tinyq.codegen.variants import Facts


def refuse(facts: Facts) -> str:
    """Why these constants do not fit, empty where they do."""
    return refuse_blocks(facts, 2) or refuse_from_lowest(facts, reach_of(facts))


def arrange(facts: Facts) -> Arrangement:
    """Tables of weights and constants."""
    return arrange_blocks(facts, fold_from_lowest, 2)
