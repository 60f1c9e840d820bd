"""How many examples a test draws: its own number, or what ``TINYQ_EXAMPLES`` says for all."""

from __future__ import annotations

import os


def examples(usual: int) -> int:
    """Number for a ``@settings`` of its own, which no profile of hypothesis changes."""
    return int(os.environ.get("TINYQ_EXAMPLES", usual))
