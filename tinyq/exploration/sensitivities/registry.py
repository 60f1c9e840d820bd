"""The names of sensitivities."""

from __future__ import annotations

import difflib
from collections.abc import Callable

import numpy as np

from tinyq.errors import TinyqError
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
    if name in SENSITIVITIES:
        return SENSITIVITIES[name]
    near = difflib.get_close_matches(name, SENSITIVITIES, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise TinyqError(
        f"there is no sensitivity {name!r}",
        where="--sensitivity",
        remedy=f"{hint}choose one of {', '.join(SENSITIVITIES)}",
    )


def empty_losses(found: Survey) -> Losses:
    """Zeros for every layer and pair."""
    counts = [len(pairs) for pairs in found.space.layers.values()]
    return np.zeros((len(counts), max(counts, default=1)))
