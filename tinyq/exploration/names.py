"""Parts of a search by the names that users give."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from tinyq.errors import TinyqError


def explain_unknown(name: str, known: Iterable[str], option: str, forms: str = "") -> TinyqError:
    """The error for a name that no part has.

    Args:
        name: What the user wrote.
        known: Names of the parts.
        option: Option and kind of the part, such as ``proxy``.
        forms: What may be written, where that is more than the names.
    """
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return TinyqError(
        f"there is no {option} {name!r}",
        where=f"--{option}",
        remedy=f"{hint}choose one of {forms or ', '.join(names)}",
    )
