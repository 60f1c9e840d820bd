"""Attributes of layers that are others for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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


def _remember(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, which computes what it is asked for once.

    Tensors cannot be hashed; they are kept, so that an identity stays that of one tensor.
    """
    known: dict[tuple[int, ...], tuple[tuple[Any, ...], Any]] = {}

    def call(*args: Any) -> Any:
        key = tuple(arg if isinstance(arg, int) else id(arg) for arg in args)
        if key not in known:
            known[key] = (args, method(*args))
        return known[key][1]

    return call


@contextmanager
def remembering(owner: Any, names: Sequence[str]) -> Iterator[None]:
    """Compute the answers of methods once while nothing that they depend on changes.

    Args:
        owner: Object whose methods they are.
        names: Names of methods without keywords; those that it lacks are left out.
    """
    found = [name for name in names if hasattr(type(owner), name)]
    for name in found:
        setattr(owner, name, _remember(getattr(owner, name)))
    try:
        yield
    finally:
        for name in found:
            delattr(owner, name)
