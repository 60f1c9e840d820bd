"""What samplers are told of the budgets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

EXCESS = "excess"
"""Attribute of a trial: by how much each limited resource is above its limit, as shares."""


def list_excess(trial: Any) -> Sequence[float]:
    """Constraints of a trial; one above 0 is broken."""
    return tuple(trial.user_attrs.get(EXCESS, (1.0,)))
