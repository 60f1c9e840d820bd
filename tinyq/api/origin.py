"""By which words a result came about, where a command line made it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

_COMMAND: ContextVar[tuple[str, ...]] = ContextVar("command", default=())


@contextmanager
def naming_command(words: Sequence[str]) -> Iterator[None]:
    """Let reports of the block say by which words they were made."""
    token = _COMMAND.set(("tinyq", *words))
    try:
        yield
    finally:
        _COMMAND.reset(token)


def describe_command() -> str | None:
    """The command that is running, as a shell takes it; None outside of one."""
    return shlex.join(_COMMAND.get()) or None
