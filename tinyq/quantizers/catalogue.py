"""The catalogue of quantization methods: what each is, and what can be done with it today.

Nothing here needs Keras, so that methods are listed and explained at once.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

from tinyq.errors import TinyqError
from tinyq.quantizers.method import Entry, Method
from tinyq.support.modules import import_modules

FAMILIES = "tinyq.quantizers.methods"
_WAVES = "-ABCDE"
_Class = TypeVar("_Class", bound=type[Method])


_entries: dict[str, Entry] = {}
_classes: dict[str, type[Method]] = {}
OWN_ENTRIES: dict[str, Entry] = {}
"""Rows of the methods that users registered, by name."""


def describe(entry: Entry) -> Entry:
    """Add a row without a class of its own: a method to come, or one that another row has.

    Raises:
        TinyqError: The id is taken.
    """
    if entry.id in _entries:
        raise TinyqError(f"the catalogue has two rows {entry.id!r}", where=FAMILIES)
    _entries[entry.id] = entry
    return entry


def catalogued(entry: Entry) -> Callable[[_Class], _Class]:
    """Decorator that adds a row and the class that is its method.

    Args:
        entry: The row.

    Returns:
        A decorator for subclasses of ``Method``.
    """

    def decorate(cls: _Class) -> _Class:
        _classes[describe(entry).id] = cls
        cls.entry = entry
        return cls

    return decorate


@functools.cache
def load_catalogue() -> Mapping[str, Entry]:
    """All rows by id, from all files of families: by wave, then by year."""
    import_modules(FAMILIES)
    rows = sorted(_entries.values(), key=lambda row: (_WAVES.index(row.wave), row.year, row.id))
    return MappingProxyType({row.id: row for row in rows})


def load_classes() -> Mapping[str, type[Method]]:
    """The class of each row that has one, in the order of the catalogue."""
    return {name: _classes[name] for name in load_catalogue() if name in _classes}


def find_entry(name: str) -> Entry:
    """The row with an id, or the row that a recipe's method belongs to.

    Args:
        name: An id, a name, or one with options such as ``ttq(threshold=0.2)``.

    Raises:
        TinyqError: There is none.
    """
    catalogue = load_catalogue()
    stem = name.partition("(")[0]
    if name in OWN_ENTRIES:
        return OWN_ENTRIES[name]
    if stem in catalogue:
        return catalogue[stem]
    for owner in load_classes():
        if stem in catalogue[owner].names:
            return catalogue[owner]
    near = difflib.get_close_matches(name, catalogue, n=3, cutoff=0.4)
    hint = f"did you mean {', '.join(near)}? " if near else ""
    raise TinyqError(
        f"there is no method {name!r}", remedy=f"{hint}`tinyq methods` lists all of them"
    )
