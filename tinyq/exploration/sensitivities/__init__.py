"""Sensitivities: the loss that a method of one layer adds, each a file found by its decorator."""

from __future__ import annotations

from tinyq.exploration.sensitivities import (
    divergence,
    fisher,
    hessian,
    imprint,
    second_order,
    steps,
    taylor,
)
from tinyq.exploration.sensitivities.registry import SENSITIVITIES, find_sensitivity

__all__ = [
    "SENSITIVITIES",
    "divergence",
    "find_sensitivity",
    "fisher",
    "hessian",
    "imprint",
    "second_order",
    "steps",
    "taylor",
]
