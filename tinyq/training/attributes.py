"""Attributes of layers that are others for a while."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


@contextmanager
def setting(changed: Sequence[tuple[Any, str, Any]]) -> Iterator[None]:
    """Set attributes and, at the end, set them back, whatever happens in between.

    Args:
        changed: Owner, name and value of each; all are read before the first is set.
    """
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in changed]
    try:
        for owner, name, value in changed:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
