"""The names of sensitivities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinyq.exploration.names import explain_unknown
from tinyq.exploration.network import Network
from tinyq.exploration.table import Losses, Survey

Sensitivity = Callable[[Network, Survey, int], Losses]
"""Losses of all pairs of a survey, from its models and the network's data, with a seed."""

SENSITIVITIES: dict[str, Sensitivity] = {}


def sensitivity(name: str) -> Callable[[Sensitivity], Sensitivity]:
    """Enter a sensitivity under a name."""

    def enter(function: Sensitivity) -> Sensitivity:
        SENSITIVITIES[name] = function
        return function

    return enter


def find_sensitivity(name: str) -> Sensitivity:
    """A sensitivity by its name.

    Raises:
        TinyqError: There is none.
    """
    if name not in SENSITIVITIES:
        raise explain_unknown(name, SENSITIVITIES, "sensitivity")
    return SENSITIVITIES[name]


def empty_losses(found: Survey) -> Losses:
    """Zeros for every layer and pair."""
    counts = [len(pairs) for pairs in found.space.layers.values()]
    return np.zeros((len(counts), max(counts, default=1)))
