"""What other libraries' errors say, in one line."""

from __future__ import annotations

_LONGEST = 300
_MARK = "Exception encountered:"


def last_line(error: BaseException) -> str:
    """The cause that an error ends with: Keras begins with whole configurations."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    marked = [line for line in lines if line.startswith(_MARK)]
    found = marked[-1].removeprefix(_MARK).strip() if marked else lines[-1]
    return found if len(found) <= _LONGEST else f"{found[:_LONGEST]} …"
