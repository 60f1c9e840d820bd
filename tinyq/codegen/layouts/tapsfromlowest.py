"""The windows of `taps` for cores without a saturation: codes are counted from the lowest one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinyq.codegen.layouts import Arrangement
from tinyq.codegen.layouts.order import taps_by_channel
from tinyq.codegen.layouts.scaling import fold_from_lowest, refuse_from_lowest, sum_reach
from tinyq.codegen.layouts.taps import arrange_taps

if TYPE_CHECKING:
    from tinyq.codegen.variants import Facts


def refuse(facts: Facts) -> str:
    """Why these constants do not fit, empty where they do."""
    weights = facts.operands[-1]
    if weights is None or "bias" not in facts.tables:
        return "the constants are no constants"
    return refuse_from_lowest(facts, sum_reach(facts, taps_by_channel(weights)))


def arrange(facts: Facts) -> Arrangement:
    """One stream of words."""
    return arrange_taps(facts, fold_from_lowest)
