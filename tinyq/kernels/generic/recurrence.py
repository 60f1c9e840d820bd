"""Recurrent layers, in C99."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from tinyq.graph import TensorType
from tinyq.kernels.base import Bound
from tinyq.kernels.ctext import COLUMNS, fill, list_parameters
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

_TEXT = "generic/recurrence"
_FORMATS = (*WEIGHTS, GROUPED)
# What differs between hidden codes that come out, from zeros, and states, from one that is given.
_RESULTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "recurrence": {
            "start": "from a state of zeros",
            "result": "y            [steps][units] Q0.7, or that of the last step",
            "twin": "Recurrence",
            "state": [],
            "before": "",
            "written": "            y[c] = hidden[c];",
            "width": "units",
        },
        "recurrencestates": {
            "start": "from a state that is given",
            "result": "state, y     [states][units], y that of each step or of the last one",
            "twin": "RecurrenceStates",
            "state": ["const int16_t *state"],
            "before": "\n".join(
                (
                    "    for (int32_t c = 0; c < units; c++) {",
                    "        words[c] = g->cell == 1 ? state[units + c] : state[c];",
                    "        const int32_t code = g->cell < 2 ? state[c] : (state[c] + 128) >> 8;",
                    "        hidden[c] = (int8_t)tq_clip(code, -128, 127);",
                    "    }",
                    "",
                )
            ),
            "written": "\n".join(
                (
                    "            y[c] = g->cell < 2 ? hidden[c] : words[c];",
                    "            if (g->cell == 1) {",
                    "                y[units + c] = words[c];",
                    "            }",
                )
            ),
            "width": "(g->cell == 1 ? 2 * units : units)",
        },
    }
)


@kernel("recurrence", "s16", _FORMATS, text=_TEXT, shared=True)
@kernel("recurrencestates", "s16", _FORMATS, text=_TEXT, shared=True)
def bind_recurrence(layer: LayerSpec) -> Bound:
    """All steps, from a state of zeros or one that is given."""
    weights = layer.inputs[1]
    hidden = TensorType(weights.shape[1:], find_format("s8"))
    inner = replace(layer, inputs=(hidden, weights))
    product = multiply_rows(inner, "h", "w_row", "in_channels", "o").replace("g->x_zero", "0")
    names = [one.rpartition(" ")[2].lstrip("*") for one in list_parameters(weights.format, "w")]
    passed = [*names, "units", "o"]
    function = f"tq_{'_'.join((layer.operation, *layer.formats))}_generic_row"
    return bind_shared(
        layer,
        about=describe_rows(inner),
        locals=count_groups(inner),
        product=product,
        reset=_assign("const int32_t acc", function, ["hidden", *passed], 12),
        each=_assign("const int32_t acc", function, ["h", *passed], 16),
        **_RESULTS[layer.operation],
    )


def _assign(target: str, function: str, arguments: list[str], margin: int) -> str:
    """An assignment of a call: in one line, in two, or with its arguments below each other."""
    call = f"{function}({', '.join(arguments)});"
    line, below = f"{' ' * margin}{target} = {call}", f"{' ' * (margin + 4)}{call}"
    if len(line) <= COLUMNS:
        return line
    if len(below) <= COLUMNS:
        return f"{' ' * margin}{target} =\n{below}"
    return " " * margin + fill(f"{target} = {function}", arguments, ";", margin)
