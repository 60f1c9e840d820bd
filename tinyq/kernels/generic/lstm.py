"""TFLite's LSTM in C99: all steps, from a state of zeros or from one that is given."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tinyq.kernels.base import Bound
from tinyq.kernels.generic.products import bind_shared
from tinyq.kernels.layer import LayerSpec

TEXT = "generic/tflitelstm"
LSTMS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "tflitelstm": {
            "start": "a state of zeros",
            "result": "y   [steps][cells], at most 512 cells; a row is h of the next step",
            "twin": "TfliteLstm",
            "state": [],
            "first": "0",
            "before": "",
            "after": "",
        },
        "tflitelstmstates": {
            "start": "a state that is given",
            "result": "state, and the end of y: h, low and high bytes of the cells, at most 512",
            "twin": "TfliteLstmStates",
            "state": ["const int8_t *state"],
            "first": "state",
            "before": "\n".join(
                (
                    "    for (int32_t c = 0; c < cells; c++) {",
                    "        const int32_t high = state[2 * cells + c];",
                    "        cell[c] = (int16_t)(256 * high + state[cells + c] + 128);",
                    "    }",
                    "",
                )
            ),
            "after": "\n".join(
                (
                    "    for (int32_t c = 0; c < cells; c++) {",
                    "        y[c] = (int8_t)((cell[c] & 255) - 128);",
                    "        y[cells + c] = (int8_t)(cell[c] >> 8);",
                    "    }",
                    "",
                )
            ),
        },
    }
)


def bind_lstm(layer: LayerSpec) -> Bound:
    """The steps of a layer."""
    return bind_shared(layer, **LSTMS[layer.operation])
